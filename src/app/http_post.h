/* http_post.h - JSON requests to a server's API, one after the other on one connection (libcurl).
 * Thread:  the owner's.
 * Memory:  an answer is bounded and lives until the next request.
 * Failure: http_post_send() is false when no answer came; http_post_error() says why. */
#ifndef APP_HTTP_POST_H
#define APP_HTTP_POST_H

#include <curl/curl.h>

#include "base/buf.h"

struct http_post_target {
    const char *server;  // URL; a path of its own is kept in front
    const char *path;    // "/api/publish"
    const char *api_key; // NULL: none
    bool insecure;       // the certificate is not checked
};

struct http_post {
    CURL *curl;
    struct curl_slist *headers;
    struct buf answer;
    char error[CURL_ERROR_SIZE];
};

bool http_post_init(struct http_post *p, const struct http_post_target *t, char *ret_why,
                    size_t why_size);
void http_post_fini(struct http_post *p);
bool http_post_send(struct http_post *p, struct str body, unsigned *ret_status,
                    struct str *ret_answer);
const char *http_post_error(const struct http_post *p);

#endif
