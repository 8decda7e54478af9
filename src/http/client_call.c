/*
 * client_call.c - one outgoing request: what libcurl is told of it, and what comes back.
 *
 * Always true:
 *   I1. only http and https, no proxy of the environment, no redirection: a key goes to the server
 *       that it was meant for.
 *   I2. an answer is never longer in memory than body_max_bytes.
 */
#include "http/client_priv.h"

#include "base/must.h"

#include <stdlib.h>

/* ---- what comes back ---- */

static unsigned answer_status(const struct http_call *call)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return (unsigned)status;
}

static bool answer_was_asked_for(const struct http_call *call)
{
    curl_off_t sent_us = 0;
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    return sent_us > 0;
}

struct str http_call_header(const struct http_call *call, const char *name)
{
    struct curl_header *h;
    if (curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return STR_NONE;
    return str_from(h->value);
}

static void call_heard(struct http_call *call)
{
    if (call->idle_timeout_ms > 0)
        timer_arm(call->client->loop, &call->idle, call->idle_timeout_ms);
}

static size_t take_body(char *p, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;
    struct str bytes = {p, size * n};
    if (call->state != CALL_RUNNING)
        return 0; // libcurl ends a transfer whose bytes are not taken
    call_heard(call);
    if (call->piece != NULL) {
        call->piece(call->ctx, answer_status(call), bytes);
        return call->state == CALL_RUNNING ? bytes.n : 0;
    }
    if (!buf_add(&call->kept, bytes)) {
        call->why = "the answer is too long";
        return 0;
    }
    return bytes.n;
}

/* A redirection, which is not followed, and a change of protocol, which was not asked for: what
 * stands behind such a head is nothing that anybody waits for. */
static bool head_is_all(unsigned status)
{
    return status == 101 || (status >= 300 && status < 400);
}

static size_t take_header(char *p, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;
    struct str line = {p, size * n};
    call_heard(call);
    bool ends = str_eq(line, STR("\r\n")) || str_eq(line, STR("\n"));
    call->head_was_all = ends && head_is_all(answer_status(call));
    return call->head_was_all ? 0 : line.n; // libcurl ends a transfer whose bytes are not taken
}

static void idle_fire(struct timer *t)
{
    client_abort(container_of(t, struct http_call, idle));
}

static const char *failure_text(const struct http_call *call, CURLcode code)
{
    if (call->why != NULL)
        return call->why;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "no answer in time";
    case CURLE_FILESIZE_EXCEEDED:
        return "the answer is too long";
    case CURLE_PARTIAL_FILE:
        return "the answer was cut off";
    default:
        return curl_easy_strerror(code);
    }
}

void call_finish(struct http_call *call, CURLcode code)
{
    struct http_result result = {0};
    char *type = NULL;
    call->state = CALL_FINISHED;
    timer_cancel(&call->idle);
    result.connected = answer_was_asked_for(call);
    if ((code == CURLE_OK || call->head_was_all) && call->why == NULL) {
        curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
        result.status = answer_status(call);
        result.content_type = str_from(type);
        result.body = buf_str(&call->kept);
    } else {
        result.why = failure_text(call, code);
        counter_add(&call->client->failed, 1);
    }
    call->done(call->ctx, &result);
}

/* ---- what libcurl is told ---- */

static bool header_is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    }
    return true;
}

static bool add_line(struct http_call *call, const char *line)
{
    struct curl_slist *more = curl_slist_append(call->headers, line);
    if (more != NULL)
        call->headers = more;
    return more != NULL;
}

static bool add_header(struct http_call *call, const struct http_header *h)
{
    struct buf line;
    if (h->name.n == 0 || !header_is_clean(h->name) || !header_is_clean(h->value))
        return false;
    buf_init(&line, h->name.n + h->value.n + 3);
    bool ok = buf_add(&line, h->name) && buf_add(&line, h->value.n > 0 ? STR(": ") : STR(";")) &&
              buf_add(&line, h->value) && buf_add_char(&line, '\0') && add_line(call, line.p);
    buf_fini(&line);
    return ok;
}

static bool add_headers(struct http_call *call, const struct http_call_params *p)
{
    bool typed = false;
    for (size_t i = 0; i < p->header_count; i++) {
        if (!add_header(call, &p->headers[i]))
            return false;
        typed |= str_eq_nocase(p->headers[i].name, STR("Content-Type"));
    }
    return (typed || add_line(call, "Content-Type:")) && // none but the caller's
           add_line(call, "Expect:");                    // no round trip before the body
}

static bool url_is_ours(struct str url, const char *z)
{
    bool web = (url.n > 7 && str_eq_nocase((struct str){url.p, 7}, STR("http://"))) ||
               (url.n > 8 && str_eq_nocase((struct str){url.p, 8}, STR("https://")));
    if (!web || !header_is_clean(url))
        return false;
    CURLU *u = curl_url();
    bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, z, 0) == CURLUE_OK;
    curl_url_cleanup(u);
    return ok;
}

static void set_limits(struct http_call *call, const struct http_call_params *p)
{
    uint32_t connect_ms = p->connect_timeout_ms > 0 ? p->connect_timeout_ms : p->timeout_ms;
    if (connect_ms > 0)
        curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
    if (p->piece == NULL && p->body_max_bytes > 0)
        curl_easy_setopt(call->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)p->body_max_bytes);
}

static void set_options(struct http_call *call, const struct http_call_params *p)
{
    CURL *e = call->easy;
    const char *url = call->bytes;
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* A name that is being looked up does not hold the loop when its call ends first. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_PRIVATE, (char *)call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
    if (call->client->agent != NULL)
        curl_easy_setopt(e, CURLOPT_USERAGENT, call->client->agent);
    if (p->method == HTTP_POST) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body.p);
    }
    set_limits(call, p);
}

struct http_call *call_make(struct http_client *c, const struct http_call_params *p)
{
    if (p->method != HTTP_GET && p->method != HTTP_POST)
        return NULL;
    struct http_call *call = malloc(sizeof(*call) + p->url.n + 1 + p->body.n);
    if (call == NULL)
        return NULL;
    *call = (struct http_call){
        .client = c,
        .piece = p->piece,
        .done = p->done,
        .ctx = p->ctx,
        .idle_timeout_ms = p->idle_timeout_ms,
    };
    char *at = call->bytes;
    list_init(&call->link);
    timer_init(&call->idle, idle_fire);
    buf_init(&call->kept, p->body_max_bytes);
    str_put(&at, p->url);
    *at++ = '\0';
    call->body = (struct str){at, p->body.n};
    str_put(&at, p->body);
    if (!url_is_ours(p->url, call->bytes) || !add_headers(call, p) ||
        (call->easy = curl_easy_init()) == NULL) {
        call_free(call);
        return NULL;
    }
    set_options(call, p);
    return call;
}

void call_free(struct http_call *call)
{
    list_remove(&call->link);
    timer_cancel(&call->idle);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    buf_fini(&call->kept);
    free(call);
}
