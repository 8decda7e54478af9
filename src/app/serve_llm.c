/*
 * serve_llm.c - the model: its client of this node, which whoever asks it is given, and the paths
 * of OpenAI's API.
 */
#include "app/server.h"

#include "api/openai.h"
#include "llm/llm.h"
#include "metrics/metrics.h"

static bool make_client(struct server *s)
{
    struct loop *loops[HUB_LOOPS_MAX];
    struct llm_options o = s->config->llm;
    if (o.url.n == 0)
        return true;
    for (unsigned i = 0; i < s->worker_count; i++)
        loops[i] = s->workers[i].loop;
    o.agent = STR("recado/" RECADO_VERSION);
    s->llm = llm_create(loops, s->worker_count, &o);
    return s->llm != NULL;
}

static void put_ends(struct buf *b, const struct llm_stats *s)
{
    const char *name = "recado_llm_failures_total";
    metrics_put_counter(b, "recado_llm_answers_total", "Answers of the model that were whole.",
                        s->answers);
    metrics_put_counter(b, "recado_llm_cancelled_total", "Answers that were ended before.",
                        s->cancelled);
    metrics_put_head(b, name, "counter", "Answers that failed, by what happened.");
    for (int f = LLM_NONE + 1; f < LLM_FAILURE_COUNT; f++)
        metrics_put_labelled(b, name, "reason", llm_failure_label((enum llm_failure)f),
                             s->failures[f]);
    metrics_put_counter(b, "recado_llm_retries_total", "Asks that were tried again.", s->retries);
}

static void put_figures(void *ctx, struct buf *b)
{
    struct llm_stats s;
    llm_read_stats(ctx, &s);
    metrics_put_gauge(b, "recado_llm_under_way", "Answers of the model under way.", s.under_way);
    metrics_put_gauge(b, "recado_llm_waiting", "Answers that wait for their turn.", s.waiting);
    metrics_put_counter(b, "recado_llm_tokens_total",
                        "Pieces of text that the model's server sent.", s.tokens);
    put_ends(b, &s);
    metrics_put_seconds(b, "recado_llm_first_token_seconds",
                        "Time from an ask until the first piece of its answer, waiting included.",
                        &s.first_token_ms, 1e-3);
}

static bool make(struct server *s, struct buf *ret_why)
{
    s->api.openai = openai_create();
    if (s->api.openai == NULL || !make_client(s)) {
        buf_add(ret_why, STR("the client of the model cannot be made\n"));
        return false;
    }
    s->api.llm = s->llm;
    if (s->llm == NULL)
        return true;
    metrics_add(&s->figures, put_figures, s->llm);
    return true;
}

/* Answers under way end while their rows can still be written. */
static void stop(struct server *s)
{
    bool running = s->worker_count > 0;
    for (unsigned i = 0; i < s->worker_count; i++)
        running &= s->workers[i].running;
    if (s->llm != NULL && running)
        llm_stop(s->llm);
}

static void drop(struct server *s)
{
    llm_destroy(&s->llm);
    openai_destroy(&s->api.openai);
}

const struct service llm_service = {.name = "llm", .make = make, .stop = stop, .drop = drop};
