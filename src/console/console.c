/* console.c - hosts the embedded console.
 *
 * Why: whoever starts a server should see it work at once, without installing anything else.
 * Always: the page gets a policy under which only files of this program run, and nobody may put
 * the page into a frame. */
#include "console/console.h"

#include "console/console_priv.h"
#include "http/static.h"

/* Browsers count WebSockets of the same host and port as 'self'. */
const char console_csp[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                           "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                           "form-action 'self'; frame-ancestors 'none'";

bool console_routes(struct http_router *rt)
{
    return http_static_add(rt, &console_assets);
}
