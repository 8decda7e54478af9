/*
 * publish.c - the verb that everything else is for.
 */
#include "hub/priv.h"

struct publish_verb {
    struct publication *publication;
    bool skip_history;
};

static void publish_durable(struct request *r, struct hub *home, struct publication *p,
                            bool ack_memory)
{
    r->answer.why = durable_refusal(home, r->key, p, &r->answer.err);
    if (r->answer.why != NULL)
        return;
    struct durable_append *d = durable_prepare(home, r->key, p);
    r->answer.err =
        d != NULL ? channel_publish(home, r->key, p, p->id, false, &r->answer) : ERR_INTERNAL;
    struct channel *ch = r->answer.err == ERR_OK ? channel_find(home, r->key) : NULL;
    if (ch != NULL && !r->answer.duplicate) {
        durable_append(d, ch, ack_memory ? NULL : r);
        return;
    }
    if (d != NULL)
        durable_unprepare(d);
    if (ch != NULL && !ack_memory)
        durable_wait(ch, r->answer.position.offset, r);
}

void publish_here(struct request *r, struct hub *home, struct publication *p, bool skip_history)
{
    const struct channel_options *o = policy_of(hub_rules(home), key_name(r->key));
    if (is_durable(home, o) && !skip_history)
        publish_durable(r, home, p, o->ack_memory);
    else
        r->answer.err = channel_publish(home, r->key, p, p->id, skip_history, &r->answer);
}

static void publish_at_home(struct request *r, struct hub *home)
{
    const struct publish_verb *v = r->verb;
    publish_here(r, home, v->publication, v->skip_history);
}

static void publish_release(struct request *r)
{
    publication_unref(((struct publish_verb *)r->verb)->publication);
}

static void publish_by_request(struct hub *hub, struct str key, struct publication *p,
                               const struct publish_params *params, answer_fn *done, void *ctx)
{
    struct request *r = request_make(hub, sizeof(struct publish_verb), key);
    if (r == NULL) {
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return;
    }
    *(struct publish_verb *)r->verb =
        (struct publish_verb){publication_ref(p), params->skip_history};
    r->run = publish_at_home;
    r->release = publish_release;
    r->done = done;
    r->ctx = ctx;
    request_home(r);
}

void hub_publish(struct hub *hub, const struct publish_params *params, answer_fn *done, void *ctx)
{
    const char *why;
    if (!channel_name_ok(hub_rules(hub), params->channel, &why) ||
        channel_is_pattern(params->channel)) {
        answer_error(done, ctx, ERR_BAD_REQUEST,
                     why ? why : "channel: a pattern cannot be published to");
        return;
    }
    if (!hub_key_ok(params->tenant, params->channel)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, "tenant: too long or not a name");
        return;
    }
    struct publication *p = publication_make(&(struct publication_parts){
        .kind = EVENT_PUBLICATION,
        .tenant = params->tenant,
        .channel = params->channel,
        .type = params->type,
        .data = params->data,
        .tags = params->tags,
        .info = params->info,
        .id = params->idempotency_key,
        .exclude = params->exclude,
        .exclude_client = params->exclude_client,
        .exclude_channels = params->exclude_channels,
        .time_ms = loop_wall_ms(hub->loop),
    });
    if (p == NULL) {
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return;
    }
    count_up(&hub->counters.publishes, 1);
    count_up(&hub->counters.publish_bytes, params->data.n);
    struct str key = hub_key(hub, params->tenant, params->channel);
    struct hub *home = hub_home(hub, key);
    bool waits = hub->node->store != NULL && // without a store nobody looks for the options twice
                 is_durable(hub, policy_of(hub_rules(hub), params->channel));
    if (home != hub || waits) {
        publish_by_request(hub, key, p, params, done, ctx);
    } else {
        struct answer a = {0};
        a.err = channel_publish(hub, key, p, p->id, params->skip_history, &a);
        if (done != NULL)
            done(ctx, &a);
    }
    publication_unref(p);
}
