/* monitor_priv.h - what the files of the monitor share: the readers of single figures.
 * Thread:  the monitor's own.
 * Memory:  readers keep what they need for the next reading in the object they are given.
 * Failure: a figure that cannot be read stays as it is in ret: NAN or 0, set by the caller. */
#ifndef MONITOR_MONITOR_PRIV_H
#define MONITOR_MONITOR_PRIV_H

#include "monitor/monitor.h"

/* What the readings before this one left. */
struct host {
    uint64_t core_busy, core_total; // ticks of the first core
    char interface[MONITOR_NAME_MAX];
    uint64_t rx, tx, network_ns; // network_ns 0: not read yet
    int process_pid;             // 0: was not there
    uint64_t process_ticks, process_ns;
};

/* Up to cap - 1 bytes of a file, with a terminator; false: cannot be read. */
bool read_text_file(const char *path, char *at, size_t cap);

void read_cpu(struct host *h, struct monitor_figures *ret);
void read_memory(struct monitor_figures *ret);
void read_disk(struct monitor_figures *ret);
void read_network(struct host *h, struct monitor_figures *ret);
void read_lmstudio(struct host *h, struct monitor_figures *ret);
/* NAN: no sensor below sys ("/sys") is the processor's. */
double read_cpu_temperature(const char *sys);

/* A process's name is LM Studio's. */
bool is_lmstudio(const char *name);

/* NULL: no driver on this machine. */
struct nvml;
struct nvml *nvml_open(void);
void nvml_close(struct nvml **np);
void nvml_read(const struct nvml *n, struct monitor_figures *ret);

#endif
