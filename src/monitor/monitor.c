/*
 * monitor.c - a thread that reads the machine's figures.
 *
 * Why it exists: some readings block (a graphics driver, /proc with many processes), so no loop
 * takes them. The rest of the program sees whole readings only, under a mutex.
 *
 * Processor, memory, network and processes come from libstatgrab. It is small and says what went
 * wrong; libgtop, the other choice, brings GLib and ends the program when a file of /proc cannot be
 * read. Neither knows cores, sensors and cards: those are read here.
 */
#include "monitor/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "monitor/monitor_priv.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <statgrab.h>
#include <time.h>

/* What is measured over a time needs one before the first reading. */
enum { FIRST_WAIT_MS = 500 };

struct monitor {
    struct monitor_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; // of the thread: stop is set
    bool stop;
    bool has_latest;
    struct monitor_figures latest;
};

static void take_reading(struct host *h, const struct nvml *nvml, struct monitor_figures *ret)
{
    *ret = (struct monitor_figures){
        .cpu_percent = NAN,
        .cpu_first_core_percent = NAN,
        .lmstudio_cpu_percent = NAN,
        .lmstudio_memory_percent = NAN,
    };
    ret->cpu_temperature_c = read_cpu_temperature("/sys");
    read_cpu(h, ret);
    read_memory(ret);
    read_disk(ret);
    read_network(h, ret);
    read_lmstudio(h, ret);
    if (nvml != NULL)
        nvml_read(nvml, ret);
    ret->time_ms = clock_wall_ms();
}

/* False: it is time to end. */
static bool wait_ms(struct monitor *m, uint64_t ms)
{
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += (time_t)(ms / 1000);
    due.tv_nsec += (long)(ms % 1000) * 1000000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&m->lock);
    int err = 0;
    while (!m->stop && err == 0)
        err = pthread_cond_timedwait(&m->wake, &m->lock, &due);
    bool stop = m->stop;
    pthread_mutex_unlock(&m->lock);
    return !stop;
}

static void keep_reading(struct monitor *m, const struct monitor_figures *f)
{
    pthread_mutex_lock(&m->lock);
    m->latest = *f;
    m->has_latest = true;
    pthread_mutex_unlock(&m->lock);
    if (m->options.taken != NULL)
        m->options.taken(m->options.ctx, f);
}

static void *monitor_run(void *arg)
{
    struct monitor *m = arg;
    struct host host = {0};
    struct monitor_figures f;
    if (sg_init(1) != SG_ERROR_NONE) // what can be had is had: a container may hide a file
        log_warn("monitor: some figures of this machine cannot be read");
    struct nvml *nvml = nvml_open();
    take_reading(&host, nvml, &f);
    for (uint64_t ms = FIRST_WAIT_MS; wait_ms(m, ms); ms = m->options.interval_ms) {
        take_reading(&host, nvml, &f);
        keep_reading(m, &f);
    }
    nvml_close(&nvml);
    sg_shutdown();
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(struct monitor *m)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&m->thread, NULL, monitor_run, m) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

struct monitor *monitor_create(const struct monitor_options *o)
{
    struct monitor *m = calloc(1, sizeof(*m));
    pthread_condattr_t attr;
    if (m == NULL)
        return NULL;
    m->options = *o;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (start_thread(m))
        return m;
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
    return NULL;
}

void monitor_destroy(struct monitor **mp)
{
    struct monitor *m = *mp;
    *mp = NULL;
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

bool monitor_latest(struct monitor *m, struct monitor_figures *ret)
{
    pthread_mutex_lock(&m->lock);
    bool has = m->has_latest;
    if (has)
        *ret = m->latest;
    pthread_mutex_unlock(&m->lock);
    return has;
}
