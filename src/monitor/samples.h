/* samples.h - the machine's figures of the last day: one small sample a reading, in memory and in
 * the database.
 *
 * Thread:  samples_add() and what is stored on the loop; samples_read() on any.
 * Memory:  `keep` samples of 48 bytes and not older than `keep_ms`, the oldest go first.
 * Failure: what the database cannot take now is given to it with the next sample. */
#ifndef MONITOR_SAMPLES_H
#define MONITOR_SAMPLES_H

#include "loop/loop.h"
#include "monitor/monitor.h"

struct samples;
struct store;

/* Percents and degrees in hundredths; SAMPLE_NONE: not known. */
enum { SAMPLE_NONE = INT32_MIN };
struct sample {
    int64_t time_ms;
    int64_t rx, tx; // bytes a second
    int32_t cpu, memory, disk, gpu, temperature;
};
struct sample sample_of(const struct monitor_figures *f);

struct samples_options {
    struct loop *loop;
    struct store *store; // NULL: in memory alone
    uint32_t keep;
    int64_t keep_ms; // before the newest; 0: as many as there is room for
};
/* NULL: no memory. */
struct samples *samples_create(const struct samples_options *o);
/* What the database has of an earlier life; done() on the loop, before the first is added. */
void samples_load(struct samples *h, void (*done)(void *ctx, bool ok), void *ctx);
void samples_destroy(struct samples **hp);

/* Samples are in the order of their times: those that are not before this one are of a clock that
 * was wrong, and go. */
void samples_add(struct samples *h, const struct sample *s);

struct samples_range {
    int64_t from_ms, to_ms; // both included
    int64_t step_ms;        // samples of one step become one, with its begin as their time; 0: none
};
/* Into ret, which the caller frees; steps without a sample are not there. False: no memory. */
bool samples_read(struct samples *h, const struct samples_range *r, struct sample **ret,
                  size_t *ret_count);
/* [{"time","cpu","memory","disk","rx","tx","gpu","temperature"},..] */
struct json_writer;
void sample_array_write(struct json_writer *w, const struct sample *samples, size_t count);

#endif
