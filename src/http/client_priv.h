/* client_priv.h - what the two files of the client share: a call, and who drives it.
 * Thread:  the loop's.
 * Memory:  a call is one block with its URL and its body; the client's list holds it.
 * Failure: as in client.h. */
#ifndef HTTP_CLIENT_PRIV_H
#define HTTP_CLIENT_PRIV_H

#include <curl/curl.h>

#include "base/buf.h"
#include "base/stats.h"
#include "http/client.h"
#include "loop/loop.h"

enum http_call_state {
    CALL_WAITING,  // to be given to libcurl
    CALL_RUNNING,  // libcurl has it
    CALL_FINISHED, // done() runs
    CALL_CANCELLED // goes when libcurl has returned
};

struct http_call {
    struct list link; // in client.calls, client.crowd or client.chores
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    void (*piece)(void *ctx, unsigned status, struct str bytes);
    void (*done)(void *ctx, const struct http_result *result);
    void *ctx;
    struct buf kept; // of the answer
    struct timer idle;
    uint32_t idle_timeout_ms;
    uint8_t state;     // enum http_call_state
    bool head_was_all; // of the answer: its body is not read
    const char *why;   // ended by us; NULL: libcurl says why
    struct str body;
    char bytes[]; // URL with its terminator, body
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct list calls, wires;
    struct list crowd;  // calls that wait for a turn in which fewer have begun
    struct list chores; // those that were cancelled, until libcurl returns
    uint32_t begun;     // since the works of the last turn
    struct work work;   // drives what is due at once, in this turn
    struct timer timer; // what is due later, or came after the work of this turn
    bool due;
    bool ending;
    bool driving; // libcurl is on the stack: it must not be called
    uint32_t calls_max;
    char *agent;
    struct counter started, failed;
    struct gauge under_way;
};

/* The call is given to libcurl by client_begin(). NULL: no memory, or not a URL. */
struct http_call *call_make(struct http_client *c, const struct http_call_params *p);
/* libcurl has it no more. */
void call_free(struct http_call *call);
/* Ends it with done(). */
void call_finish(struct http_call *call, CURLcode code);
/* Silence was too long: ends it. */
void client_abort(struct http_call *call);

#endif
