/* caller.h - who asks over HTTP: a back end with its API key, or a client with its token.
 *
 * A back end names the tenant it means. A client is in the tenant of its token, and may name that
 * one only. Where no API key is configured a back end needs none.
 *
 * Thread:  the request's loop.
 * Memory:  a caller owns its claims until caller_fini(); what it borrows from the request is gone
 *          with that.
 * Failure: caller_admit() answers what it refuses. */
#ifndef API_CALLER_H
#define API_CALLER_H

#include "api/api.h"

enum { CALLER_TENANT_MAX = 256 };

struct caller {
    struct str tenant; // in tenant_at
    struct str user;   // "": a back end, or an anonymous client
    bool is_client;    // came with a token
    struct claims claims;
    char tenant_at[CALLER_TENANT_MAX];
    char token_at[AUTH_TOKEN_MAX_BYTES];
};

/* said: the tenant that the body names, or ""; the query may name it too. */
bool caller_admit(const struct api *api, struct http_request *r, struct str said,
                  struct caller *ret);
void caller_fini(struct caller *c);
/* A back end, or a client that may follow the channel without a subscription token. */
bool caller_may_follow(const struct caller *c, const struct api *api, struct str channel);

#endif
