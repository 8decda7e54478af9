/* origin.h - from which page a request comes, and under which name it found this server.
 * Thread:  the connection's loop.
 * Memory:  lists and requests are borrowed for the call.
 * Failure: none; what cannot be understood is not allowed. */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include "http/http.h"

/* One of the list has it: "*", "https://app.example", or with one star in it. */
bool http_origin_in(const struct str *list, size_t count, struct str origin);

/* The page comes from the host that the request names. */
bool http_origin_is_own(const struct http_request *r, struct str origin);
/* The same, whatever its scheme and port: an application's page and its socket often differ in
 * them. */
bool http_origin_is_same_host(const struct http_request *r, struct str origin);

/* Whether whoever loaded a page under the request's host name may have meant this server. From this
 * machine it answers to addresses, localhost, names without a dot and the hosts of the list only:
 * the owner of any other name can let it point here, and his page would then be one of our own. For
 * servers that ask for no key. */
bool http_host_is_expected(const struct http_request *r, const struct str *list, size_t count);
/* Why a page may not ask for what back ends ask for: it is another site's, or it found us under a
 * name that is not ours, which matters where no key is asked for. NULL: it may, or it is no page.
 */
const char *http_page_refusal(const struct http_request *r, bool keyed, const struct str *list,
                              size_t count);

#endif
