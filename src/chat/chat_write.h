/* chat_write.h - rows as JSON.
 * Thread:  any.
 * Memory:  none.
 * Failure: writers say false when there is no room; the rest leave it to the json_writer. */
#ifndef CHAT_CHAT_WRITE_H
#define CHAT_CHAT_WRITE_H

#include "base/json.h"
#include "chat/chat_priv.h"

void chat_message_put(struct json_writer *w, const struct chat_message *m);
void chat_history_put(struct json_writer *w, const struct chat_message *m);
void chat_conversation_put(struct json_writer *w, const struct chat_conversation *c);
/* Further members of an answer's record (hub/record.h). */
bool chat_record_head_write(struct buf *out, const struct chat_message *m);
bool chat_record_tail_write(struct buf *out, const struct chat_message *m);

#endif
