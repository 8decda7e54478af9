/*
 * store_bench.c - appends events through store.h and says how many were committed in a second.
 *
 *     store_bench URL CHANNELS OUTSTANDING SECONDS [BYTES]
 *
 * One loop hands the store events of 256 bytes, of all channels in turn, and a new one for each
 * that was answered. What it prints is one JSON object. It makes the tables in a database of its
 * own: take one that nobody needs.
 *
 * Always true: an event is counted when it was answered, and answered when it was committed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/latency.h"
#include "base/clock.h"
#include "base/must.h"
#include "store/store.h"

enum { KEY_BYTES = 32, WARM_UP_MS = 500, EPOCH = 1 };

struct slot {
    struct store_append append;
    struct run *run;
    uint64_t sent_ns;
    char key[KEY_BYTES];
};

struct run {
    struct loop *loop;
    struct store *store;
    struct slot *slots;
    uint64_t *offsets; // of each channel
    char *data;
    uint64_t channels, outstanding, bytes;
    uint64_t next, under_way, answered;
    bool measuring, ending;
    struct latency latency;
};

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = UINT32_MAX};
}

static void send_one(struct run *r, struct slot *s)
{
    uint64_t channel = r->next++ % r->channels;
    int n = snprintf(s->key, sizeof(s->key), "bench?c:%llu", (unsigned long long)channel);
    s->key[5] = '\0'; // between tenant and channel
    s->sent_ns = clock_mono_ns();
    s->append.key = (struct str){s->key, (size_t)n};
    s->append.event = (struct store_event){.offset = ++r->offsets[channel],
                                           .time_ms = clock_wall_ms(),
                                           .data = {r->data, (size_t)r->bytes}};
    r->under_way++;
    store_append(r->store, &s->append);
}

static void append_done(struct store_append *a)
{
    const struct slot *s = (const struct slot *)(const void *)a;
    struct run *r = s->run;
    if (a->result != SQL_OK) {
        fprintf(stderr, "store_bench: %s\n", sql_result_name(a->result));
        exit(1);
    }
    r->answered++;
    if (r->measuring)
        latency_add(&r->latency, clock_mono_ns() - s->sent_ns);
}

static void append_released(struct store_append *a)
{
    struct slot *s = (struct slot *)(void *)a;
    s->run->under_way--;
    if (!s->run->ending)
        send_one(s->run, s);
}

static void turn_for(struct run *r, uint64_t ms)
{
    uint64_t until = clock_mono_ns() + ms * 1000000;
    while (clock_mono_ns() < until)
        loop_turn(r->loop, 10);
}

static void begin(struct run *r)
{
    for (uint64_t i = 0; i < r->outstanding; i++) {
        struct slot *s = &r->slots[i];
        s->run = r;
        s->append = (struct store_append){
            .loop = r->loop, .epoch = EPOCH, .done = append_done, .released = append_released};
        send_one(r, s);
    }
}

static void measure(struct run *r, uint64_t seconds)
{
    struct store_state from, to;
    begin(r);
    turn_for(r, WARM_UP_MS);
    store_read_state(r->store, &from);
    uint64_t begun_ns = clock_mono_ns(), answered = r->answered;
    r->measuring = true;
    turn_for(r, seconds * 1000);
    r->measuring = false;
    double s = (double)(clock_mono_ns() - begun_ns) / 1e9;
    store_read_state(r->store, &to);
    printf("{\"channels\":%llu,\"outstanding\":%llu,\"size\":%llu,\"seconds\":%.3f,"
           "\"events_per_s\":%.0f,\"commits_per_s\":%.1f,\"events_per_commit\":%.1f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (unsigned long long)r->channels, (unsigned long long)r->outstanding,
           (unsigned long long)r->bytes, s, (double)(r->answered - answered) / s,
           (double)(to.commits - from.commits) / s,
           to.commits > from.commits
               ? (double)(to.events - from.events) / (double)(to.commits - from.commits)
               : 0,
           (double)latency_quantile(&r->latency, 0.5) / 1e3,
           (double)latency_quantile(&r->latency, 0.99) / 1e3);
    r->ending = true;
    while (r->under_way > 0)
        loop_turn(r->loop, 10);
}

static uint64_t number(const char *text)
{
    uint64_t n;
    if (!str_to_u64(str_from(text), &n) || n == 0 || n > 100000000) {
        fprintf(stderr, "store_bench: not a number that is of use: %s\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static struct run run;
    struct buf why;
    if (argc < 5 || argc > 6) {
        fputs("usage: store_bench URL CHANNELS OUTSTANDING SECONDS [BYTES]\n", stderr);
        return 2;
    }
    buf_init(&why, 4096);
    run.channels = number(argv[2]);
    run.outstanding = number(argv[3]);
    run.bytes = argc > 5 ? number(argv[5]) : 256;
    run.slots = calloc(run.outstanding, sizeof(*run.slots));
    run.offsets = calloc(run.channels, sizeof(*run.offsets));
    run.data = malloc(run.bytes);
    run.loop = loop_create(0);
    MUST(run.slots != NULL && run.offsets != NULL && run.data != NULL && run.loop != NULL);
    memset(run.data, 'x', run.bytes);
    run.store = store_open(&(struct store_options){.url = str_from(argv[1]),
                                                   .queue_bytes_max = UINT64_MAX,
                                                   .streams_max = 10000000,
                                                   .retention = retention},
                           &why);
    if (run.store == NULL) {
        fprintf(stderr, "%.*s", STR_FMT(buf_str(&why)));
        return 1;
    }
    measure(&run, number(argv[4]));
    store_close(&run.store);
    loop_turn(run.loop, 0);
    loop_destroy(&run.loop);
    free(run.slots);
    free(run.offsets);
    free(run.data);
    buf_fini(&why);
    return 0;
}
