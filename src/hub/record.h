/* record.h - a message of a channel that is still being written: an answer that a model streams.
 *
 * Subscribers hear, as ordinary publications of the channel:
 *   "chat:message"  the record whole: {"id":..,"role":..,"state":..,"content":"<text so far>",
 *                   "seq":<of the last append in it>, and the members of head and tail}.
 *                   At the opening (state streaming), and at the end (its final state), where it
 *                   gets its offset and its place in the history. Whoever subscribes, is brought up
 *                   to date or reads the history meanwhile gets the text so far, without an offset.
 *   "chat:append"   {"id":..,"seq":<1, 2, ..>,"text":"<what is new>"}: never in the history.
 * Nobody who has the text so far misses an append behind it, or gets one that is in it.
 *
 * Thread:  every function on the loop of the hub that opened it.
 * Memory:  the text is kept at the channel's home until the end; its limit is given at birth. A
 *          channel has at most RECORDS_PER_CHANNEL_MAX at a time.
 * Failure: done() is called exactly once, or may be NULL. A record that was refused swallows what
 *          is appended to it, and its end is answered ERR_NOT_AVAILABLE. */
#ifndef HUB_RECORD_H
#define HUB_RECORD_H

#include "hub/hub.h"

enum { RECORD_TEXT_MAX = 1 << 20, RECORDS_PER_CHANNEL_MAX = 16 };

enum record_state { RECORD_STREAMING, RECORD_COMPLETE, RECORD_CANCELLED, RECORD_FAILED };
/* "streaming", "complete", "cancelled", "failed". */
struct str record_state_name(enum record_state state);

struct record;

struct record_params {
    struct str tenant, channel;
    struct str id;         // raw JSON: a number or a string, the opener's own
    struct str role;       // "assistant"
    struct str head;       // further members, raw: "\"model\":\"m\",\"n\":1", or ""
    size_t text_max_bytes; // at most, and 0: RECORD_TEXT_MAX
};
/* done(): fills position: where the stream stood before. NULL: it could not even be asked for, and
 * done() has been told why. */
struct record *record_open(struct hub *hub, const struct record_params *p, answer_fn *done,
                           void *ctx);
/* text: whole characters of UTF-8. False: it would be longer than its limit (or memory has run
 * out), and nothing is appended. */
bool record_append(struct record *r, struct str text);
/* tail: further members, raw, or "". done(): fills position; in a durable channel after the commit.
 * While nothing can be stored everybody is told all the same, late joiners too, and done() waits
 * until it could be (for ever, when the process ends before). */
void record_finish(struct record **rp, enum record_state state, struct str tail, answer_fn *done,
                   void *ctx);
/* The process ends: nothing is said any more. */
void record_drop(struct record **rp);

#endif
