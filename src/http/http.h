/* http.h - HTTP/1.1 on a connection: requests in, one answer each, or an upgrade.
 *
 * A request is handed to its route when its head and body are complete and within their limits;
 * the route answers at once or later. Pipelined requests wait their turn.
 *
 * Thread:  the connection's loop; routers are built before the loops start and never change.
 * Memory:  the request belongs to the connection; its strings live until it is answered, taken over
 *          (http_take_conn) or its peer has gone. Nothing of HTTP is left after a take-over.
 * Failure: bad input is answered (400, 404, 405, 408, 411, 413, 414, 417, 426, 431, 501, 505) with
 * a JSON error body and closed; a route never sees it. One that was added with
 * HTTP_ANY_BODY refuses bodies over the limit itself. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/err.h"
#include "base/str.h"
#include "net/conn.h"

enum http_method {
    HTTP_NONE,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_OTHER
};

enum { HTTP_HEADER_MAX = 100 };

struct http_header {
    struct str name, value; // the name as it was sent; compare with str_eq_nocase()
};

struct http_request {
    enum http_method method;
    struct str method_text;
    struct str target;   // as sent: path and query
    struct str path;     // percent-decoded
    struct str raw_path; // as sent
    struct str query;    // as sent, without the '?'
    unsigned minor;      // HTTP/1.minor
    struct http_header *headers;
    size_t header_count;
    struct str body;
    bool body_too_big;        // HTTP_ANY_BODY: it is not here, the connection ends with the answer
    bool keep_alive, upgrade; // upgrade: "Connection: upgrade" was said
    struct str param;         // what the last part of a pattern "/ws/project/{id}" matched, decoded
    void *route_ctx;          // as given to http_router_add()
    const struct http_server *server;
    struct addr peer; // of the socket, or of X-Forwarded-For behind a trusted proxy
    bool tls;
    bool cors_any; // set by a route: the answer names any Origin back, as far as it sent one
    /* For a route that answers later: called when the peer goes first; the request is gone then. */
    void (*gone)(struct http_request *r, void *ctx);
    void *gone_ctx;
    bool ends_with_peer; // set by such a route: a peer that says no more has gone, as closed
                         // sockets look; without it, it may have closed its half and still read
};

/* First header of that name, or STR_NONE. */
struct str http_header(const struct http_request *r, struct str name);
/* A comma-separated header has this token. */
bool http_header_has(const struct http_request *r, struct str name, struct str token);
/* Percent-decoded value of a query parameter into at (cap bytes); false: absent or too long. */
bool http_query(const struct http_request *r, struct str name, char *at, size_t cap,
                struct str *ret);
/* How often a query parameter stands there, readable or not. */
size_t http_query_count(const struct http_request *r, struct str name);
/* Cuts the next parameter's name, as it stands there, off *rest, which is r->query at first. False:
 * there is none. */
bool http_query_next(struct str *rest, struct str *ret_name);
/* The name of a parameter is this text, percent-decoded. */
bool http_query_is(struct str coded, struct str name);
/* The n-th (from 0) value of a repeated parameter. */
bool http_query_nth(const struct http_request *r, struct str name, size_t nth, char *at, size_t cap,
                    struct str *ret);

/* Answers with a whole body. extra: header lines, each ended by \r\n, or STR_NONE. Every
 * answer carries Content-Length and, where the server's CORS rules allow, the CORS headers. */
void http_reply(struct http_request *r, unsigned status, struct str content_type, struct str body,
                struct str extra);
/* {"error":{"code":code,"message":"..."}} */
void http_reply_error(struct http_request *r, unsigned status, unsigned code, struct str message);
/* The same with the status and the code of err; why NULL: its own message. Returns false. */
bool http_refuse(struct http_request *r, enum err err, const char *why);
/* 405, and which methods the path has (bits as of http_router_add()). */
void http_refuse_method(struct http_request *r, unsigned methods);
/* Exact bytes, for contracts that fix the whole response; then closes. */
void http_reply_raw(struct http_request *r, struct str bytes);

/* Takes the connection over: HTTP forgets it, and the struct conn is a heap block of its own that
 * the new handler frees with free() in closed(). conn->owner is the new handler's. Bytes that came
 * behind the request's head are handed to the new handler's data() right after the current
 * callback. r's strings stay valid until the route's handler returns. */
struct conn *http_take_conn(struct http_request *r, const struct conn_handler *handler);
/* The same without handing over: for looking at the connection (its loop, its address). */
struct conn *http_conn(const struct http_request *r);

/* Writes the CORS headers that this request's origin is allowed (maybe none) into at. For routes
 * that write their own response head. */
size_t http_cors_headers(const struct http_request *r, char *at, size_t cap);
/* False when the request has an Origin that the server does not accept. */
bool http_origin_allowed(const struct http_request *r);
#define HTTP_ORIGIN_REFUSED "Origin: not one of the allowed origins: auth.origins says which are"

/* For a route that answers much later: of the request only these headers are kept, where it has
 * them, and what the answer's form depends on. All its other strings are empty from here on; kept
 * where memory has run out. */
void http_keep_only(struct http_request *r, const struct str *names, size_t count);

/* Moves the connection to the server of another loop, which hands the request to its route once
 * more, there. True: the route is done with r, whose strings stay valid until it returns. False:
 * there is no such loop, or it is this one. Later requests of the connection come in over there. */
bool http_move(struct http_request *r, unsigned loop);

typedef void http_route_fn(struct http_request *r);

struct http_router;
struct http_router *http_router_create(void);
void http_router_destroy(struct http_router **rp);
/* Among the methods of a route: it is handed requests whose body is over the limit, too. */
#define HTTP_ANY_BODY (1u << 31)
/* methods: bits 1 << HTTP_GET and so on; ~0u: all of them, and HTTP_ANY_BODY. pattern:
 * "/api/publish", "/ws/project/{id}" (one last segment, not empty), "/assets/{path...}" (all the
 * rest). ctx is found in r->route_ctx. Later additions of the same pattern win. A path that exists
 * with other methods answers 405. */
bool http_router_add(struct http_router *rt, unsigned methods, const char *pattern,
                     http_route_fn *handle, void *ctx);
/* Called when no route matches; without it: 404. */
void http_router_set_fallback(struct http_router *rt, http_route_fn *handle, void *ctx);

struct http_options {
    size_t head_max_bytes;    // request line and headers: 16 KiB
    size_t body_max_bytes;    // 1 MiB
    uint32_t head_timeout_ms; // from the first byte of a request (and from accept): 10 s
    uint32_t body_timeout_ms; // 30 s
    uint32_t idle_timeout_ms; // keep-alive: 75 s
    uint32_t requests_per_connection_max;
    uint32_t out_max_bytes; // per connection, 256 KiB at least
    /* What the two lists point to must outlive the server (origins can be replaced). */
    const struct str *origins; // allowed: "*": any, "https://*.example": one star. None: own only
    size_t origin_count;
    const struct str *trusted_proxies; // "10.0.0.0/8", "::1", "unix": X-Forwarded-For is believed
    size_t trusted_proxy_count;
};

/* One per loop. */
struct http_server;
struct http_server *http_server_create(struct flusher *f, const struct http_router *rt,
                                       const struct http_options *o);
/* Servers of one kind on all loops know each other from here on: peers[i] is that of loop i. Before
 * the loops run; the array must outlive them. Without it http_move() says false. */
void http_server_set_peers(struct http_server *s, struct http_server *const *peers, unsigned count);
/* All its connections are gone: http_server_stop(), then turns of the loop. Connections that were
 * taken over do not count. */
void http_server_destroy(struct http_server **sp);
/* A socket that was just accepted. Takes fd and tls over in every case; false: no memory, closed.
 */
bool http_server_accept(struct http_server *s, int fd, const struct addr *peer, struct tls *tls);
/* In a drain: answers carry "Connection: close", idle connections are closed. */
void http_server_drain(struct http_server *s);
/* The server is about to end: long-lived connections should be refused. */
bool http_is_draining(const struct http_request *r);
/* Ends every connection that is still HTTP's, at once. */
void http_server_stop(struct http_server *s);
/* From now on the origins of http_options are these. On the server's loop; the list must outlive
 * the server, or the next such call. */
void http_server_set_origins(struct http_server *s, const struct str *origins, size_t count);
struct loop *http_server_loop(const struct http_server *s);

struct http_stats {
    uint64_t requests, by_status[6]; // 1xx to 5xx at 1..5
    uint64_t bad_requests, open_count;
};
void http_server_read_stats(const struct http_server *s, struct http_stats *ret);

#endif
