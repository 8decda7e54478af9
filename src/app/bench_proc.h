/* bench_proc.h - what a process uses: CPU time and memory, from /proc.
 * Thread:  any.
 * Memory:  values.
 * Failure: what cannot be read is 0. */
#ifndef APP_BENCH_PROC_H
#define APP_BENCH_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of all its threads. */
uint64_t proc_cpu_ns(pid_t pid);

/* The ksoftirqd threads of the cores that a process may run on: a server that sends much in one
 * call leaves work to them, and would look cheaper than it is without it. */
enum { PROC_SOFTIRQ_MAX = 256 };
struct proc_softirq {
    pid_t threads[PROC_SOFTIRQ_MAX];
    unsigned count;
};
void proc_softirq_find(struct proc_softirq *ret, pid_t pid);
uint64_t proc_softirq_ns(const struct proc_softirq *s);

struct proc_memory {
    uint64_t rss_kb;       // of the process
    uint64_t slab_kb;      // of the kernel
    uint64_t available_kb; // of the machine
};
struct proc_memory proc_memory_read(pid_t pid);

bool proc_exists(pid_t pid);

#endif
