/* client.h - requests to other servers: back ends, webhooks, models. One client per loop.
 *
 * Thread:  the loop's.
 * Memory:  what a call is given is copied. A call frees itself after done().
 * Failure: done() comes exactly once, never from inside http_call_start(), with an answer or with
 *          why there is none; not at all after http_call_cancel(). An answer of 3xx or 101 is whole
 *          with its head: nothing is followed, and nothing else is spoken. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/str.h"
#include "http/http.h"

struct http_client;
struct http_call;

struct http_client_options {
    uint32_t calls_max;                // under way at once; more are refused
    uint32_t connections_per_host_max; // further calls wait for one of them; 0: 256
    struct str agent;                  // User-Agent
};
/* NULL: no memory, or libcurl refused. */
struct http_client *http_client_create(struct loop *l, const struct http_client_options *o);
/* Calls under way end with done(), which can start no others. */
void http_client_destroy(struct http_client **cp);

struct http_result {
    unsigned status;         // 0: no answer, and why says so
    struct str content_type; // "" none
    struct str body;         // "" when pieces were taken
    const char *why;         // static text; NULL: a whole answer came
    bool connected;          // to the server, which may have heard what was asked
};

struct http_call_params {
    enum http_method method; // HTTP_GET or HTTP_POST
    struct str url;
    const struct http_header *headers;
    size_t header_count;
    struct str body;
    uint32_t connect_timeout_ms; // 0: timeout_ms
    uint32_t timeout_ms;         // of the whole call; 0: none
    uint32_t idle_timeout_ms;    // of silence, until and within the answer; 0: none
    size_t body_max_bytes;       // of an answer kept for done(); more ends the call
    /* The answer as it comes; the status is known. NULL: it is kept for done(). */
    void (*piece)(void *ctx, unsigned status, struct str bytes);
    void (*done)(void *ctx, const struct http_result *result);
    void *ctx;
};

/* NULL: no memory, too many calls, or not a URL (http and https only). */
struct http_call *http_call_start(struct http_client *c, const struct http_call_params *p);
void http_call_cancel(struct http_call **callp);
/* In piece() and done(): a header of the answer, or "". name has a terminator. */
struct str http_call_header(const struct http_call *call, const char *name);

struct http_client_stats {
    uint64_t calls, failures, under_way;
};
/* From any thread. */
void http_client_read_stats(const struct http_client *c, struct http_client_stats *ret);

#endif
