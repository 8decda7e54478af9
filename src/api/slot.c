/*
 * slot.c - one command from its text to its answer.
 *
 * Always true: a slot is answered once, by slot_done(), slot_fail() or slot_done_raw(); the request
 * is answered by its only slot, and forgotten when its peer goes first.
 */
#include "api/api_priv.h"

#include "base/must.h"
#include "base/pool.h"

/* ---- the request's answer ---- */

/* What Centrifugo's libraries expect where it is not the status of our own paths. */
static unsigned transport_status(enum err e)
{
    switch (e) {
    case ERR_NOT_AVAILABLE:
        return 400;
    case ERR_UNRECOVERABLE_POSITION:
        return 416;
    default:
        return err_http_status(e);
    }
}

static void ask_reply(struct ask *ask, unsigned status, struct str body)
{
    struct http_request *r = ask->http;
    pool_free(ask);
    if (r != NULL)
        http_reply(r, status, STR("application/json"), body, STR_NONE);
}

/* ---- one command's answer ---- */

struct result {
    const struct answer *answer;
    struct str message; // of an error
    struct str raw;     // finished, or none
};

static void write_error(struct json_writer *w, const struct result *res)
{
    json_open_object(w);
    json_put_u64(json_key(w, STR("code")), err_code(res->answer->err));
    json_put_string(json_key(w, STR("message")), res->message);
    json_close_object(w);
}

static struct str result_key(const struct slot *s)
{
    if (s->group != NULL && s->group->kind == GROUP_BATCH)
        return str_from(s->verb->name);
    return STR("result");
}

static void write_envelope(struct json_writer *w, const struct slot *s, const struct result *res)
{
    json_open_object(w);
    if (s->id != 0)
        json_put_u64(json_key(w, STR("id")), s->id);
    if (res->answer->err != ERR_OK) {
        write_error(json_key(w, STR("error")), res);
    } else {
        json_key(w, result_key(s));
        if (res->raw.n > 0)
            json_put_raw(w, res->raw);
        else
            s->verb->write(w, s, res->answer);
    }
    json_close_object(w);
}

static bool write_result(struct buf *out, const struct slot *s, const struct result *res)
{
    struct json_writer w;
    json_writer_init(&w, out);
    if (s->group == NULL && s->ask->transport_errors && res->answer->err != ERR_OK)
        write_error(&w, res);
    else
        write_envelope(&w, s, res);
    return json_done(&w);
}

static void slot_keep(struct slot *s, struct str text)
{
    char *at = pool_alloc(text.n + 1);
    if (at != NULL) {
        memcpy(at, text.p, text.n);
        s->text = (struct str){at, text.n};
    }
    group_slot_done(s);
}

static void slot_give(struct slot *s, enum err e, struct str text)
{
    if (s->group != NULL)
        slot_keep(s, text);
    else
        ask_reply(s->ask, s->ask->transport_errors && e != ERR_OK ? transport_status(e) : 200,
                  text);
}

static void slot_finish(struct slot *s, const struct result *res)
{
    char room[API_SHORT_BYTES];
    struct buf out = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    if (write_result(&out, s, res)) {
        slot_give(s, res->answer->err, buf_str(&out));
        return;
    }
    buf_init(&out, API_ANSWER_MAX);
    if (write_result(&out, s, res))
        slot_give(s, res->answer->err, buf_str(&out));
    else
        slot_fail(s, ERR_LIMIT_EXCEEDED, "the answer is too big");
    buf_fini(&out);
}

void slot_done(void *ctx, const struct answer *a)
{
    struct slot *s = ctx;
    if (a->err != ERR_OK)
        slot_fail(s, a->err, a->why);
    else
        slot_finish(s, &(struct result){.answer = a});
}

static struct str add_text(struct buf *b, const char *before, const char *text)
{
    buf_add(b, str_from(before));
    buf_add(b, str_from(text));
    return buf_str(b);
}

/* "bad request: channel: must be a string" in room. */
static void fail_field(struct slot *s, enum err e, const char *field, const char *why)
{
    char room[256];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct answer a = {.err = e};
    buf_add(&b, err_message(e));
    if (field != NULL)
        add_text(&b, ": ", field);
    if (why != NULL)
        add_text(&b, ": ", why);
    slot_finish(s, &(struct result){.answer = &a, .message = buf_str(&b)});
}

void slot_fail(struct slot *s, enum err e, const char *why)
{
    fail_field(s, e, NULL, why);
}

void slot_refuse(struct slot *s, const char *field, const char *why)
{
    fail_field(s, ERR_BAD_REQUEST, field, why);
}

void slot_done_raw(struct slot *s, struct str result)
{
    if (s->verb == &api_batch)
        slot_give(s, ERR_OK, result);
    else
        slot_finish(s, &(struct result){.answer = &(struct answer){0}, .raw = result});
}

/* ---- its start ---- */

void slot_begin(struct slot *s, struct params *p)
{
    if (p->tenant.n == 0)
        p->tenant = s->ask->api->default_tenant;
    else if (!tenant_name_ok(p->tenant))
        params_fail(p, "tenant", "must be at most 255 bytes of printable UTF-8");
    if (p->wrong != NULL)
        slot_refuse(s, p->wrong_field, p->wrong);
    else
        s->verb->start(s, p);
}

void slot_start(struct slot *s, const struct verb *verb, struct str text)
{
    struct params p;
    struct json j;
    s->verb = verb;
    json_init(&j, text);
    if (api_params_read(&j, verb->fields, &p))
        slot_begin(s, &p);
    else
        slot_fail(s, ERR_BAD_REQUEST, j.error);
}
