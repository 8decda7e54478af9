/* pytake_priv.h - what the pytake dialect reads from its clients' events.
 * Thread:  any; values only.
 * Memory:  what is read points into the argument, or into the caller's bytes.
 * Failure: a payload that is not what it should be is one of enum named. */
#ifndef DIALECT_PYTAKE_PRIV_H
#define DIALECT_PYTAKE_PRIV_H

#include "base/str.h"

/* How an event names its conversation. */
enum pytake_named {
    PYTAKE_BADLY,   // its payload is not an object
    PYTAKE_NOTHING, // no id, or one that Python takes for false
    PYTAKE_TEXT,
    PYTAKE_OTHER, // a number, say
};

struct pytake_conversation {
    enum pytake_named named;
    struct str raw; // JSON as it was sent
    struct str id;  // PYTAKE_TEXT: decoded
};

/* argument: raw JSON. at: for a decoded id; one that does not fit is PYTAKE_OTHER. */
void pytake_conversation_read(struct str argument, char *at, size_t cap,
                              struct pytake_conversation *ret);
/* Python's uuid.UUID() would take it. */
bool pytake_id_ok(struct str id);

#endif
