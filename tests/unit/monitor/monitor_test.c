/* The monitor: figures of this machine, held against what the machine says elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "monitor/monitor_priv.h"

#include <cmocka.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <statgrab.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned count;
    struct monitor_figures last;
};

static void taken(void *ctx, const struct monitor_figures *f)
{
    struct heard *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->count++;
    h->last = *f;
    pthread_cond_signal(&h->more);
    pthread_mutex_unlock(&h->lock);
}

static void hear(struct heard *h, unsigned count)
{
    pthread_mutex_lock(&h->lock);
    while (h->count < count)
        pthread_cond_wait(&h->more, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static uint64_t meminfo_total(void)
{
    char text[4096];
    assert_true(read_text_file("/proc/meminfo", text, sizeof(text)));
    const char *at = strstr(text, "MemTotal:");
    assert_non_null(at);
    return strtoull(at + 9, NULL, 10) * 1024;
}

static void assert_percent(double v)
{
    assert_true(isfinite(v) && v >= 0 && v <= 100);
}

static void check_plausible(const struct monitor_figures *f)
{
    assert_percent(f->cpu_percent);
    assert_percent(f->cpu_first_core_percent);
    assert_true(isnan(f->cpu_temperature_c) || f->cpu_temperature_c > -50);
    assert_int_equal(f->cores, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(f->memory_total_bytes == meminfo_total());
    assert_true(f->memory_used_bytes > 0);
    assert_true(f->memory_used_bytes + f->memory_free_bytes <= f->memory_total_bytes);
    assert_true(f->disk_total_bytes > 0);
    assert_true(f->disk_used_bytes + f->disk_free_bytes == f->disk_total_bytes);
    assert_true(f->time_ms > 1600000000000);
    assert_true(f->gpu_count <= MONITOR_GPUS_MAX);
}

static void readings_come_again_and_again(void **state)
{
    struct heard h = {.count = 0};
    struct monitor_figures f;
    (void)state;
    pthread_mutex_init(&h.lock, NULL);
    pthread_cond_init(&h.more, NULL);
    struct monitor *m =
        monitor_create(&(struct monitor_options){.interval_ms = 50, .taken = taken, .ctx = &h});
    assert_non_null(m);
    hear(&h, 3);
    assert_true(monitor_latest(m, &f));
    check_plausible(&f);
    monitor_destroy(&m);
    assert_null(m);
    check_plausible(&h.last);
    pthread_cond_destroy(&h.more);
    pthread_mutex_destroy(&h.lock);
}

static void it_ends_before_its_first_reading(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct monitor_figures f;
        struct monitor *m = monitor_create(&(struct monitor_options){.interval_ms = 3600000});
        assert_non_null(m);
        assert_false(monitor_latest(m, &f));
        monitor_destroy(&m);
    }
    struct monitor *none = NULL;
    monitor_destroy(&none);
}

static int library_open(void **state)
{
    (void)state;
    return sg_init(1) != SG_ERROR_NONE;
}

static int library_close(void **state)
{
    (void)state;
    return sg_shutdown() != SG_ERROR_NONE;
}

/* A busy core is seen: the figures are of this machine, not made up. */
static void work_is_seen(void **state)
{
    struct host h = {0};
    struct monitor_figures f = {0};
    (void)state;
    read_cpu(&h, &f);
    uint64_t end_ns = clock_mono_ns() + 300000000;
    volatile unsigned spin = 0;
    while (clock_mono_ns() < end_ns)
        spin++;
    f.cpu_percent = NAN;
    read_cpu(&h, &f);
    assert_true(f.cpu_percent > 0);
}

/* ---- the model server ---- */

static void names_of_lmstudio(void **state)
{
    (void)state;
    assert_true(is_lmstudio("lm-studio"));
    assert_true(is_lmstudio("LM Studio"));
    assert_true(is_lmstudio("LMStudio-0.3.5"));
    assert_false(is_lmstudio("studio"));
    assert_false(is_lmstudio(""));
}

static void its_process_is_found(void **state)
{
    struct host h = {0};
    struct monitor_figures f = {0};
    int named[2], go[2];
    char c = 0;
    (void)state;
    assert_int_equal(pipe(named), 0);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_NAME, "lm-studio");
        (void)!write(named[1], "x", 1);
        close(go[1]);
        (void)!read(go[0], &c, 1);
        _exit(0);
    }
    assert_int_equal(read(named[0], &c, 1), 1);
    read_memory(&f);
    read_lmstudio(&h, &f);
    assert_true(f.lmstudio_runs);
    assert_int_equal(f.lmstudio_pid, pid);
    assert_percent(f.lmstudio_memory_percent);
    assert_true(f.lmstudio_cpu_percent >= 0);
    f = (struct monitor_figures){0};
    read_lmstudio(&h, &f);
    assert_true(f.lmstudio_cpu_percent >= 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    f = (struct monitor_figures){0};
    read_lmstudio(&h, &f);
    assert_false(f.lmstudio_runs);
    assert_int_equal(h.process_pid, 0);
    for (int i = 0; i < 2; i++) {
        close(named[i]);
        close(go[i]);
    }
}

/* ---- sensors ---- */

static void put_file(const char *root, const char *path, const char *text)
{
    char at[512];
    snprintf(at, sizeof(at), "%s/%s", root, path);
    for (char *p = at + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(at, 0700);
        *p = '/';
    }
    FILE *f = fopen(at, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

static void the_processors_sensor_is_chosen(void **state)
{
    char root[] = "/tmp/recado-sensors-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_true(isnan(read_cpu_temperature(root)));
    put_file(root, "class/thermal/thermal_zone0/type", "acpitz\n");
    put_file(root, "class/thermal/thermal_zone0/temp", "27800\n");
    assert_true(fabs(read_cpu_temperature(root) - 27.8) < 1e-9);
    put_file(root, "class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
    put_file(root, "class/thermal/thermal_zone1/temp", "51000\n");
    assert_true(fabs(read_cpu_temperature(root) - 51) < 1e-9);
    put_file(root, "class/hwmon/hwmon0/name", "nvme\n");
    put_file(root, "class/hwmon/hwmon0/temp1_input", "99000\n");
    put_file(root, "class/hwmon/hwmon1/name", "k10temp\n");
    put_file(root, "class/hwmon/hwmon1/temp1_input", "62500\n");
    assert_true(fabs(read_cpu_temperature(root) - 62.5) < 1e-9);
    put_file(root, "class/hwmon/hwmon2/name", "coretemp\n"); // one that cannot be read
    assert_true(fabs(read_cpu_temperature(root) - 62.5) < 1e-9);
    assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- as JSON ---- */

static void figures_are_written(void **state)
{
    struct monitor_figures f = {.cpu_percent = 45.4,
                                .cpu_first_core_percent = NAN,
                                .cpu_temperature_c = 51.257,
                                .cores = 8,
                                .memory_total_bytes = 1000,
                                .memory_used_bytes = 625,
                                .memory_free_bytes = 375,
                                .lmstudio_runs = true,
                                .lmstudio_pid = 77,
                                .lmstudio_cpu_percent = 12.345,
                                .lmstudio_memory_percent = 1,
                                .gpu_count = 1};
    f.gpus[0] = (struct monitor_gpu){.vendor = "NVIDIA",
                                     .model = "A \"quoted\" card",
                                     .vram_total_bytes = 8ull << 30,
                                     .vram_used_bytes = 2ull << 30,
                                     .temperature_c = 60,
                                     .utilization_percent = NAN,
                                     .clock_mhz = 1500,
                                     .power_w = 77.7};
    char at[MONITOR_JSON_MAX];
    struct buf out = buf_on(at, sizeof(at));
    (void)state;
    assert_true(monitor_write(&out, &f));
    assert_true(str_eq(
        buf_str(&out),
        STR("{\"cpu\":{\"usage\":45,\"temperature\":51.26,\"cores\":8,\"speed\":null},"
            "\"memory\":{\"total\":1000,\"used\":625,\"free\":375,\"usagePercent\":63,"
            "\"usedPercent\":63},\"gpu\":[{\"vendor\":\"NVIDIA\",\"model\":\"A \\\"quoted\\\" "
            "card\",\"vramTotal\":8192,\"vramUsed\":2048,\"vramFree\":6144,"
            "\"vramUsagePercent\":25,\"temperature\":60,\"utilization\":null,\"clockSpeed\":1500,"
            "\"powerUsage\":77.7}],\"disk\":{\"total\":0,\"used\":0,\"free\":0,"
            "\"usagePercent\":0},\"network\":{\"rx\":0,\"tx\":0},\"processes\":{\"lmstudio\":true,"
            "\"pid\":77,\"cpuUsage\":12.35,\"memUsage\":1}}")));
}

/* As many cards as there may be, with the longest names. */
static void the_longest_reading_has_room(void **state)
{
    struct monitor_figures f = {.gpu_count = MONITOR_GPUS_MAX};
    char at[MONITOR_JSON_MAX];
    struct buf out = buf_on(at, sizeof(at));
    (void)state;
    for (int i = 0; i < MONITOR_GPUS_MAX; i++) {
        memset(f.gpus[i].vendor, 1, MONITOR_NAME_MAX - 1);
        memset(f.gpus[i].model, 1, MONITOR_NAME_MAX - 1);
        f.gpus[i].vram_total_bytes = f.gpus[i].vram_used_bytes = UINT64_MAX;
        f.gpus[i].power_w = f.gpus[i].clock_mhz = -1234567.891;
    }
    f.memory_total_bytes = f.memory_used_bytes = f.memory_free_bytes = UINT64_MAX;
    assert_true(monitor_write(&out, &f));
    assert_true(json_valid(buf_str(&out)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_come_again_and_again),
        cmocka_unit_test(it_ends_before_its_first_reading),
        cmocka_unit_test_setup_teardown(work_is_seen, library_open, library_close),
        cmocka_unit_test(names_of_lmstudio),
        cmocka_unit_test_setup_teardown(its_process_is_found, library_open, library_close),
        cmocka_unit_test(the_processors_sensor_is_chosen),
        cmocka_unit_test(figures_are_written),
        cmocka_unit_test(the_longest_reading_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
