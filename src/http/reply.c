/*
 * reply.c - an answer, from its status to its last byte.
 * Always true: a request is answered once; head and a short body leave with one reservation, a long
 * body follows in pieces as the socket takes them.
 */
#include "http/http_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/must.h"

enum { STATUS_TEXT_MAX = 40, HEAD_FIXED_MAX = 256, CORS_MAX = 1024, ERROR_TEXT_MAX = 2048 };

static const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].status == status)
            return texts[i].text;
    }
    return "Status";
}

const char *http_date(struct http_server *s)
{
    int64_t now_s = loop_wall_ms(s->flusher->loop) / 1000;
    if (now_s == s->date_s)
        return s->date;
    time_t t = (time_t)now_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    s->date_s = now_s;
    return s->date;
}

/* Writes into room that was reserved for all of it. */
static char *put(char *at, struct str s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_status(char *at, unsigned status)
{
    at = put(at, STR("HTTP/1.1 "));
    at += u64_digits(at, status);
    *at++ = ' ';
    at = put(at, str_from(status_text(status)));
    return put(at, STR("\r\nDate: "));
}

static bool has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

struct answer {
    unsigned status;
    struct str content_type, body, extra;
};

static char *put_head(char *at, struct http_conn *hc, const struct answer *a)
{
    at = put_status(at, a->status);
    at = put(at, (struct str){http_date(hc->server), HTTP_DATE_BYTES});
    if (a->content_type.n > 0)
        at = put(put(at, STR("\r\nContent-Type: ")), a->content_type);
    if (!has_no_body(a->status)) {
        at = put(at, STR("\r\nContent-Length: "));
        at += u64_digits(at, a->body.n);
    }
    if (!hc->keep_alive)
        at = put(at, STR("\r\nConnection: close"));
    else if (hc->request.minor == 0)
        at = put(at, STR("\r\nConnection: keep-alive"));
    at = put(at, STR("\r\n"));
    at += http_cors_headers(&hc->request, at, CORS_MAX);
    return put(put(at, a->extra), STR("\r\n"));
}

static void count_status(struct http_conn *hc, unsigned status)
{
    if (status >= 100 && status < 600)
        counter_add(&hc->server->by_status[status / 100], 1);
}

/* The first piece of the answer; *rest is what is left of its body. */
static bool send_first(struct http_conn *hc, const struct answer *a, struct str *rest)
{
    bool bodyless = has_no_body(a->status) || hc->request.method == HTTP_HEAD;
    struct str body = bodyless ? STR_NONE : a->body;
    size_t now = body.n <= HTTP_PIECE_BYTES ? body.n : 0;
    size_t most = STATUS_TEXT_MAX + HEAD_FIXED_MAX + CORS_MAX + a->content_type.n + a->extra.n;
    char *start = conn_reserve(hc->conn, most + now);
    *rest = STR_NONE;
    if (start == NULL)
        return false;
    char *at = put_head(start, hc, a);
    at = put(at, (struct str){body.p, now});
    MUST((size_t)(at - start) <= most + now);
    conn_commit(hc->conn, (size_t)(at - start));
    *rest = str_skip(body, now);
    return true;
}

/* Sends what is unsent, now and whenever the socket has taken the last piece. */
static void send_rest(struct http_conn *hc, struct str rest, bool constant)
{
    if (rest.n == 0) {
        http_exchange_done(hc);
        return;
    }
    if (!constant) {
        hc->long_body = malloc(rest.n);
        if (hc->long_body == NULL) {
            conn_abort(hc->conn, CLOSE_INTERNAL);
            return;
        }
        memcpy(hc->long_body, rest.p, rest.n);
        rest.p = hc->long_body;
    }
    hc->unsent = rest;
    http_go(hc, HTTP_SENDING);
    http_send_more(hc);
}

void http_send_more(struct http_conn *hc)
{
    if (conn_pending(hc->conn) > HTTP_UNSENT_MAX)
        return; // drained() will call again
    struct str piece = hc->unsent;
    if (piece.n > HTTP_PIECE_BYTES)
        piece.n = HTTP_PIECE_BYTES;
    if (!conn_send(hc->conn, piece))
        return; // closed() will tell
    hc->unsent = str_skip(hc->unsent, piece.n);
    http_go(hc, HTTP_SENDING);
    if (hc->unsent.n > 0)
        return;
    free(hc->long_body);
    hc->long_body = NULL;
    http_exchange_done(hc);
}

static void reply(struct http_request *r, const struct answer *a, bool constant)
{
    struct http_conn *hc = http_conn_of(r);
    struct str rest;
    MUST(hc->phase == HTTP_HANDLED);
    r->gone = NULL; // the route is done with it, whatever becomes of the peer
    hc->keep_alive = http_may_keep_alive(hc);
    count_status(hc, a->status);
    if (send_first(hc, a, &rest))
        send_rest(hc, rest, constant);
}

void http_reply(struct http_request *r, unsigned status, struct str content_type, struct str body,
                struct str extra)
{
    reply(r, &(struct answer){status, content_type, body, extra}, false);
}

void http_reply_const(struct http_request *r, unsigned status, struct str content_type,
                      struct str body, struct str extra)
{
    reply(r, &(struct answer){status, content_type, body, extra}, true);
}

void http_reply_raw(struct http_request *r, struct str bytes)
{
    struct http_conn *hc = http_conn_of(r);
    size_t now = bytes.n < HTTP_PIECE_BYTES ? bytes.n : HTTP_PIECE_BYTES;
    MUST(hc->phase == HTTP_HANDLED);
    r->gone = NULL;
    hc->keep_alive = false;
    if (bytes.n > 12 && str_starts(bytes, STR("HTTP/1.")))
        count_status(hc, (unsigned)(bytes.p[9] - '0') * 100);
    if (conn_send(hc->conn, (struct str){bytes.p, now}))
        send_rest(hc, str_skip(bytes, now), false);
}

/* ---- errors ---- */

static void error_body(struct buf *b, unsigned code, struct str message)
{
    buf_add(b, STR("{\"error\":{\"code\":"));
    buf_add_u64(b, code);
    buf_add(b, STR(",\"message\":"));
    json_write_string(b, message); // what is not UTF-8 of what was asked comes back as U+FFFD
    buf_add(b, STR("}}"));
}

void http_reply_error(struct http_request *r, unsigned status, unsigned code, struct str message)
{
    struct buf body;
    buf_init(&body, ERROR_TEXT_MAX * 8);
    if (message.n > ERROR_TEXT_MAX)
        message.n = ERROR_TEXT_MAX;
    error_body(&body, code, message);
    http_reply(r, status, STR("application/json"), buf_str(&body), STR_NONE);
    buf_fini(&body);
}

bool http_refuse(struct http_request *r, enum err err, const char *why)
{
    http_reply_error(r, err_http_status(err), err_code(err),
                     why != NULL ? str_from(why) : err_message(err));
    return false;
}

void http_write_refusal(struct http_conn *hc, unsigned status, const char *why, uint32_t line)
{
    struct buf body;
    struct str rest;
    char message[256];
    int n = line > 0 ? snprintf(message, sizeof(message), "line %u of the head: %s", line, why)
                     : snprintf(message, sizeof(message), "%s", why);
    MUST(n > 0 && (size_t)n < sizeof(message));
    buf_init(&body, ERROR_TEXT_MAX);
    error_body(&body, status, (struct str){message, (size_t)n});
    hc->keep_alive = false;
    counter_add(&hc->server->bad_requests, 1);
    count_status(hc, status);
    struct answer a = {status, STR("application/json"), buf_str(&body), STR_NONE};
    send_first(hc, &a, &rest);
    buf_fini(&body);
}
