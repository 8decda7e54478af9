/* static.h - files that are part of the program: the console's page, scripts and styles.
 * Thread:  added while the router is built, served from any loop.
 * Memory:  the set, its assets and their bytes are borrowed: constants of the program.
 * Failure: http_static_add() says false when memory has run out. */
#ifndef HTTP_STATIC_H
#define HTTP_STATIC_H

#include "http/http.h"

struct asset {
    const char *path;         // "/", "/assets/app-3f2a91.js": compared with the decoded path
    const char *content_type; // "text/html; charset=utf-8"
    const unsigned char *bytes;
    size_t size_bytes;
    const unsigned char *gzip; // the same, compressed; NULL: only plain
    size_t gzip_size_bytes;
    const char *etag; // strong and with its quotes: "\"3f2a91\""
    bool immutable;   // its name changes with its content: cached for a year, else revalidated
};

struct asset_set {
    const struct asset *assets;
    size_t count;
    const char *csp; // value of Content-Security-Policy; NULL: none
};

/* One route (GET and HEAD) for every asset of the set. */
bool http_static_add(struct http_router *rt, const struct asset_set *set);

/* The asset of exactly this path, or NULL. A path with a "." or ".." segment has none. */
const struct asset *asset_find(const struct asset_set *set, struct str path);

/* Answers with one asset, whatever the path was: for a fallback that shows the main page. */
void http_reply_asset(struct http_request *r, const struct asset_set *set, const struct asset *a);

#endif
