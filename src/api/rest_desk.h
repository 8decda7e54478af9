/* rest_desk.h - what a desk says, as the answer of an HTTP request.
 * Thread:  the loop of the connection that asked.
 * Memory:  what waits for the desk is its own, and goes with the answer.
 * Failure: the request is answered once, or its peer has gone first. */
#ifndef API_REST_DESK_H
#define API_REST_DESK_H

#include "api/rest.h"
#include "runs/desk.h"

/* Who asks, of which tenant; the body may name it as well. route_ctx is the api. False: answered.
 */
bool rest_desk_admit(struct http_request *r, struct asker *ret);
/* For one call of the desk, which answers r; false: r has been answered. tenant is the caller's. */
bool rest_desk_from(struct http_request *r, struct str tenant, struct desk_from *ret);
/* A parameter of the query that is one of these words (the last is NULL), "" when it is not there.
 * False: it is not; answered with 400. */
bool rest_query_word(struct http_request *r, const char *name, const char *const *words, char *at,
                     size_t cap, struct str *ret);
/* The number behind a path's slash. False: it is none that a row could have; answered with 404. */
bool rest_path_id(struct http_request *r, struct str text, int64_t *ret);

#endif
