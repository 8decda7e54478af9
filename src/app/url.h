/* url.h - where a command connects to: ws, wss, http and https.
 * Thread:  any.
 * Memory:  values.
 * Failure: url_parse() says false and why. */
#ifndef APP_URL_H
#define APP_URL_H

#include "base/str.h"

struct url {
    bool tls;
    char host[256]; // IPv6 without its brackets
    char port[6];
    char path[1024]; // with the query; at least "/"
};

/* ret_why: a constant. Without a scheme it is http. */
bool url_parse(struct str text, struct url *ret, const char **ret_why);
/* The path when the URL has none of its own. */
bool url_default_path(struct url *u, const char *path);
/* Adds name=value to the query, escaped; false: too long. */
bool url_add_query(struct url *u, const char *name, const char *value);
/* "host:port" as it stands in a Host header; returns the length. */
size_t url_format_host(const struct url *u, char *ret, size_t size);

#endif
