/*
 * openai_relay.c - one answer: from the model's server to whoever asked, and into a channel.
 *
 * Always true between two calls:
 *   I1. a reader gets whole events only: what is said between them (a heartbeat, an error) is read
 *       as what it is.
 *   I2. the call ends when nobody is there for whom it is: neither a reader, nor a channel whose
 *       record still takes text.
 *   I3. an answer that goes into a channel has its head when the record's position is known.
 */
#include "api/openai_priv.h"

#include "base/json.h"
#include "base/must.h"
#include "base/random.h"

#include <stdlib.h>

enum { WHY_MAX = 2048, NAME_MAX = 256, TAIL_MAX = 8192 };

/* ---- the end of a relay ---- */

static void relay_bury(struct grave *g)
{
    struct relay *y = container_of(g, struct relay, grave);
    buf_fini(&y->held);
    buf_fini(&y->why);
    buf_fini(&y->content_type);
    buf_fini(&y->retry_after);
    free(y);
}

static bool is_mailed(struct relay *y)
{
    pthread_mutex_lock(&y->api->openai->lock);
    bool mailed = y->mailed;
    pthread_mutex_unlock(&y->api->openai->lock);
    return mailed;
}

static void relay_settle(struct relay *y)
{
    bool done = y->call == NULL && !sse_reply_has_reader(&y->reply) && !y->opening;
    if (!done || y->dead || (y->published && is_mailed(y)))
        return;
    y->dead = true;
    loop_bury_later(y->loop, &y->grave, relay_bury);
}

/* From here on nobody can cancel it. */
static void stop_writing(struct relay *y)
{
    if (!y->published)
        return;
    pthread_mutex_lock(&y->api->openai->lock);
    list_remove(&y->link);
    pthread_mutex_unlock(&y->api->openai->lock);
}

/* ---- the reader ---- */

static unsigned status_of(enum llm_failure f)
{
    switch (f) {
    case LLM_BUSY:
    case LLM_ENDING:
        return 503;
    case LLM_TIMEOUT:
        return 504;
    case LLM_MEMORY:
        return 500;
    default:
        return 502;
    }
}

/* Where the channel stood before the answer: whoever reads on from there misses nothing of it. */
static bool write_extra(const struct relay *y, struct buf *out)
{
    char epoch[EPOCH_TEXT];
    if (y->retry_after.len > 0 &&
        !(buf_add(out, STR("Retry-After: ")) && buf_add(out, buf_str(&y->retry_after)) &&
          buf_add(out, STR("\r\n"))))
        return false;
    if (!y->asked || y->open_err != ERR_OK)
        return true;
    epoch_format(y->before.epoch, epoch);
    return buf_add(out, STR("X-Recado-Channel: ")) && buf_add(out, y->channel) &&
           buf_add(out, STR("\r\nX-Recado-Epoch: ")) &&
           buf_add(out, (struct str){epoch, EPOCH_TEXT}) &&
           buf_add(out, STR("\r\nX-Recado-Offset: ")) && buf_add_u64(out, y->before.offset) &&
           buf_add(out, STR("\r\nAccess-Control-Expose-Headers: X-Recado-Channel, "
                            "X-Recado-Epoch, X-Recado-Offset\r\n"));
}

/* Whole, or an error of ours. */
static void reply(struct relay *y, bool as_it_came, unsigned status, struct str code,
                  struct str message)
{
    struct buf extra;
    buf_init(&extra, OPENAI_EXTRA_MAX);
    (void)write_extra(y, &extra);
    if (as_it_came)
        http_reply(sse_reply_take(&y->reply), y->status, buf_str(&y->content_type),
                   buf_str(&y->held), buf_str(&extra));
    else
        openai_refuse(sse_reply_take(&y->reply), status, code, message, buf_str(&extra));
    buf_fini(&extra);
}

/* The end of a stream; with a message when it is no good one. */
static void end_stream(struct relay *y, struct str code, struct str message)
{
    struct buf json;
    buf_init(&json, 2 * (json_string_bytes_max(message) + json_string_bytes_max(code)) + 256);
    if (message.n > 0 && openai_error_write(&json, code, message, 500))
        sse_reply_event(&y->reply, STR_NONE, buf_str(&json));
    sse_reply_close(&y->reply, CLOSE_NORMAL); // reply_gone() comes later
    buf_fini(&json);
}

/* Ends what the reader has, well or with a message. */
static void end_reader(struct relay *y, unsigned status, struct str code, struct str message)
{
    if (y->reply.carrier != NULL)
        end_stream(y, code, message);
    else if (y->reply.http != NULL)
        reply(y, message.n == 0, status, code, message);
}

static void end_unwanted(struct relay *y)
{
    if (y->call == NULL || sse_reply_has_reader(&y->reply) || (y->published && !y->full))
        return;
    llm_cancel(&y->call);
    y->ended = true;
}

static void reader_gone(struct relay *y)
{
    buf_fini(&y->held);
    buf_init(&y->held, llm_answer_max_bytes(y->api->llm));
    y->held_seen = 0;
    end_unwanted(y);
    relay_settle(y);
}

static void reply_gone(struct sse_reply *r)
{
    reader_gone(container_of(r, struct relay, reply));
}

/* ---- events ---- */

/* Bytes up to the end of the last whole event. Of those before seen it is known that none ends
 * there: an event that never ends is not read anew with each of its pieces. */
static size_t whole_events(struct str s, size_t seen)
{
    for (size_t n = s.n; n >= 2 && n > seen; n--) {
        const char *end = s.p + n;
        bool blank = (end[-1] == '\n' && end[-2] == '\n') || (end[-1] == '\r' && end[-2] == '\r') ||
                     (n >= 3 && end[-1] == '\n' && end[-2] == '\r' && end[-3] == '\n');
        if (blank)
            return n;
    }
    return 0;
}

static bool open_stream(struct relay *y)
{
    struct buf extra;
    buf_init(&extra, OPENAI_EXTRA_MAX);
    (void)write_extra(y, &extra);
    bool ok = sse_reply_open(&y->reply, &y->api->sse, buf_str(&extra));
    buf_fini(&extra);
    return ok;
}

/* What can be sent on now. Without memory for a stream the reader has had his answer. */
static void flush(struct relay *y)
{
    if (!y->streams || (y->published && (!y->asked || y->opening)))
        return;
    if (y->reply.http != NULL && !open_stream(y)) {
        reader_gone(y);
        return;
    }
    if (y->reply.carrier == NULL)
        return;
    size_t n = whole_events(buf_str(&y->held), y->held_seen);
    if (n > 0) {
        carrier_send(y->reply.carrier, (struct str){y->held.p, n});
        buf_take(&y->held, n);
    }
    y->held_seen = y->held.len;
}

/* ---- the record ---- */

static void record_finish_with(struct relay *y, enum record_state state, const struct llm_result *r,
                               struct str error)
{
    struct buf tail;
    struct json_writer w;
    if (y->record == NULL)
        return;
    buf_init(&tail, TAIL_MAX + json_string_bytes_max(error));
    json_writer_init(&w, &tail);
    json_open_object(&w);
    if (r != NULL && r->finish_reason.n > 0)
        json_put_string(json_key(&w, STR("finish_reason")), r->finish_reason);
    if (r != NULL && r->has_usage) {
        json_put_u64(json_key(&w, STR("tokens_in")), r->tokens_in);
        json_put_u64(json_key(&w, STR("tokens_out")), r->tokens_out);
    }
    if (error.n > 0)
        json_put_string(json_key(&w, STR("error")), error);
    json_close_object(&w);
    struct str members = json_done(&w) ? (struct str){tail.p + 1, tail.len - 2} : STR_NONE;
    record_finish(&y->record, state, members, NULL, NULL);
    buf_fini(&tail);
}

/* A client that is told of another place or protocol would go there. */
static bool is_an_answer(unsigned status)
{
    return status >= 200 && (status < 300 || status >= 400);
}

static void end_of_answer(struct relay *y)
{
    struct str why = buf_str(&y->why);
    bool good = y->failure == LLM_NONE;
    if (y->open_err != ERR_OK)
        end_reader(y, err_http_status(y->open_err), STR("channel_not_available"),
                   y->open_why != NULL ? str_from(y->open_why) : err_message(y->open_err));
    else if (y->cancelled)
        end_reader(y, 499, STR("cancelled"), STR("the answer was cancelled"));
    else if (good || (y->reply.carrier == NULL && y->whole && is_an_answer(y->status)))
        end_reader(y, 0, STR_NONE, STR_NONE);
    else
        end_reader(y, status_of(y->failure), str_from(llm_failure_label(y->failure)), why);
    relay_settle(y);
}

/* There is no room for it: then there is no answer either. */
static void refuse_record(struct relay *y)
{
    stop_writing(y);
    llm_cancel(&y->call);
    record_finish_with(y, RECORD_FAILED, NULL, STR_NONE); // one that was refused swallows this
    y->ended = true;
}

static void record_opened(void *ctx, const struct answer *a)
{
    struct relay *y = ctx;
    y->opening = false;
    y->open_err = a->err;
    y->open_why = a->why;
    y->before = a->position;
    if (a->err == ERR_OK)
        flush(y);
    else
        refuse_record(y);
    if (y->ended)
        end_of_answer(y);
}

/* The record's head: who wrote it. */
static bool write_head(const struct relay *y, struct buf *out)
{
    struct str model = llm_call_model(y->call);
    return model.n == 0 || (buf_add(out, STR("\"model\":")) && json_write_string(out, model));
}

/* A server that gives its answers no names gets one made. */
static struct str make_id(char at[UUID_TEXT + 2])
{
    uint8_t id[16];
    uuid_make(id);
    at[0] = at[UUID_TEXT + 1] = '"';
    uuid_format(id, at + 1);
    return (struct str){at, UUID_TEXT + 2};
}

static void open_record(struct relay *y)
{
    char made[UUID_TEXT + 2];
    struct buf head;
    if (!y->published || y->asked)
        return;
    struct str id = llm_call_id(y->call);
    buf_init(&head, NAME_MAX * 8);
    y->asked = y->opening = true;
    struct record_params p = {
        .tenant = y->tenant,
        .channel = y->channel,
        .id = id.n > 0 ? id : make_id(made),
        .role = STR("assistant"),
        .head = write_head(y, &head) ? buf_str(&head) : STR_NONE,
    };
    y->record = record_open(node_hub(y->api->node, loop_index(y->loop)), &p, record_opened, y);
    if (y->open_err != ERR_OK) // said at once
        record_finish_with(y, RECORD_FAILED, NULL, STR_NONE);
    buf_fini(&head);
}

/* ---- the model ---- */

static void take_token(void *ctx, struct str text)
{
    struct relay *y = ctx;
    open_record(y);
    if (y->call == NULL || y->record == NULL)
        return; // refused
    if (record_append(y->record, text))
        return;
    record_finish_with(y, RECORD_FAILED, NULL, STR("longer than a message of a channel may be"));
    stop_writing(y); // what a reader still gets is his alone
    y->full = true;
    end_unwanted(y);
    relay_settle(y);
}

/* What this answer is, by its first piece. */
static void decide(struct relay *y, const struct llm_call *call)
{
    struct str type = llm_call_header(call, "Content-Type");
    struct str media = str_trim(str_cut(&type, ';'));
    y->decided = true;
    y->streams = y->status == 200 && str_eq_nocase(media, STR("text/event-stream"));
}

static void relay_fail(struct relay *y, enum llm_failure f)
{
    llm_cancel(&y->call);
    stop_writing(y);
    y->ended = true;
    y->failure = f;
    (void)buf_add(&y->why, str_from(llm_failure_text(f)));
    record_finish_with(y, RECORD_FAILED, NULL, buf_str(&y->why));
    if (!y->opening)
        end_of_answer(y);
}

static void take_piece(void *ctx, struct llm_call *call, unsigned status, struct str bytes)
{
    struct relay *y = ctx;
    y->status = status;
    if (!y->decided)
        decide(y, call);
    if (y->streams && llm_call_id(call).n > 0)
        open_record(y);
    if (y->call == NULL || !sse_reply_has_reader(&y->reply))
        return; // refused, or nobody reads
    if (buf_add(&y->held, bytes))
        flush(y);
    else
        relay_fail(y, LLM_TOO_LONG);
}

static void keep_headers(struct relay *y)
{
    (void)buf_add(&y->content_type, llm_call_header(y->call, "Content-Type"));
    (void)buf_add(&y->retry_after, llm_call_header(y->call, "Retry-After"));
}

static void take_result(void *ctx, const struct llm_result *r)
{
    struct relay *y = ctx;
    bool good = r->failure == LLM_NONE;
    keep_headers(y);
    if (y->streams)
        open_record(y); // an answer without text is a message too
    stop_writing(y);
    y->call = NULL;
    y->ended = true;
    y->failure = r->failure;
    y->whole = r->whole;
    y->status = r->status;
    (void)buf_add(&y->why, r->why);
    record_finish_with(y, good ? RECORD_COMPLETE : RECORD_FAILED, r, r->why);
    if (y->opening)
        return;
    flush(y);
    end_of_answer(y);
}

/* Somebody wants it to end. */
static void cancel_arrived(struct mail *m, struct loop *l)
{
    struct relay *y = container_of(m, struct relay, mail);
    (void)l;
    pthread_mutex_lock(&y->api->openai->lock);
    y->mailed = false;
    pthread_mutex_unlock(&y->api->openai->lock);
    if (y->call == NULL) {
        relay_settle(y);
        return;
    }
    llm_cancel(&y->call);
    stop_writing(y);
    y->ended = y->cancelled = true;
    record_finish_with(y, RECORD_CANCELLED, NULL, STR_NONE);
    if (!y->opening)
        end_of_answer(y);
}

/* ---- birth ---- */

static struct relay *relay_make(struct http_request *r, const struct api *api,
                                const struct relay_ask *ask)
{
    struct relay *y = malloc(sizeof(*y) + ask->tenant.n + ask->channel.n);
    if (y == NULL)
        return NULL;
    *y = (struct relay){
        .api = api,
        .loop = http_server_loop(r->server),
        .published = ask->channel.n > 0,
        .mail.deliver = cancel_arrived,
    };
    char *at = y->bytes;
    y->tenant = str_put(&at, ask->tenant);
    y->channel = str_put(&at, ask->channel);
    list_init(&y->link);
    buf_init(&y->held, llm_answer_max_bytes(y->api->llm));
    buf_init(&y->why, WHY_MAX);
    buf_init(&y->content_type, NAME_MAX);
    buf_init(&y->retry_after, NAME_MAX);
    return y;
}

static bool relay_ask(struct relay *y, struct http_request *r, struct str path,
                      enum llm_failure *ret_why)
{
    y->call = llm_start(y->api->llm, y->loop,
                        &(struct llm_ask){
                            .tenant = y->tenant,
                            .raw_path = path,
                            .raw_body = r->body,
                            .raw_type = http_header(r, STR("Content-Type")),
                            .piece = take_piece,
                            .token = y->published ? take_token : NULL,
                            .done = take_result,
                            .ctx = y,
                        },
                        ret_why);
    return y->call != NULL;
}

static void start_writing(struct relay *y)
{
    struct openai *o = y->api->openai;
    pthread_mutex_lock(&o->lock);
    list_add(&o->writing, &y->link);
    pthread_mutex_unlock(&o->lock);
}

void relay_start(struct http_request *r, const struct api *api, const struct relay_ask *ask)
{
    static const struct str kept[] = {{"Origin", 6}, {"Host", 4}};
    enum llm_failure why = LLM_MEMORY;
    struct relay *y = relay_make(r, api, ask);
    if (y == NULL || !relay_ask(y, r, ask->path, &why)) {
        openai_refuse(r, status_of(why), str_from(llm_failure_label(why)),
                      str_from(llm_failure_text(why)),
                      why == LLM_BUSY ? STR("Retry-After: 1\r\n") : STR_NONE);
        if (y != NULL)
            relay_bury(&y->grave);
        return;
    }
    if (y->published)
        start_writing(y);
    http_keep_only(r, kept, sizeof(kept) / sizeof(kept[0])); // the call has its body
    sse_reply_init(&y->reply, r, reply_gone);
    r->ends_with_peer = true; // nobody pays for an answer that nobody reads
}
