/* agents.h - what the agents dialect reads and writes: for its tests.
 * Thread:  any.
 * Memory:  the caller's.
 * Failure: agents_event_write() returns false when out is full. */
#ifndef DIALECT_AGENTS_H
#define DIALECT_AGENTS_H

#include "hub/publication.h"

#include "base/buf.h"

struct endpoint;
struct http_request;

/* An object whose type is "ping", in valid JSON: the one message that is answered. */
bool agents_is_ping(struct str message);
/* {"type":..,"data":..,"timestamp":".."}, in whatever channel. */
bool agents_event_write(struct buf *out, struct str channel, const struct publication *p);

/* GET /api/agent-tasks/execution-history */
void agents_history(struct http_request *r, const struct endpoint *e);

#endif
