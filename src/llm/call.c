/*
 * call.c - one answer, from the ask to its end: its turn, its request, its tries.
 *
 * Always true:
 *   I1. a call is in its seat's list until it has ended; done() runs once, after that.
 *   I2. once text or a piece was handed out nothing is tried again.
 *   I3. the timer is armed while the call has not ended.
 */
#include "llm/llm_priv.h"

#include "base/must.h"
#include "base/random.h"

#include <stdlib.h>

enum {
    RETRY_AFTER_MAX_S = 30, // a server that wants more is not waited for
    LAST_WORDS_MS = 2000,   // for counts and the end of the stream, behind the last text
    HEADERS_MAX = 3,
};

static bool is_success(unsigned status)
{
    return status >= 200 && status < 300;
}

/* ---- the end ---- */

static void call_free(struct llm_call *call)
{
    completion_fini(&call->reader);
    buf_fini(&call->error_body);
    buf_fini(&call->why);
    buf_fini(&call->made);
    free(call);
}

static void call_bury(struct grave *g)
{
    call_free(container_of(g, struct llm_call, grave));
}

/* From here on nothing calls back but the gate's mail. */
static void call_leave(struct llm_call *call)
{
    call->state = LLM_CALL_ENDED;
    timer_cancel(&call->timer);
    list_remove(&call->link);
    completion_stop(&call->reader);
    if (!gate_leave(&call->seat->llm->gate, &call->waiter))
        loop_bury_later(call->seat->loop, &call->grave, call_bury);
}

/* "the model's server failed (500): out of memory" */
static struct str write_why(struct llm_call *call, enum llm_failure f)
{
    struct str words = buf_str(&call->reader.why);
    if (f == LLM_NONE)
        return STR_NONE;
    struct buf *b = &call->why;
    struct str own = buf_str(b); // words of the HTTP client, or none
    if (own.n > 0)
        words = own;
    struct buf text;
    buf_init(&text, LLM_WHY_MAX);
    (void)buf_add(&text, str_from(llm_failure_text(f)));
    if (call->status > 0 && !is_success(call->status))
        (void)buf_add_format(&text, " (%u)", call->status);
    if (words.n > 0)
        (void)(buf_add(&text, STR(": ")) && buf_add(&text, words));
    buf_fini(b);
    *b = text;
    return buf_str(b);
}

static void count_end(struct llm_call *call, enum llm_failure f)
{
    struct llm_seat *s = call->seat;
    counter_add(f == LLM_NONE ? &s->answers : &s->failures[f], 1);
}

static void report(struct llm_call *call, enum llm_failure f)
{
    const struct completion *c = &call->reader;
    struct llm_result r = {
        .failure = f,
        .why = write_why(call, f),
        .status = call->status,
        .whole = call->whole,
        .model = buf_str(&c->model),
        .finish_reason = buf_str(&c->finish_reason),
        .has_usage = c->has_usage,
        .tokens_in = c->tokens_in,
        .tokens_out = c->tokens_out,
    };
    count_end(call, f);
    call->done(call->ctx, &r);
}

void llm_call_end(struct llm_call *call, enum llm_failure f)
{
    call_leave(
        call); // first: done() may start another call, which then finds this one's place free
    report(call, f);
    http_call_cancel(&call->http); // last: done() may look at headers
}

void llm_cancel(struct llm_call **callp)
{
    struct llm_call *call = *callp;
    *callp = NULL;
    if (call == NULL || call->state == LLM_CALL_ENDED)
        return;
    counter_add(&call->seat->cancelled, 1);
    call_leave(call);
    http_call_cancel(&call->http);
}

/* ---- timers ---- */

/* ms from now, but no later than the answer's own limit. */
static void arm(struct llm_call *call, uint64_t ms)
{
    uint64_t now_ms = loop_now_ms(call->seat->loop);
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
    timer_arm(call->seat->loop, &call->timer, ms < left_ms ? ms : left_ms);
}

static void arm_for_silence(struct llm_call *call)
{
    const struct llm_options *o = &call->seat->llm->options;
    uint64_t ms = call->heard ? o->idle_timeout_ms : o->timeout_ms;
    bool last_words = call->reader.ended || call->reader.finished;
    arm(call, last_words && ms > LAST_WORDS_MS ? LAST_WORDS_MS : ms);
}

/* ---- tries ---- */

static bool may_help(const struct llm_call *call, enum llm_failure f)
{
    const struct llm_options *o = &call->seat->llm->options;
    bool passing = f == LLM_DOWN || f == LLM_LIMITED || f == LLM_UPSTREAM || f == LLM_BROKEN;
    return passing && !call->raw && !call->spoke && call->retries < o->retries;
}

/* Twice as long each time, and not all at once when many have failed together. */
static uint64_t pause_ms(const struct llm_call *call)
{
    uint64_t ms = (uint64_t)call->seat->llm->options.retry_pause_ms << call->retries;
    return ms + random_u64() % (ms / 4 + 1);
}

static bool retry(struct llm_call *call, uint64_t retry_after_s)
{
    struct llm_seat *s = call->seat;
    uint64_t ms = pause_ms(call), now_ms = loop_now_ms(s->loop);
    if (retry_after_s > RETRY_AFTER_MAX_S)
        return false;
    if (ms < retry_after_s * 1000)
        ms = retry_after_s * 1000;
    if (now_ms + ms >= call->deadline_ms)
        return false;
    call->retries++;
    call->state = LLM_CALL_PAUSES;
    counter_add(&s->retries, 1);
    arm(call, ms);
    return true;
}

static void fail(struct llm_call *call, enum llm_failure f, uint64_t retry_after_s)
{
    if (may_help(call, f) && retry(call, retry_after_s))
        http_call_cancel(&call->http);
    else
        llm_call_end(call, f);
}

/* ---- the answer ---- */

static void take_token(void *ctx, struct str text)
{
    struct llm_call *call = ctx;
    struct llm_seat *s = call->seat;
    if (!call->spoke)
        histogram_observe(&s->first_token_ms, loop_now_ms(s->loop) - call->started_ms);
    call->spoke = true;
    counter_add(&s->tokens, 1);
    if (call->token != NULL)
        call->token(call->ctx, text);
}

/* Who wants an answer as it is gets all of it. */
static void take_failure(struct llm_call *call)
{
    if (call->state == LLM_CALL_ASKS && !call->raw)
        fail(call, call->reader.failure, 0);
}

static void take_piece(void *ctx, unsigned status, struct str bytes)
{
    struct llm_call *call = ctx;
    call->status = status;
    call->heard = true;
    reach_answered(&call->seat->llm->reach);
    if (!is_success(status))
        (void)buf_add(&call->error_body, bytes); // what is too long is not looked at
    else if (call->reads && !completion_feed(&call->reader, bytes))
        take_failure(call);
    if (call->state == LLM_CALL_ASKS && call->piece != NULL)
        call->piece(call->ctx, call, status, bytes);
    if (call->state == LLM_CALL_ASKS)
        arm_for_silence(call);
}

static enum llm_failure failure_of_status(unsigned status)
{
    if (status == 401 || status == 403)
        return LLM_DENIED;
    if (status == 404)
        return LLM_UNKNOWN;
    if (status == 429)
        return LLM_LIMITED;
    if (status == 408 || status >= 500)
        return LLM_UPSTREAM;
    return status >= 400 ? LLM_REFUSED : LLM_GARBAGE; // a redirection is not followed
}

static uint64_t retry_after_s(const struct llm_call *call)
{
    uint64_t s;
    struct str text = llm_call_header(call, "Retry-After");
    return str_to_u64(str_trim(text), &s) ? s : 0; // a date is not waited for
}

static enum llm_failure whole_answer(struct llm_call *call)
{
    if (!is_success(call->status)) {
        completion_read_error(buf_str(&call->error_body), &call->reader.why);
        return failure_of_status(call->status);
    }
    if (call->reads && !completion_end(&call->reader))
        return call->reader.failure;
    return LLM_NONE;
}

/* "http://127.0.0.1:1234/v1: Couldn't connect to server" */
static void write_down(struct llm_call *call, struct str why)
{
    struct buf *b = &call->why;
    (void)(buf_add(b, reach_url(&call->seat->llm->reach)) && buf_add(b, STR(": ")) &&
           buf_add(b, why));
}

/* Without a whole answer: what the last piece completed counts all the same. */
static enum llm_failure cut_answer(struct llm_call *call, const struct http_result *r)
{
    if (call->reads && call->reader.failure == LLM_NONE &&
        (call->reader.ended || call->reader.finished))
        return LLM_NONE;
    if (r->connected)
        return LLM_BROKEN;
    reach_failed(&call->seat->llm->reach, str_from(r->why));
    write_down(call, str_from(r->why));
    return LLM_DOWN;
}

static void call_answered(void *ctx, const struct http_result *r)
{
    struct llm_call *call = ctx;
    enum llm_failure f;
    call->whole = r->why == NULL;
    if (r->status > 0) {
        call->status = r->status;
        reach_answered(&call->seat->llm->reach);
    }
    f = r->why == NULL ? whole_answer(call) : cut_answer(call, r);
    if (f == LLM_NONE)
        llm_call_end(call, LLM_NONE);
    else
        fail(call, f, retry_after_s(call));
    call->http = NULL;
}

/* ---- the request ---- */

static bool write_url(const struct llm_call *call, struct buf *out)
{
    return buf_add(out, call->seat->llm->options.url) && buf_add(out, call->path);
}

static bool write_authorization(const struct llm_call *call, struct buf *out)
{
    return buf_add(out, STR("Bearer ")) && buf_add(out, call->seat->llm->options.api_key);
}

static struct http_call *start_http(struct llm_call *call, struct str url, struct str authorization)
{
    struct http_header headers[HEADERS_MAX];
    size_t n = 0;
    if (call->type.n > 0)
        headers[n++] = (struct http_header){STR("Content-Type"), call->type};
    headers[n++] = (struct http_header){STR("Accept"), STR("text/event-stream, application/json")};
    if (call->seat->llm->options.api_key.n > 0)
        headers[n++] = (struct http_header){STR("Authorization"), authorization};
    return http_call_start(call->seat->client,
                           &(struct http_call_params){
                               .method = call->body.n > 0 ? HTTP_POST : HTTP_GET,
                               .url = url,
                               .headers = headers,
                               .header_count = n,
                               .body = call->body,
                               .connect_timeout_ms = call->seat->llm->options.connect_timeout_ms,
                               .piece = take_piece,
                               .done = call_answered,
                               .ctx = call,
                           });
}

/* When it cannot be started, the timer says so: never from inside llm_start(). */
static void call_ask(struct llm_call *call)
{
    struct buf url, authorization;
    completion_fini(&call->reader);
    completion_init(&call->reader, call->seat->llm->options.answer_max_bytes, take_token, call);
    buf_clear(&call->error_body);
    buf_clear(&call->why);
    call->heard = false;
    call->status = 0;
    call->state = LLM_CALL_ASKS;
    buf_init(&url, LLM_URL_MAX);
    buf_init(&authorization, LLM_URL_MAX);
    if (write_url(call, &url) && write_authorization(call, &authorization))
        call->http = start_http(call, buf_str(&url), buf_str(&authorization));
    buf_fini(&url);
    buf_fini(&authorization);
    if (call->http != NULL)
        arm_for_silence(call);
    else
        timer_arm(call->seat->loop, &call->timer, 0);
}

static void call_take_turn(struct llm_call *call)
{
    call->deadline_ms = loop_now_ms(call->seat->loop) + call->seat->llm->options.answer_timeout_ms;
    call_ask(call);
}

static void turn_arrived(struct mail *m, struct loop *l)
{
    struct waiter *w = container_of(m, struct waiter, mail);
    struct llm_call *call = container_of(w, struct llm_call, waiter);
    if (gate_arrived(&call->seat->llm->gate, w))
        call_take_turn(call);
    else
        loop_bury_later(l, &call->grave, call_bury);
}

/* The server has ended its text and does not end its answer. */
static bool said_all(const struct llm_call *call)
{
    return call->reads && call->reader.failure == LLM_NONE &&
           (call->reader.ended || call->reader.finished);
}

/* The HTTP client could not begin: no URL, or no memory. */
static void end_unasked(struct llm_call *call)
{
    write_down(call, STR("it cannot be asked"));
    llm_call_end(call, LLM_DOWN);
}

static void timer_fired(struct timer *t)
{
    struct llm_call *call = container_of(t, struct llm_call, timer);
    if (call->state == LLM_CALL_WAITS)
        llm_call_end(call, LLM_BUSY);
    else if (call->state == LLM_CALL_PAUSES)
        call_ask(call);
    else if (call->http == NULL)
        end_unasked(call);
    else
        llm_call_end(call, said_all(call) ? LLM_NONE : LLM_TIMEOUT);
}

/* ---- the ask ---- */

static struct llm_call *call_make(struct llm_seat *s, const struct llm_ask *ask)
{
    struct llm_call *call =
        malloc(sizeof(*call) + ask->raw_path.n + ask->raw_type.n + ask->raw_body.n);
    if (call == NULL)
        return NULL;
    *call = (struct llm_call){
        .seat = s,
        .raw = ask->raw_path.n > 0,
        .reads = ask->raw_path.n == 0 || ask->token != NULL,
        .piece = ask->piece,
        .token = ask->token,
        .done = ask->done,
        .ctx = ask->ctx,
        .started_ms = loop_now_ms(s->loop),
    };
    char *at = call->bytes;
    call->path = str_put(&at, ask->raw_path);
    call->type = str_put(&at, ask->raw_type);
    call->body = str_put(&at, ask->raw_body);
    call->deadline_ms = UINT64_MAX;
    waiter_init(&call->waiter, s->loop, turn_arrived);
    timer_init(&call->timer, timer_fired);
    completion_init(&call->reader, s->llm->options.answer_max_bytes, take_token, call);
    buf_init(&call->error_body, LLM_ERROR_BODY_MAX);
    buf_init(&call->why, LLM_WHY_MAX);
    list_add(&s->calls, &call->link);
    return call;
}

static bool call_write_request(struct llm_call *call, const struct llm_ask *ask)
{
    const struct llm_options *o = &call->seat->llm->options;
    struct llm_settings settings = llm_settings_merge(&ask->settings, &o->settings);
    if (call->raw)
        return true;
    if (!request_write(&call->made, &settings, ask, o->count_tokens))
        return false;
    call->path = STR("/chat/completions");
    call->type = STR("application/json");
    call->body = buf_str(&call->made);
    return true;
}

static bool refuse(enum llm_failure f, enum llm_failure *ret_why)
{
    *ret_why = f;
    return false;
}

/* Asks, or gets in line. */
static bool call_begin(struct llm_call *call, struct str tenant, enum llm_failure *ret_why)
{
    struct llm *llm = call->seat->llm;
    bool waits_for_nothing = call->raw && call->body.n == 0;
    enum gate_answer answer =
        waits_for_nothing ? GATE_OPEN : gate_enter(&llm->gate, &call->waiter, tenant);
    if (answer == GATE_FULL)
        return refuse(LLM_BUSY, ret_why);
    if (answer == GATE_OPEN)
        call_take_turn(call);
    else
        timer_arm(call->seat->loop, &call->timer, llm->options.queue_timeout_ms);
    return true;
}

static bool call_start(struct llm_call *call, const struct llm_ask *ask, enum llm_failure *ret_why)
{
    if (!call_write_request(call, ask))
        return refuse(LLM_MEMORY, ret_why);
    return call_begin(call, ask->tenant, ret_why);
}

struct llm_call *llm_start(struct llm *llm, struct loop *l, const struct llm_ask *ask,
                           enum llm_failure *ret_why)
{
    MUST(loop_index(l) < llm->seat_count);
    struct llm_seat *s = &llm->seats[loop_index(l)];
    if (atomic_load(&llm->ending)) {
        *ret_why = LLM_ENDING;
        return NULL;
    }
    struct llm_call *call = call_make(s, ask);
    if (call == NULL) {
        *ret_why = LLM_MEMORY;
        return NULL;
    }
    if (call_start(call, ask, ret_why))
        return call;
    counter_add(&s->failures[*ret_why], 1);
    list_remove(&call->link);
    call_free(call);
    return NULL;
}

struct str llm_call_header(const struct llm_call *call, const char *name)
{
    return call->http != NULL ? http_call_header(call->http, name) : STR_NONE;
}

struct str llm_call_id(const struct llm_call *call)
{
    return buf_str(&call->reader.id);
}

struct str llm_call_model(const struct llm_call *call)
{
    return buf_str(&call->reader.model);
}
