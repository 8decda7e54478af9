/* fields.h - what is asked about conversations, over HTTP and by the native dialect's rpc.
 * Thread:  any.
 * Memory:  decoded strings are in the room that the caller gives, which is as long as the text.
 * Failure: false with what is wrong and where, for people. */
#ifndef CHAT_FIELDS_H
#define CHAT_FIELDS_H

#include "base/json.h"
#include "chat/chat.h"

enum { CHAT_LIMIT_DEFAULT = 50, CHAT_LIMIT_MAX = 500 };

struct chat_fields {
    struct str tenant, message, channel;
    struct str title, system_prompt, model;
    bool has_title, has_system_prompt, has_model; // given, null included
    int64_t conversation, message_id, limit, offset, before;
    bool has_conversation;
    double temperature;
    int64_t max_tokens;
    bool stream, wait;
    uint32_t cancelled_already; // counted in, not read
};

/* text: a JSON object, or "" for an empty one; room: text.n bytes at least. */
bool chat_fields_read(struct str text, char *room, struct chat_fields *ret, struct buf *why);
/* What is asked of the model in this request. */
struct llm_settings chat_fields_settings(const struct chat_fields *f);
/* The message can be asked. */
bool chat_fields_check_message(const struct chat_fields *f, uint32_t max_bytes, struct buf *why);

#endif
