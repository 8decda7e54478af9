/* agents.h - what the agents dialect reads and writes, for tests and fuzzing.
 * Thread:  any.
 * Memory:  pieces of the message.
 * Failure: agents_event_write() says false when the buffer has no room. */
#ifndef DIALECT_AGENTS_H
#define DIALECT_AGENTS_H

#include "hub/publication.h"

#include "base/buf.h"

struct endpoint;
struct http_request;

/* An object whose type is "ping", in valid JSON: the one message that is answered. */
bool agents_is_ping(struct str message);
/* {"type":..,"data":..,"timestamp":".."}, in whatever channel. */
enum agents_verb { AGENTS_OTHER, AGENTS_PING, AGENTS_APPROVE, AGENTS_DENY };
struct agents_command {
    enum agents_verb verb; // AGENTS_OTHER: also what is no JSON
    struct str permission; // raw; "": the data has none
    struct str data;       // the raw object, or ""
};
struct agents_command agents_read(struct str message);
/* {"type":..,"data":..,"timestamp":".."} */
bool agents_event_write(struct buf *out, struct str channel, const struct publication *p);

/* GET /api/agent-tasks/execution-history */
void agents_history(struct http_request *r, const struct endpoint *e);

#endif
