/*
 * llm.c - the model's client of a node: a seat on each loop, and what they have counted.
 */
#include "llm/llm_priv.h"

#include "base/must.h"

#include <semaphore.h>
#include <stdlib.h>

enum { GETS_MAX = 64 }; // requests that wait for no turn, on a loop

static const struct {
    const char *label, *text;
} failures[LLM_FAILURE_COUNT] = {
#define FAILURE(name, label, text) [LLM_##name] = {label, text},
#include "llm/failure.def"
#undef FAILURE
};

static const uint64_t first_token_bounds_ms[] = {
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000,
};
enum { FIRST_TOKEN_BOUNDS = sizeof(first_token_bounds_ms) / sizeof(first_token_bounds_ms[0]) };

const char *llm_failure_label(enum llm_failure f)
{
    MUST(f < LLM_FAILURE_COUNT);
    return failures[f].label;
}

const char *llm_failure_text(enum llm_failure f)
{
    MUST(f < LLM_FAILURE_COUNT);
    return failures[f].text;
}

struct llm_settings llm_settings_merge(const struct llm_settings *narrow,
                                       const struct llm_settings *wide)
{
    return (struct llm_settings){
        .model = narrow->model.n > 0 ? narrow->model : wide->model,
        .temperature = narrow->temperature >= 0 ? narrow->temperature : wide->temperature,
        .max_tokens = narrow->max_tokens > 0 ? narrow->max_tokens : wide->max_tokens,
        .system_prompt = narrow->system_prompt.n > 0 ? narrow->system_prompt : wide->system_prompt,
    };
}

size_t llm_answer_max_bytes(const struct llm *llm)
{
    return llm->options.answer_max_bytes;
}

const struct llm_settings *llm_settings_of(const struct llm *llm)
{
    return &llm->options.settings;
}

/* ---- life ---- */

static bool seat_init(struct llm_seat *s, struct llm *llm, struct loop *l)
{
    const struct llm_options *o = &llm->options;
    s->llm = llm;
    s->loop = l;
    list_init(&s->calls);
    histogram_init(&s->first_token_ms, first_token_bounds_ms, FIRST_TOKEN_BOUNDS);
    s->client = http_client_create(l, &(struct http_client_options){
                                          .calls_max = o->concurrency + GETS_MAX,
                                          .connections_per_host_max = o->concurrency + GETS_MAX,
                                          .agent = o->agent,
                                      });
    return s->client != NULL;
}

struct llm *llm_create(struct loop *const *loops, unsigned loop_count, const struct llm_options *o)
{
    struct llm *llm = calloc(1, sizeof(*llm) + loop_count * sizeof(struct llm_seat));
    if (llm == NULL)
        return NULL;
    llm->options = *o;
    while (llm->options.url.n > 0 && llm->options.url.p[llm->options.url.n - 1] == '/')
        llm->options.url.n--;
    gate_init(&llm->gate, o->concurrency, o->queue_max);
    reach_init(&llm->reach, llm->options.url);
    for (unsigned i = 0; i < loop_count && llm != NULL; i++) {
        bool ok = seat_init(&llm->seats[i], llm, loops[i]);
        llm->seat_count++;
        if (!ok)
            llm_destroy(&llm);
    }
    return llm;
}

static void seat_end_calls(struct llm_seat *s)
{
    while (!list_empty(&s->calls))
        llm_call_end(container_of(s->calls.next, struct llm_call, link), LLM_ENDING);
}

struct end_errand {
    struct mail mail;
    struct llm_seat *seat;
    sem_t *done;
};

static void end_arrived(struct mail *m, struct loop *l)
{
    struct end_errand *e = container_of(m, struct end_errand, mail);
    (void)l;
    seat_end_calls(e->seat);
    sem_post(e->done); // e is gone from here on
}

/* One loop after the other: what a done() on the first asks of another loop is refused there. */
void llm_stop(struct llm *llm)
{
    sem_t done;
    atomic_store(&llm->ending, true);
    sem_init(&done, 0, 0);
    for (unsigned i = 0; i < llm->seat_count; i++) {
        struct end_errand e = {{.deliver = end_arrived}, &llm->seats[i], &done};
        loop_post(llm->seats[i].loop, &e.mail);
        while (sem_wait(&done) != 0)
            continue;
    }
    sem_destroy(&done);
}

void llm_destroy(struct llm **lp)
{
    struct llm *llm = *lp;
    *lp = NULL;
    if (llm == NULL)
        return;
    atomic_store(&llm->ending, true);
    for (unsigned i = 0; i < llm->seat_count; i++)
        seat_end_calls(&llm->seats[i]);
    for (unsigned i = 0; i < llm->seat_count; i++)
        http_client_destroy(&llm->seats[i].client);
    gate_fini(&llm->gate);
    reach_fini(&llm->reach);
    free(llm);
}

/* ---- figures ---- */

static void add_seat(struct llm_stats *all, const struct llm_seat *s)
{
    all->answers += counter_get(&s->answers);
    all->cancelled += counter_get(&s->cancelled);
    all->retries += counter_get(&s->retries);
    all->tokens += counter_get(&s->tokens);
    for (int f = 0; f < LLM_FAILURE_COUNT; f++)
        all->failures[f] += counter_get(&s->failures[f]);
    histogram_merge(&all->first_token_ms, &s->first_token_ms);
}

void llm_read_stats(const struct llm *llm, struct llm_stats *ret)
{
    uint32_t inside, waiting;
    gate_read((struct gate *)(uintptr_t)&llm->gate, &inside, &waiting);
    *ret = (struct llm_stats){.under_way = inside, .waiting = waiting};
    histogram_init(&ret->first_token_ms, first_token_bounds_ms, FIRST_TOKEN_BOUNDS);
    for (unsigned i = 0; i < llm->seat_count; i++)
        add_seat(ret, &llm->seats[i]);
}
