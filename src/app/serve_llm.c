/*
 * serve_llm.c - the model: its client of this node, which whoever asks it is given.
 */
#include "app/server.h"

#include "llm/llm.h"

static bool make(struct server *s, struct buf *ret_why)
{
    struct loop *loops[HUB_LOOPS_MAX];
    struct llm_options o = s->config->llm;
    if (o.url.n == 0)
        return true;
    for (unsigned i = 0; i < s->worker_count; i++)
        loops[i] = s->workers[i].loop;
    o.agent = STR("recado/" RECADO_VERSION);
    s->llm = llm_create(loops, s->worker_count, &o);
    if (s->llm == NULL)
        buf_add(ret_why, STR("the client of the model cannot be made\n"));
    return s->llm != NULL;
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
}

const struct service llm_service = {.name = "llm", .make = make, .stop = stop, .drop = drop};
