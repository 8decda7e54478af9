/* agents_priv.h - what the files of the agents dialect share.
 * Thread:  the session's loop.
 * Memory:  a session that waits for an answer is referenced.
 * Failure: a session that cannot be asked again still hears what comes. */
#ifndef DIALECT_AGENTS_PRIV_H
#define DIALECT_AGENTS_PRIV_H

#include "dialect/agents.h"
#include "dialect/ws_session.h"

/* Its user is who he says he is, as far as this server can know: where tokens are checked, only who
 * has brought one. */
bool agents_is_proven(const struct ws_session *ws);
/* Sends what this session's user is to decide still. */
void agents_ask_again(struct ws_session *ws);
/* Of a permission:approve or permission:deny; the session is told what became of it. */
void agents_decide(struct ws_session *ws, const struct agents_command *c);

#endif
