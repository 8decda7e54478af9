/*
 * native_write.c - what the server answers: replies, gathered into one message per frame.
 */
#include "dialect/native_priv.h"

enum { REPLY_MAX_BYTES = 64 << 20 };

/* ---- calls ---- */

struct call *native_call_make(struct native_session *ns, uint32_t id)
{
    struct call *c = pool_alloc(sizeof(*c));
    if (c == NULL) {
        native_reply_error(ns, id, ERR_INTERNAL);
        return NULL;
    }
    *c = (struct call){.ns = ns, .id = id};
    session_ref(&ns->session);
    return c;
}

void native_call_free(struct call *c)
{
    struct native_session *ns = c->ns;
    pool_free(c);
    session_unref(&ns->session);
}

/* ---- sending ---- */

static void batch_flush(struct native_session *ns)
{
    struct batch *b = ns->batch;
    if (b->len > 0 && ns->carrier != NULL)
        carrier_send(ns->carrier, (struct str){b->at, b->len});
    b->len = 0;
}

void native_reply_send(struct native_session *ns, struct str json)
{
    struct batch *b = ns->batch;
    if (ns->carrier == NULL || ns->ending)
        return;
    if (b != NULL && b->len + 1 + json.n > sizeof(b->at))
        batch_flush(ns);
    if (b == NULL || json.n > sizeof(b->at)) {
        carrier_send(ns->carrier, json);
        return;
    }
    if (b->len > 0)
        b->at[b->len++] = '\n';
    memcpy(b->at + b->len, json.p, json.n);
    b->len += json.n;
}

void native_reply_error(struct native_session *ns, uint32_t id, enum err err)
{
    native_reply_refuse(ns, id, err, STR_NONE);
}

void native_reply_refuse(struct native_session *ns, uint32_t id, enum err err, struct str why)
{
    char at[2048];
    struct buf b = buf_on(at, sizeof(at));
    if (why.n == 0 || json_string_bytes_max(why) > sizeof(at) / 2)
        why = err_message(err);
    struct json_writer w;
    if (id == 0)
        return; // nobody waits for an answer
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_u64(json_key(&w, STR("id")), id);
    json_open_object(json_key(&w, STR("error")));
    json_put_u64(json_key(&w, STR("code")), err_code(err));
    json_put_string(json_key(&w, STR("message")), why);
    if (err_is_temporary(err))
        json_put_bool(json_key(&w, STR("temporary")), true);
    json_close_object(&w);
    json_close_object(&w);
    if (json_done(&w))
        native_reply_send(ns, buf_str(&b));
}

void native_reply_empty(struct native_session *ns, uint32_t id, struct str name)
{
    char at[96];
    struct buf b = buf_on(at, sizeof(at));
    bool ok = buf_add(&b, STR("{\"id\":")) && buf_add_u64(&b, id) && buf_add(&b, STR(",\"")) &&
              buf_add(&b, name) && buf_add(&b, STR("\":{}}"));
    MUST(ok);
    native_reply_send(ns, buf_str(&b));
}

void native_reply_begin(struct json_writer *w, struct buf *heap, uint32_t id, struct str name)
{
    buf_init(heap, REPLY_MAX_BYTES);
    json_writer_init(w, heap);
    json_open_object(w);
    json_put_u64(json_key(w, STR("id")), id);
    json_open_object(json_key(w, name));
}

void native_reply_end(struct native_session *ns, struct json_writer *w, struct buf *heap)
{
    json_close_object(w);
    json_close_object(w);
    if (json_done(w))
        native_reply_send(ns, buf_str(heap));
    else
        native_end(ns, CLOSE_INTERNAL, 0, STR_NONE);
    buf_fini(heap);
}

void native_reply_data(struct native_session *ns, uint32_t id, struct str data)
{
    struct json_writer w;
    struct buf heap;
    native_reply_begin(&w, &heap, id, STR("rpc"));
    json_put_raw(json_key(&w, STR("data")), data);
    native_reply_end(ns, &w, &heap);
}

/* ---- pieces of results ---- */

void native_put_expiry(struct native_session *ns, struct json_writer *w, int64_t expire_at_s)
{
    if (expire_at_s == 0)
        return;
    int64_t ttl_s = expire_at_s - native_now_s(ns);
    json_put_bool(json_key(w, STR("expires")), true);
    json_put_i64(json_key(w, STR("ttl")), ttl_s > 0 ? ttl_s : 0);
}

void native_put_position(struct json_writer *w, const struct answer *a)
{
    char epoch[EPOCH_TEXT];
    if (a->position.epoch == 0)
        return;
    epoch_format(a->position.epoch, epoch);
    json_put_string(json_key(w, STR("epoch")), (struct str){epoch, EPOCH_TEXT});
    if (a->position.offset > 0)
        json_put_u64(json_key(w, STR("offset")), a->position.offset);
}

static void put_publications(struct json_writer *w, const struct answer *a)
{
    if (a->publication_count == 0)
        return;
    struct buf one;
    buf_init(&one, REPLY_MAX_BYTES);
    json_open_array(json_key(w, STR("publications")));
    for (size_t i = 0; i < a->publication_count; i++) {
        buf_clear(&one);
        if (native_publication_write(&one, STR_NONE, a->publications[i], true))
            json_put_raw(w, buf_str(&one));
        else
            w->failed = true;
    }
    json_close_array(w);
    buf_fini(&one);
}

void native_put_subscribed(struct native_session *ns, struct json_writer *w, const struct answer *a,
                           const struct call *call)
{
    native_put_expiry(ns, w, call->expire_at_s);
    struct answer at = *a;
    if (a->recovered && a->publication_count > 0) // more may follow as pushes
        at.position.offset = a->subscription->cursor.offset;
    if (a->recoverable)
        json_put_bool(json_key(w, STR("recoverable")), true);
    if (a->positioned)
        json_put_bool(json_key(w, STR("positioned")), true);
    if (a->recoverable || a->positioned)
        native_put_position(w, &at);
    put_publications(w, a);
    if (call->was_recovering) {
        json_put_bool(json_key(w, STR("was_recovering")), true);
        json_put_bool(json_key(w, STR("recovered")), a->recovered);
    }
}
