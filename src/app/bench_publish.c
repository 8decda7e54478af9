/*
 * bench_publish.c - publish: clients that publish to many channels in turn and wait for the
 * answers.
 *
 * Why it exists: fanout measures what subscribers get; this one what publishers are told, and when.
 * In a durable namespace that is when the disk has it.
 *
 * Always true: what is outstanding has been sent and not answered, over all connections together;
 * sent_ns holds the time of each of them, by its number.
 */
#include "app/bench.h"

#include <stdlib.h>

#include "base/clock.h"

enum { FEED_MAX = 4096, CHANNEL_ANSWER_MIN = 20 };

size_t bench_answer_min(void)
{
    return CHANNEL_ANSWER_MIN; // {"id":1,"publish":{}}; a ping is shorter
}

/* The number is the id that was sent with it. */
bool bench_answer_read(const struct bench *b, struct str answer, uint64_t *ret_time_ns)
{
    uint64_t id;
    struct str rest = str_skip(answer, str_find(answer, STR("\"id\":")));
    rest = str_skip(rest, sizeof("\"id\":") - 1);
    size_t n = 0;
    while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
        n++;
    if (n == 0 || !str_to_u64((struct str){rest.p, n}, &id))
        return false;
    *ret_time_ns = b->sent_ns[(id - BENCH_ID_FIRST) % BENCH_RING];
    return true;
}

static void count_answers(struct bench *b, struct bench_conn *c, unsigned count)
{
    c->got += count;
    b->deliveries += count;
    b->completed += count;
}

static void publish(struct bench *b, uint64_t time_ns)
{
    struct bench_conn *c = &b->conns[b->published % b->conn_count];
    bench_payload_stamp(&b->payload, time_ns, b->published);
    bench_payload_address(&b->payload, b->published % b->channel_count);
    b->sent_ns[b->published % BENCH_RING] = time_ns;
    b->published++;
    bench_queue(b, c, (struct str){b->payload.bytes, b->payload.n});
}

static void flush_all(struct bench *b)
{
    for (uint64_t i = 0; i < b->conn_count; i++) {
        if (b->conns[i].out != NULL && b->conns[i].out->len > 0)
            bench_flush(b, &b->conns[i]);
    }
}

/* As in fanout: at a fixed rate the time is the one at which it was due. */
static void feed_rate(struct bench *b, uint64_t start_ns)
{
    uint64_t now = clock_mono_ns();
    for (unsigned i = 0; i < FEED_MAX && b->published - b->completed < BENCH_RING - 1; i++) {
        uint64_t due = start_ns + (uint64_t)((double)b->published * 1e9 / (double)b->rate);
        if (due > now)
            break;
        publish(b, due);
    }
    flush_all(b);
}

static void feed_window(struct bench *b, uint64_t start_ns)
{
    (void)start_ns;
    while (b->published - b->completed < b->window && b->lost == 0)
        publish(b, clock_mono_ns());
    flush_all(b);
}

int bench_publish(struct bench *b)
{
    b->messages = count_answers;
    b->sent_ns = calloc(BENCH_RING, sizeof(*b->sent_ns));
    bool ok = b->sent_ns != NULL || bench_fail(b, "out of memory");
    ok = ok && bench_open_all(b, false);
    ok = ok && bench_run(b, b->rate > 0 ? feed_rate : feed_window);
    if (ok && b->deliveries == 0)
        ok = bench_fail(b, "nothing was answered: may these clients publish to the channels?");
    return ok ? CLI_DONE : cli_fail(b->spec, "%s", b->why);
}
