/* rest.h - what the REST paths beside the commands share: who asks, and how he is answered.
 * Thread:  the loop of the connection that asked.
 * Memory:  a struct asker is the caller's until asker_fini().
 * Failure: a refusal has been answered. */
#ifndef API_REST_H
#define API_REST_H

#include "api/api.h"
#include "base/json.h"

/* A back end (with an API key, or where none is configured), or a client with a token. */
struct asker {
    struct str tenant; // not to be copied with the struct
    struct str user;   // of a token; "": none
    bool back_end;
    struct claims claims;
    char tenant_at[256];
};
/* tenant: what the request's body names; "": nothing, then the query's counts. A client's is that
 * of his token, and no other can be asked for. False: answered with 400, 401 or 403. */
bool rest_admit(struct http_request *r, const struct api *api, struct str tenant,
                struct asker *ret);
/* For who was let in before the body was read, which names this tenant ("": none). False: answered
 * with 400 or 403. */
bool rest_set_tenant(struct http_request *r, const struct api *api, struct str tenant,
                     struct asker *a);
/* The member "tenant" of a body; "": it has none. False: the body is not JSON, or the name too
 * long; answered. at: 256 bytes. */
bool rest_body_tenant(struct http_request *r, struct str body, char at[256], struct str *ret);
void asker_fini(struct asker *a);

/* The body is no longer than api.body_max. False: answered with 413. */
bool rest_body_fits(struct http_request *r, const struct api *api);

/* Answers with err's code and the status that it has here; why "": its own message. Returns false.
 */
bool rest_fail(struct http_request *r, enum err err, struct str why);
/* Answers with what the writer made; 500 when it did not fit. */
void rest_reply(struct http_request *r, unsigned status, struct json_writer *w);
/* 400 with "field: why". Returns false. */
bool rest_refuse(struct http_request *r, struct str field, const char *why);
/* The body is not JSON, says j. Returns false. */
bool rest_refuse_json(struct http_request *r, const struct json *j);

/* A parameter of the query, "" when it is not there. False: too long; answered with 400. */
bool rest_query(struct http_request *r, struct str name, char *at, size_t cap, struct str *ret);
/* The query has no other parameters than these (the last is NULL), token and tenant, and each of
 * these once at most. False: answered with 400, and with the names that it may have. */
bool rest_query_only(struct http_request *r, const char *const *names);
/* A number from least to most; *ret stays when it is not there. False: answered with 400. */
bool rest_query_number(struct http_request *r, struct str name, uint64_t least, uint64_t most,
                       uint64_t *ret);

#endif
