/*
 * serve_llm.c - the model: its client of this node, which whoever asks it is given, and the paths
 * of OpenAI's API.
 */
#include "app/server.h"

#include "api/openai.h"
#include "llm/llm.h"

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

static bool make(struct server *s, struct buf *ret_why)
{
    s->api.openai = openai_create();
    if (s->api.openai == NULL || !make_client(s)) {
        buf_add(ret_why, STR("the client of the model cannot be made\n"));
        return false;
    }
    s->api.llm = s->llm;
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
