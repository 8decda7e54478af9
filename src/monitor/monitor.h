/* monitor.h - the machine's figures: processor, memory, disk, network, processes, graphics cards.
 *
 * Thread:  monitor_create() and monitor_destroy() on the main thread while no loop runs; readings
 *          are taken on a thread of their own (a driver may block). monitor_latest() from any
 *          thread.
 * Memory:  the object's; figures are a value.
 * Failure: a figure that this machine does not have is NAN or absent, never zero. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "base/buf.h"

enum { MONITOR_GPUS_MAX = 16, MONITOR_NAME_MAX = 64 };

struct monitor_gpu {
    char vendor[MONITOR_NAME_MAX], model[MONITOR_NAME_MAX];
    uint64_t vram_total_bytes, vram_used_bytes;
    double temperature_c, utilization_percent, clock_mhz, power_w; // NAN: not known
};

struct monitor_figures {
    int64_t time_ms;                                               // wall clock of the reading
    double cpu_percent, cpu_first_core_percent, cpu_temperature_c; // NAN: not known
    unsigned cores;
    uint64_t memory_total_bytes, memory_used_bytes, memory_free_bytes;
    uint64_t disk_total_bytes, disk_used_bytes, disk_free_bytes; // of /
    /* Bytes, of the interface of the default route, else of the first that is not lo. */
    uint64_t network_rx_per_s, network_tx_per_s;
    bool lmstudio_runs;
    int lmstudio_pid;
    double lmstudio_cpu_percent, lmstudio_memory_percent;
    struct monitor_gpu gpus[MONITOR_GPUS_MAX];
    unsigned gpu_count;
};

struct monitor;

struct monitor_options {
    uint32_t interval_ms;
    /* A reading was taken; on the monitor's own thread. May be NULL. */
    void (*taken)(void *ctx, const struct monitor_figures *figures);
    void *ctx;
};

/* Takes a reading soon and then every interval_ms. NULL: no memory or no thread. */
struct monitor *monitor_create(const struct monitor_options *o);
void monitor_destroy(struct monitor **mp);
/* False: none was taken yet. */
bool monitor_latest(struct monitor *m, struct monitor_figures *ret);

/* {"cpu":{..},"memory":{..},"gpu":[..],"disk":{..},"network":{..},"processes":{..}}: percents are
 * whole, memory of cards is in MiB, what is not known is null. False: no room. */
enum { MONITOR_JSON_MAX = 24 << 10 };
bool monitor_write(struct buf *out, const struct monitor_figures *f);

#endif
