/*
 * bench_proc.c - what a process uses, from /proc.
 */
#include "app/bench_proc.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t first_number(const char *path)
{
    char line[128];
    uint64_t v = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fgets(line, sizeof(line), f) != NULL)
        v = strtoull(line, NULL, 10);
    fclose(f);
    return v;
}

static bool is_number(const char *name)
{
    return name[0] >= '0' && name[0] <= '9';
}

uint64_t proc_cpu_ns(pid_t pid)
{
    char path[320];
    uint64_t sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *d = pid > 0 ? opendir(path) : NULL;
    if (d == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!is_number(e->d_name))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
        sum += first_number(path);
    }
    closedir(d);
    return sum;
}

/* The core of a ksoftirqd thread, -1 for everybody else. */
static int softirq_core(const char *pid_text)
{
    char path[320], name[32] = "";
    int core = -1;
    snprintf(path, sizeof(path), "/proc/%s/comm", pid_text);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return -1;
    if (fgets(name, sizeof(name), f) != NULL && strncmp(name, "ksoftirqd/", 10) == 0)
        core = (int)strtol(name + 10, NULL, 10);
    fclose(f);
    return core;
}

void proc_softirq_find(struct proc_softirq *ret, pid_t pid)
{
    cpu_set_t set;
    ret->count = 0;
    DIR *d = pid > 0 && sched_getaffinity(pid, sizeof(set), &set) == 0 ? opendir("/proc") : NULL;
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL && ret->count < PROC_SOFTIRQ_MAX;) {
        int core = is_number(e->d_name) ? softirq_core(e->d_name) : -1;
        if (core >= 0 && core < CPU_SETSIZE && CPU_ISSET(core, &set))
            ret->threads[ret->count++] = (pid_t)strtol(e->d_name, NULL, 10);
    }
    closedir(d);
}

uint64_t proc_softirq_ns(const struct proc_softirq *s)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->count; i++)
        sum += proc_cpu_ns(s->threads[i]);
    return sum;
}

static uint64_t keyed_number(const char *path, const char *key)
{
    char line[256];
    uint64_t v = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            v = strtoull(line + strlen(key), NULL, 10);
    fclose(f);
    return v;
}

struct proc_memory proc_memory_read(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    return (struct proc_memory){
        .rss_kb = pid > 0 ? keyed_number(path, "VmRSS:") : 0,
        .slab_kb = keyed_number("/proc/meminfo", "Slab:"),
        .available_kb = keyed_number("/proc/meminfo", "MemAvailable:"),
    };
}

bool proc_exists(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (f != NULL)
        fclose(f);
    return f != NULL;
}
