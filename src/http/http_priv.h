/* http_priv.h - what the files of this layer share: the server and one connection's HTTP state.
 * Thread:  the server's loop.
 * Memory:  struct http_conn lives from accept to take-over or close; it frees itself at the end of
 *          the turn when one of its callbacks may be on the stack.
 * Failure: as in http.h. */
#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

#include "base/must.h"
#include "base/stats.h"
#include "http/http.h"
#include "http/parser.h"

enum { HTTP_SPARE_MAX = 32, HTTP_SPARE_BYTES = 8192, HTTP_DATE_BYTES = 29, HTTP_LINGER_MS = 2000 };
/* So many unsent bytes of answers, and the next request waits. */
enum { HTTP_UNSENT_MAX = 65536, HTTP_PIECE_BYTES = 65536, HTTP_OUT_LEAST = 256 * 1024 };

/* "10.0.0.0/8" of the trusted proxies. */
struct http_net {
    struct addr addr;
    unsigned bits;
};

struct http_server {
    struct flusher *flusher;
    const struct http_router *router;
    struct http_options options;
    struct http_net *proxies;
    size_t proxy_count;
    struct list conns; // struct http_conn.link
    struct counter requests, by_status[6], bad_requests;
    struct gauge open_count;
    struct buf spares[HTTP_SPARE_MAX]; // of idle connections
    size_t spare_count;
    bool draining, stopped;
    struct http_server *const *peers; // by loop; NULL: alone
    unsigned peer_count;
    int64_t date_s; // of date[]
    char date[HTTP_DATE_BYTES + 1];
};

enum http_phase {
    HTTP_IDLE,    // between two requests
    HTTP_IN_HEAD, // its first byte has come
    HTTP_IN_BODY, // its head is complete
    HTTP_HANDLED, // a route has it
    HTTP_SENDING, // answered, the rest of a long answer waits for the socket
    HTTP_CLOSING, // nothing more is read
    HTTP_TAKEN,   // the connection is another's
    HTTP_MOVING,  // on its way to another loop, with the request
    HTTP_PHASE_COUNT
};

struct http_conn {
    struct conn *conn; // NULL: closed
    struct http_server *server;
    struct http_server *target; // HTTP_MOVING: where it goes
    struct list link;
    struct timer timer; // of the phase
    struct grave grave;
    struct mail mail; // on its way to another loop
    struct http_parser parser;
    struct http_request request;
    struct buf in;   // head, decoded path, table of headers, body
    struct buf rest; // came behind the request that is being answered
    size_t rest_at;
    char *long_body;                  // what http_reply() could not yet hand to the connection
    struct str unsent;                // of it, or of an asset
    const struct conn_handler *taker; // of a connection taken over with bytes left to hand over
    struct conn_handler handover;     // stands in for taker until then
    uint32_t request_count;
    uint8_t phase;   // enum http_phase, written by http_go() only
    bool serving;    // http_serve() is on the stack
    bool buried;     // the end of the turn will call
    bool paused;     // reading
    bool keep_alive; // after this answer
    bool peer_ended;
};

static inline struct http_conn *http_conn_of(const struct http_request *r)
{
    return container_of((struct http_request *)(uintptr_t)r, struct http_conn, request);
}

extern const struct conn_handler http_conn_handler;

/* exchange.c */
void http_go(struct http_conn *hc, enum http_phase to);
struct http_conn *http_conn_create(struct http_server *s);
void http_conn_destroy(struct http_conn *hc);
/* The server may have use for the connection's buffer; it has none then. */
void http_give_buffer(struct http_conn *hc);
/* Whether the connection may go on after the answer that is about to be given. */
bool http_may_keep_alive(const struct http_conn *hc);
/* The answer has been handed over whole: on to the next request, or the end. */
void http_exchange_done(struct http_conn *hc);

static inline bool http_has_rest(const struct http_conn *hc)
{
    return hc->rest.len > hc->rest_at;
}
/* No function of hc is on the stack then. */
void http_call_at_end_of_turn(struct http_conn *hc);

/* takeover.c */
/* Bytes that HTTP has no use for go to whoever took the connection. */
void http_hand_rest(struct http_conn *hc, struct conn *c, char *p, size_t n);
/* For a request that was taken over later: the taker is ready for what was kept. */
void http_handover_end(struct http_conn *hc);

/* move.c: no function of hc is on the stack. */
void http_move_away(struct http_conn *hc);

/* request.c: reads the head that stands in hc->in into hc->request. False: hc->parser says why. */
bool http_request_read(struct http_conn *hc);
/* After some of the body has come: hc->in may have moved. */
void http_request_renew(struct http_conn *hc);

/* uri.c */
bool percent_decode(struct str s, bool plus_is_space, char *at, size_t cap, size_t *ret_len);

/* proxy.c */
bool http_proxies_parse(struct http_server *s);
void http_proxy_apply(const struct http_server *s, struct http_request *r);

/* router.c: answers r. */
void http_router_handle(const struct http_router *rt, struct http_request *r);
/* There is a route for it, which was added with HTTP_ANY_BODY. */
bool http_router_takes_any_body(const struct http_router *rt, const struct http_request *r);

/* reply.c */
const char *http_date(struct http_server *s);
/* Body bytes that stay as they are for the program's lifetime. */
void http_reply_const(struct http_request *r, unsigned status, struct str content_type,
                      struct str body, struct str extra);
void http_send_more(struct http_conn *hc);
/* Says what HTTP itself does not accept; the caller closes. line: of the head, 0: none. */
void http_write_refusal(struct http_conn *hc, unsigned status, const char *why, uint32_t line);

/* cors.c: answers OPTIONS for a path whose methods are these bits. */
void http_reply_options(struct http_request *r, unsigned methods);
/* "GET, HEAD, POST" into at; returns the length. */
enum { HTTP_METHODS_TEXT_MAX = 80 };
size_t http_methods_format(unsigned methods, char at[HTTP_METHODS_TEXT_MAX]);
struct str http_method_text(enum http_method m);

#endif
