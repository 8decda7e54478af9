/*
 * monitor_gpu.c - graphics cards, by NVIDIA's management library where the driver brought it.
 *
 * Why it exists: the library belongs to the driver and is on few machines, so it is looked for at
 * run time. What is called of it is declared here; its interface has been stable since version 2.
 */
#include "monitor/monitor_priv.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

typedef struct nvmlDevice_st *nvml_device;
struct nvml_memory {
    unsigned long long total, free, used;
};
struct nvml_utilization {
    unsigned gpu, memory; // percent
};
enum { NVML_SUCCESS = 0, NVML_TEMPERATURE_GPU = 0, NVML_CLOCK_GRAPHICS = 0 };

struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *ret);
    int (*handle)(unsigned index, nvml_device *ret);
    int (*name)(nvml_device d, char *at, unsigned cap);
    int (*memory)(nvml_device d, struct nvml_memory *ret);
    int (*temperature)(nvml_device d, int sensor, unsigned *ret);
    int (*utilization)(nvml_device d, struct nvml_utilization *ret);
    int (*clock)(nvml_device d, int type, unsigned *ret_mhz);
    int (*power)(nvml_device d, unsigned *ret_mw);
};

static bool find_functions(struct nvml *n)
{
    const struct {
        const char *name;
        void **at;
    } functions[] = {
        {"nvmlInit_v2", (void **)&n->init},
        {"nvmlShutdown", (void **)&n->shutdown},
        {"nvmlDeviceGetCount_v2", (void **)&n->count},
        {"nvmlDeviceGetHandleByIndex_v2", (void **)&n->handle},
        {"nvmlDeviceGetName", (void **)&n->name},
        {"nvmlDeviceGetMemoryInfo", (void **)&n->memory},
        {"nvmlDeviceGetTemperature", (void **)&n->temperature},
        {"nvmlDeviceGetUtilizationRates", (void **)&n->utilization},
        {"nvmlDeviceGetClockInfo", (void **)&n->clock},
        {"nvmlDeviceGetPowerUsage", (void **)&n->power},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        *functions[i].at = dlsym(n->library, functions[i].name);
        if (*functions[i].at == NULL)
            return false;
    }
    return true;
}

struct nvml *nvml_open(void)
{
    struct nvml *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (n->library != NULL && find_functions(n) && n->init() == NVML_SUCCESS)
        return n;
    if (n->library != NULL)
        dlclose(n->library);
    free(n);
    return NULL;
}

void nvml_close(struct nvml **np)
{
    struct nvml *n = *np;
    *np = NULL;
    if (n == NULL)
        return;
    n->shutdown();
    dlclose(n->library);
    free(n);
}

static void read_card(const struct nvml *n, nvml_device d, struct monitor_gpu *ret)
{
    struct nvml_memory memory;
    struct nvml_utilization use;
    unsigned v;
    *ret = (struct monitor_gpu){.vendor = "NVIDIA",
                                .temperature_c = NAN,
                                .utilization_percent = NAN,
                                .clock_mhz = NAN,
                                .power_w = NAN};
    if (n->name(d, ret->model, sizeof(ret->model)) != NVML_SUCCESS)
        ret->model[0] = '\0';
    ret->model[sizeof(ret->model) - 1] = '\0';
    if (n->memory(d, &memory) == NVML_SUCCESS) {
        ret->vram_total_bytes = memory.total;
        ret->vram_used_bytes = memory.used;
    }
    if (n->temperature(d, NVML_TEMPERATURE_GPU, &v) == NVML_SUCCESS)
        ret->temperature_c = v;
    if (n->utilization(d, &use) == NVML_SUCCESS)
        ret->utilization_percent = use.gpu;
    if (n->clock(d, NVML_CLOCK_GRAPHICS, &v) == NVML_SUCCESS)
        ret->clock_mhz = v;
    if (n->power(d, &v) == NVML_SUCCESS)
        ret->power_w = v / 1000.0;
}

void nvml_read(const struct nvml *n, struct monitor_figures *ret)
{
    unsigned count = 0;
    nvml_device d;
    if (n->count(&count) != NVML_SUCCESS)
        return;
    for (unsigned i = 0; i < count && ret->gpu_count < MONITOR_GPUS_MAX; i++) {
        if (n->handle(i, &d) == NVML_SUCCESS)
            read_card(n, d, &ret->gpus[ret->gpu_count++]);
    }
}
