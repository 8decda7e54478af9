/*
 * record.c - a message that is still being written, where it is written.
 *
 * Why it exists: the writer's loop and the channel's home are two loops. What the writer says
 * travels as mail, like publishes, and mail of one loop to another keeps its order.
 *
 * Always true: a record's number is unique in the node, and its home knows it by that alone.
 */
#include "hub/record_priv.h"

struct record {
    struct hub *hub;
    uint64_t number;
    size_t text_bytes, text_max_bytes;
    struct str key;
    char bytes[];
};

struct str record_state_name(enum record_state state)
{
    static const struct str names[] = {
        {"streaming", 9}, {"complete", 8}, {"cancelled", 9}, {"failed", 6}};
    MUST(state <= RECORD_FAILED);
    return names[state];
}

/* ---- opening ---- */

static void open_at_home(struct request *r, struct hub *home)
{
    const struct record_seed *seed = r->verb;
    r->answer.err = record_home_open(home, r->key, seed, &r->answer);
}

static struct record *record_make(struct hub *hub, struct str key, size_t text_max_bytes)
{
    struct record *rec = malloc(sizeof(*rec) + key.n);
    if (rec == NULL)
        return NULL;
    bool said = text_max_bytes > 0 && text_max_bytes < RECORD_TEXT_MAX;
    *rec = (struct record){.hub = hub,
                           .number = (uint64_t)loop_index(hub->loop) << 56 | ++hub->record_serial,
                           .text_max_bytes = said ? text_max_bytes : RECORD_TEXT_MAX};
    char *at = rec->bytes;
    rec->key = str_put(&at, key);
    return rec;
}

static struct request *open_request(const struct record *rec, const struct record_params *p)
{
    char *at;
    struct request *r = request_make_with(rec->hub, sizeof(struct record_seed), rec->key,
                                          p->id.n + p->role.n + p->head.n, &at);
    if (r == NULL)
        return NULL;
    struct record_seed *seed = r->verb;
    seed->number = rec->number;
    seed->text_max_bytes = rec->text_max_bytes;
    seed->id = str_put(&at, p->id);
    seed->role = str_put(&at, p->role);
    seed->head = str_put(&at, p->head);
    r->run = open_at_home;
    return r;
}

struct record *record_open(struct hub *hub, const struct record_params *p, answer_fn *done,
                           void *ctx)
{
    const char *why = NULL;
    bool named = channel_name_ok(hub_rules(hub), p->channel, &why);
    if (!named || channel_is_pattern(p->channel) || !hub_key_ok(p->tenant, p->channel)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, why ? why : "tenant or channel: not a name");
        return NULL;
    }
    struct record *rec = record_make(hub, hub_key(hub, p->tenant, p->channel), p->text_max_bytes);
    struct request *r = rec != NULL ? open_request(rec, p) : NULL;
    if (r == NULL) {
        free(rec);
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return NULL;
    }
    r->done = done;
    r->ctx = ctx;
    request_home(r);
    return rec;
}

/* ---- appending ---- */

struct append {
    struct mail mail;
    struct hub *home;
    uint64_t number;
    size_t n;
    char text[];
};

static void append_arrived(struct mail *m, struct loop *l)
{
    struct append *a = container_of(m, struct append, mail);
    (void)l;
    record_home_append(a->home, a->number, (struct str){a->text, a->n});
    pool_free(a);
}

bool record_append(struct record *rec, struct str text)
{
    if (text.n > rec->text_max_bytes - rec->text_bytes)
        return false;
    struct hub *home = hub_home(rec->hub, rec->key);
    if (home == rec->hub) {
        record_home_append(home, rec->number, text);
    } else {
        struct append *a = pool_alloc(sizeof(*a) + text.n);
        if (a == NULL)
            return false;
        *a = (struct append){
            .mail.deliver = append_arrived, .home = home, .number = rec->number, .n = text.n};
        memcpy(a->text, text.p, text.n);
        loop_post(home->loop, &a->mail);
    }
    rec->text_bytes += text.n;
    return true;
}

/* ---- the end ---- */

struct finish_verb {
    uint64_t number;
    enum record_state state;
    struct str tail;
};

static void finish_at_home(struct request *r, struct hub *home)
{
    const struct finish_verb *v = r->verb;
    record_home_finish(r, home, v->number, v->state, v->tail);
}

void record_finish(struct record **rp, enum record_state state, struct str tail, answer_fn *done,
                   void *ctx)
{
    struct record *rec = *rp;
    char *at;
    *rp = NULL;
    MUST(state != RECORD_STREAMING);
    struct request *r =
        request_make_with(rec->hub, sizeof(struct finish_verb), rec->key, tail.n, &at);
    MUST(r != NULL); // or everybody would wait for its end for ever
    *(struct finish_verb *)r->verb = (struct finish_verb){rec->number, state, str_put(&at, tail)};
    r->run = finish_at_home;
    r->done = done;
    r->ctx = ctx;
    free(rec);
    request_home(r);
}

void record_drop(struct record **rp)
{
    free(*rp);
    *rp = NULL;
}
