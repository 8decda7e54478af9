/*
 * sse.c - channels as server-sent events.
 */
#include "dialect/admit.h"

static void sse_handle(struct http_request *r, const struct endpoint *e)
{
    (void)e;
    http_reply_error(r, 501, err_code(ERR_NOT_AVAILABLE), err_message(ERR_NOT_AVAILABLE));
}

const struct dialect dialect_sse = {
    .name = "sse", .path = "/events", .methods = 1u << HTTP_GET, .handle = sse_handle};
