/* console.h - the web console at "/": a page for people, embedded in the program.
 *
 * The page is a client like any other: it uses the public API, the metrics and the native dialect,
 * and nothing here serves it any data.
 *
 * Thread:  called while the router is built; the routes are served from any loop.
 * Memory:  nothing is owned; the files are constants of the program.
 * Failure: false when memory has run out. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stdbool.h>

#include "http/http.h"

/* Adds "/" and the files that it names. */
bool console_routes(struct http_router *rt);

#endif
