/* openai.h - the paths of OpenAI's API: a model's clients come here instead of to its server, which
 * gets their requests byte for byte and whose answers go back as they are. With a channel named in
 * a header an answer is also a message of that channel (hub/record.h), and goes on when its reader
 * leaves.
 *
 * Thread:  routes run on any loop; openai_cancel() on any.
 * Memory:  made before the routes, destroyed after the loops have ended.
 * Failure: errors have OpenAI's form: {"error":{"message":..,"type":..,"param":null,"code":..}}. */
#ifndef API_OPENAI_H
#define API_OPENAI_H

#include "api/api.h"

struct openai;
/* NULL: no memory. */
struct openai *openai_create(void);
void openai_destroy(struct openai **op);
/* /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models. */
bool openai_routes(struct http_router *rt, const struct api *api);
/* Ends the answers that are being written into this channel by way of /v1; what was said is kept.
 * Returns how many there are. */
unsigned openai_cancel(struct openai *o, struct str tenant, struct str channel);

#endif
