/*
 * monitor_host.c - processor, memory, disk, network, and the process of the model server.
 *
 * Always true: what is measured over a time is measured between this reading and the one before,
 * and a counter that went backwards (an interface came back, a process is another) counts nothing.
 */
#include "monitor/monitor_priv.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <statgrab.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool read_text_file(const char *path, char *at, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(at, 1, cap - 1, f);
    bool ok = !ferror(f);
    fclose(f);
    at[n] = '\0';
    return ok;
}

static double part_percent(uint64_t part, uint64_t whole)
{
    double percent = whole > 0 ? 100.0 * (double)part / (double)whole : 0;
    return percent > 100 ? 100 : percent;
}

/* ---- processor ---- */

static void read_all_cores(struct monitor_figures *ret)
{
    const sg_cpu_percents *p = sg_get_cpu_percents_of(sg_new_diff_cpu_percent, NULL);
    if (p == NULL)
        return;
    double busy = 100 - p->idle - p->iowait;
    ret->cpu_percent = busy < 0 ? 0 : busy > 100 ? 100 : busy;
}

/* "cpu0 user nice system idle iowait irq softirq steal ...": the second line. */
static void read_first_core(struct host *h, struct monitor_figures *ret)
{
    enum { IDLE = 3, IOWAIT = 4, FIELDS = 8 };
    char text[4096];
    if (!read_text_file("/proc/stat", text, sizeof(text)))
        return;
    const char *line = strstr(text, "\ncpu");
    const char *at = line != NULL ? strchr(line, ' ') : NULL;
    uint64_t busy = 0, total = 0;
    for (int i = 0; at != NULL && i < FIELDS; i++) {
        char *end;
        uint64_t ticks = strtoull(at, &end, 10);
        if (end == at)
            break;
        at = end;
        total += ticks;
        busy += i == IDLE || i == IOWAIT ? 0 : ticks;
    }
    if (h->core_total > 0 && total > h->core_total && busy >= h->core_busy)
        ret->cpu_first_core_percent = part_percent(busy - h->core_busy, total - h->core_total);
    h->core_busy = busy;
    h->core_total = total;
}

void read_cpu(struct host *h, struct monitor_figures *ret)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    ret->cores = cores > 0 ? (unsigned)cores : 1;
    read_all_cores(ret);
    read_first_core(h, ret);
}

/* ---- memory, disk ---- */

/* Used is what programs hold: what the kernel keeps of files it gives back when it is needed. */
void read_memory(struct monitor_figures *ret)
{
    size_t n = 0;
    const sg_mem_stats *m = sg_get_mem_stats(&n);
    if (m == NULL || n == 0)
        return;
    ret->memory_total_bytes = m->total;
    ret->memory_used_bytes = m->used;
    ret->memory_free_bytes = m->free;
}

/* Only "/" is asked: looking at all file systems would wait for a remote one that is gone. */
void read_disk(struct monitor_figures *ret)
{
    struct statvfs v;
    if (statvfs("/", &v) != 0)
        return;
    uint64_t block = v.f_frsize;
    ret->disk_used_bytes = (v.f_blocks - v.f_bfree) * block;
    ret->disk_free_bytes = v.f_bavail * block;
    ret->disk_total_bytes = ret->disk_used_bytes + ret->disk_free_bytes; // as df has it
}

/* ---- network ---- */

/* The interface of the default route; false: there is none. */
static bool default_interface(char name[MONITOR_NAME_MAX])
{
    char text[8192];
    if (!read_text_file("/proc/net/route", text, sizeof(text)))
        return false;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        const char *own = strsep(&line, "\t");
        const char *destination = line != NULL ? strsep(&line, "\t") : NULL;
        if (destination == NULL || strcmp(destination, "00000000") != 0)
            continue;
        snprintf(name, MONITOR_NAME_MAX, "%s", own);
        return true;
    }
    return false;
}

static const sg_network_io_stats *choose_interface(const sg_network_io_stats *all, size_t count)
{
    char name[MONITOR_NAME_MAX] = "";
    const sg_network_io_stats *first = NULL;
    bool has_default = default_interface(name);
    for (size_t i = 0; i < count; i++) {
        if (has_default && strcmp(all[i].interface_name, name) == 0)
            return &all[i];
        if (first == NULL && strcmp(all[i].interface_name, "lo") != 0)
            first = &all[i];
    }
    return first;
}

static uint64_t rate(uint64_t before, uint64_t now, uint64_t ns)
{
    return now > before && ns > 0 ? (uint64_t)((double)(now - before) * 1e9 / (double)ns) : 0;
}

void read_network(struct host *h, struct monitor_figures *ret)
{
    size_t n = 0;
    const sg_network_io_stats *all = sg_get_network_io_stats(&n);
    const sg_network_io_stats *io = all != NULL ? choose_interface(all, n) : NULL;
    uint64_t now_ns = clock_mono_ns();
    if (io == NULL)
        return;
    if (h->network_ns > 0 && strcmp(h->interface, io->interface_name) == 0) {
        ret->network_rx_per_s = rate(h->rx, io->rx, now_ns - h->network_ns);
        ret->network_tx_per_s = rate(h->tx, io->tx, now_ns - h->network_ns);
    }
    snprintf(h->interface, sizeof(h->interface), "%s", io->interface_name);
    h->rx = io->rx;
    h->tx = io->tx;
    h->network_ns = now_ns;
}

/* ---- the model server's process ---- */

bool is_lmstudio(const char *name)
{
    return strcasestr(name, "lmstudio") != NULL || strcasestr(name, "lm-studio") != NULL ||
           strcasestr(name, "lm studio") != NULL;
}

/* Time on processors so far; 0: not known. */
static uint64_t process_ticks(int pid)
{
    enum { UTIME = 12, STIME = 13 }; // words behind the name in parentheses
    char path[64], text[1024];
    uint64_t ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!read_text_file(path, text, sizeof(text)))
        return 0;
    char *rest = strrchr(text, ')');
    for (int i = 0; rest != NULL && i <= STIME; i++) {
        const char *word = strsep(&rest, " ");
        if (i == UTIME || i == STIME)
            ticks += strtoull(word, NULL, 10);
    }
    return ticks;
}

static void measure_process(struct host *h, const sg_process_stats *p, struct monitor_figures *ret)
{
    uint64_t ticks = process_ticks(p->pid), now_ns = clock_mono_ns();
    double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
    ret->lmstudio_cpu_percent = p->cpu_percent; // of all its life, until there is a time between
    if (h->process_pid == p->pid && ticks >= h->process_ticks && now_ns > h->process_ns)
        ret->lmstudio_cpu_percent = 100 * ((double)(ticks - h->process_ticks) / ticks_per_s) /
                                    ((double)(now_ns - h->process_ns) / 1e9);
    ret->lmstudio_memory_percent = part_percent(p->proc_resident, ret->memory_total_bytes);
    h->process_ticks = ticks;
    h->process_ns = now_ns;
}

/* Of several the one that was started first. */
void read_lmstudio(struct host *h, struct monitor_figures *ret)
{
    size_t n = 0;
    const sg_process_stats *all = sg_get_process_stats(&n), *found = NULL;
    for (size_t i = 0; all != NULL && i < n; i++) {
        bool is_it = all[i].process_name != NULL && is_lmstudio(all[i].process_name);
        if (is_it && (found == NULL || all[i].pid < found->pid))
            found = &all[i];
    }
    if (found != NULL) {
        ret->lmstudio_runs = true;
        ret->lmstudio_pid = found->pid;
        measure_process(h, found, ret);
    }
    h->process_pid = found != NULL ? found->pid : 0;
}
