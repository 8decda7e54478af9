/*
 * request.c - a verb on its way: to the home of its channel and back, or through every loop.
 *
 * Why it exists: a channel's order, history and presence live on one loop. A verb is carried there
 * as mail and comes back as mail; when it is already there, it runs inside the call.
 *
 * Always true: a request is owned by exactly one of: the function that makes it, a mailbox, the
 * loop that runs it. done() is called once, on the origin.
 */
#include "hub/priv.h"

struct request *request_make_with(struct hub *origin, size_t verb_size, struct str key,
                                  size_t extra, char **ret_extra)
{
    size_t verb_room = (verb_size + 15) & ~(size_t)15;
    struct request *r = pool_alloc(sizeof(*r) + verb_room + key.n + extra);
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof(*r) + verb_room);
    r->origin = origin;
    r->verb = r->bytes;
    char *at = r->bytes + verb_room;
    if (key.n > 0)
        memcpy(at, key.p, key.n);
    r->key = (struct str){at, key.n};
    if (ret_extra != NULL)
        *ret_extra = at + key.n;
    buf_init(&r->made, 256 << 20);
    return r;
}

struct request *request_make(struct hub *origin, size_t verb_size, struct str key)
{
    return request_make_with(origin, verb_size, key, 0, NULL);
}

void request_forget_pubs(struct request *r)
{
    for (size_t i = 0; i < r->pub_count; i++)
        publication_unref(r->pubs[i]);
    pool_free(r->pubs);
    r->pubs = NULL;
    r->pub_count = 0;
}

static void request_finish(struct request *r)
{
    r->answer.publications = r->pubs;
    r->answer.publication_count = r->pub_count;
    if (r->finish != NULL)
        r->finish(r);
    if (r->done != NULL)
        r->done(r->ctx, &r->answer);
    request_forget_pubs(r);
    if (r->release != NULL)
        r->release(r);
    buf_fini(&r->made);
    if (r->session != NULL)
        session_unref(r->session);
    pool_free(r);
}

static struct request *request_from(struct mail *m)
{
    return container_of(m, struct request, mail);
}

static void back_at_origin(struct mail *m, struct loop *l)
{
    (void)l;
    request_finish(request_from(m));
}

static void at_home(struct mail *m, struct loop *l)
{
    struct request *r = request_from(m);
    r->run(r, r->origin->node->hubs[loop_index(l)]);
    if (r->parked)
        return;
    r->mail.deliver = back_at_origin;
    loop_post(r->origin->loop, &r->mail);
}

void request_abandon(struct request *r)
{
    r->done = NULL;
    r->finish = NULL;
    request_finish(r);
}

void request_resume(struct request *r)
{
    r->parked = false;
    if (hub_home(r->origin, r->key) == r->origin) {
        request_finish(r);
        return;
    }
    r->mail.deliver = back_at_origin;
    loop_post(r->origin->loop, &r->mail);
}

void request_home(struct request *r)
{
    struct hub *home = hub_home(r->origin, r->key);
    if (home == r->origin) {
        r->run(r, home);
        if (!r->parked)
            request_finish(r);
        return;
    }
    r->mail.deliver = at_home;
    loop_post(home->loop, &r->mail);
}

/* Every round takes the loops in the same order, so that two rounds of one origin never overtake
 * each other. */
static void round_step(struct mail *m, struct loop *l)
{
    struct request *r = request_from(m);
    struct node *n = r->origin->node;
    MUST(r->at == loop_index(l));
    r->run(r, n->hubs[r->at]);
    r->at++;
    if (r->at < n->count) {
        loop_post(n->hubs[r->at]->loop, &r->mail);
        return;
    }
    r->mail.deliver = back_at_origin;
    loop_post(r->origin->loop, &r->mail);
}

void request_round(struct request *r)
{
    struct node *n = r->origin->node;
    if (n->count == 1) {
        r->run(r, r->origin);
        request_finish(r);
        return;
    }
    r->mail.deliver = round_step;
    loop_post(n->hubs[0]->loop, &r->mail);
}

void answer_error(answer_fn *done, void *ctx, enum err e, const char *why)
{
    struct answer a = {.err = e, .why = why};
    if (done != NULL)
        done(ctx, &a);
}
