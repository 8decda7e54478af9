/* runs_priv.h - what the files of /api/runs share.
 * Thread:  the loop of the connection that asked.
 * Memory:  nothing is owned.
 * Failure: a refusal has been answered. */
#ifndef API_RUNS_PRIV_H
#define API_RUNS_PRIV_H

#include "api/rest.h"
#include "runs/ledger.h"

extern const char runs_no_such[];
/* NULL: there is no ledger; answered with 503. */
const struct api *runs_api(struct http_request *r);

void runs_route_list(struct http_request *r);
void runs_route_stats(struct http_request *r);
void runs_route_one(struct http_request *r);

#endif
