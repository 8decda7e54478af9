/* admit.h - who may come in at an endpoint, and as whom: shared by all dialects.
 * Thread:  the request's loop.
 * Memory:  what is borrowed from a request is gone with it; an identity owns its claims until
 *          identity_fini().
 * Failure: a refusal is an error with a reason for people; nothing is held then. */
#ifndef DIALECT_ADMIT_H
#define DIALECT_ADMIT_H

#include "dialect/dialect.h"

/* False when the request comes from a page of an origin that is not allowed here, or, where no
 * token could be checked, under a name that a stranger may own (http/origin.h); it has been
 * answered with 403 then. */
bool admit_origin(struct http_request *r, const struct endpoint *e);

/* What a request says about its sender before any message. */
enum { HANDSHAKE_TENANT_MAX = 256 };
struct handshake {
    struct str token;  // ?token=, or Authorization: Bearer; "" none
    struct str tenant; // what the endpoint's tenant_query names; "" none
    char token_at[AUTH_TOKEN_MAX_BYTES];
    char tenant_at[HANDSHAKE_TENANT_MAX];
};
/* False: a parameter is too long; answered with 400. */
bool handshake_read(struct http_request *r, const struct endpoint *e, struct handshake *ret);

struct identity {
    struct str tenant;    // the endpoint's, the claim's, or what was asked for; not to be copied
    struct str user;      // "": anonymous
    int64_t expire_at_s;  // 0: never
    struct claims claims; // of the token; zeroed without one
    const char *why;      // of a refusal: constant text
    char tenant_at[HANDSHAKE_TENANT_MAX];
};

/* trusted: needs no token (it has shown an API key). ERR_UNAUTHORIZED: no token where one is
 * needed, or a bad one. ERR_TOKEN_EXPIRED. ERR_PERMISSION_DENIED: asks for a tenant that is not its
 * own. ERR_BAD_REQUEST: for one that cannot be a tenant. */
enum err admit(const struct endpoint *e, struct str token, struct str tenant_asked, int64_t now_s,
               bool trusted, struct identity *ret);
/* A client's request, asked all three: its origin, what it brings, who it is. False: it has been
 * answered. */
bool admit_request(struct http_request *r, const struct endpoint *e, bool trusted,
                   struct identity *ret);
/* A back end's request is let in as the server API lets them in: with an API key where one is
 * configured, and from no foreign page. False: it has been answered. */
bool admit_back_end(struct http_request *r, const struct endpoint *e);

void identity_fini(struct identity *id);

/* A token for the session that is already there: same user and tenant, or ERR_UNAUTHORIZED. */
enum err admit_again(const struct endpoint *e, const struct session *s, struct str token,
                     int64_t now_s, int64_t *ret_expire_at_s);

/* A subscription token for this session and channel. ERR_OK: ret is to be released with
 * sub_claims_fini(). ERR_UNAUTHORIZED: it is good, but for somebody or something else (one that
 * says no tenant is for the endpoint's own). */
enum err admit_subscription(const struct endpoint *e, const struct session *s, struct str token,
                            struct str channel, int64_t now_s, struct sub_claims *ret);

#endif
