/* sse_priv.h - what the files of the sse dialect share.
 * Thread:  a session's loop.
 * Memory:  one sse_session per stream: it goes when the carrier and the hub have both let go of it.
 * Failure: a request that cannot be served is answered with 4xx and the name of the parameter. */
#ifndef DIALECT_SSE_PRIV_H
#define DIALECT_SSE_PRIV_H

#include "base/json.h"
#include "base/must.h"
#include "base/pool.h"
#include "base/random.h"
#include "dialect/admit.h"
#include "hub/filter.h"

#include <stdlib.h>

enum {
    STREAM_CHANNELS_MAX = 64, // of one stream: each of its ids names all of them
    STREAM_TYPES_MAX = 64,
    STREAM_NAMES_BYTES = 16 << 10,
    EVENT_ID_MAX = STREAM_CHANNELS_MAX * 32,
};

/* The offset of a position that the client was never told, so that it may have missed anything. */
#define OFFSET_LOST UINT64_MAX

/* What a request asks for. */
struct sse_ask {
    struct str channels[STREAM_CHANNELS_MAX];
    size_t channel_count;
    struct str types[STREAM_TYPES_MAX];
    size_t type_count;
    bool resume;                                // it says what it has
    bool resume_ok;                             // and that can be read
    struct position since[STREAM_CHANNELS_MAX]; // epoch 0: nothing is known of that channel
    size_t name_bytes;
    char names[STREAM_NAMES_BYTES];
};

/* One followed channel. */
struct sse_channel {
    struct str name;
    struct subscription *sub; // NULL: not yet, or not any more
    struct position at;       // what the client has; epoch 0: a channel without a stream
};

struct sse_session {
    struct session session;
    struct carrier *carrier; // NULL: gone
    const struct endpoint *endpoint;
    struct timer timer;    // the end of its token
    struct filter *filter; // of a stream with several channels
    char *identity;        // the strings of the session
    struct encoding own;   // of a stream with several channels
    int64_t expire_at_s;
    bool ending, buried;
    uint32_t channel_count;
    uint32_t pending; // subscriptions to be answered
    struct sse_channel channels[];
};

/* False: answered. */
bool sse_ask_read(struct http_request *r, struct hub *hub, const struct claims *claims,
                  struct sse_ask *ret);

/* The event id of a stream: for each channel <epoch>:<offset>, "-" for one without a stream, "?"
 * for one whose subscription has not been answered. */
struct str sse_id_write(const struct sse_session *ss, char at[EVENT_ID_MAX]);
/* A publication as an event with the id, to this peer only. */
void sse_send_event(struct sse_session *ss, const struct publication *p);
/* The id alone: it is remembered by the client, and no event is dispatched. */
void sse_send_id(struct sse_session *ss);
/* Events may have been missed on this channel: event "recado-reset". */
void sse_send_reset(struct sse_session *ss, const struct sse_channel *ch);

/* For streams of one channel: shared by all that follow it. */
const struct encoding *sse_encoding(const struct framing *f);

#endif
