/* bridge_priv.h - between the files of the bridge: a message as it was read, and whom it is for.
 * Thread:  the bridge's.
 * Memory:  what is read points into the message or its scratch; tenants are dropped by who found
 *          them.
 * Failure: bridge_wrong() notes what is wrong; the first stays. Readers that return false leave it
 *          to the caller to say so. */
#ifndef DIALECT_BRIDGE_PRIV_H
#define DIALECT_BRIDGE_PRIV_H

#include "base/json.h"
#include "base/name_set.h"
#include "dialect/bridge.h"

enum {
    BRIDGE_ROOMS_MAX = 256, // of one message; as many sockets are skipped
    BRIDGE_TENANTS_MAX = 1 << 20,
};

struct bridge_names {
    struct str all[BRIDGE_ROOMS_MAX];
    size_t count;
};

struct bridge_message {
    struct str method, event, data, nsp, room, sid, skip_sid; // raw JSON as it came; "": none
    bool binary;
    const char *wrong; // NULL: nothing so far
    char *at;          // room for decoded strings, as much as the message has bytes
    size_t left;
};

/* Returns false. */
bool bridge_wrong(struct bridge_message *m, const char *why);
/* null, or not there. */
bool bridge_is_null(struct str raw);
/* False: not JSON, or not an object. */
bool bridge_message_read(struct str payload, struct bridge_message *ret);
/* A JSON string, decoded. */
bool bridge_take_text(struct bridge_message *m, struct str raw, struct str *ret);
/* One more name of a room or socket; rooms may have been named by numbers. */
bool bridge_take_name(struct bridge_message *m, struct str raw, struct bridge_names *ret);
/* A name, or an array of names. */
bool bridge_take_names(struct bridge_message *m, struct str raw, struct bridge_names *ret);
/* It can be a part of a channel's name. */
bool bridge_is_word(struct str name);

/* A socketio_visitor; ctx: struct name_set. */
void bridge_tenant_note(void *ctx, struct str name);
/* The one that is configured, or all that have somebody there. */
void bridge_tenants_find(struct bridge *b, enum bridge_where where, struct str nsp, struct str name,
                         struct name_set *ret);
/* To each of the tenants. */
void bridge_publish(struct bridge *b, const struct name_set *tenants, struct publish_params *p);
void bridge_control(struct bridge *b, const struct name_set *tenants, struct control_params *p);

/* The method emit. */
void bridge_emit(struct bridge *b, struct bridge_message *m, struct str nsp);

#endif
