/*
 * serve_chat.c - conversations with the model: made from the hub, the store and the model's client.
 */
#include "app/server.h"

#include "chat/chat.h"

static bool chat_service_make(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    (void)ret_why;
    s->api.chat = chat_create(s->node, s->store, s->llm,
                              &(struct chat_options){
                                  .context_count = c->chat.context_count,
                                  .message_max_bytes = c->chat.message_max_bytes,
                                  .queue_max = c->chat.queue_max,
                                  .model_queue_max = c->llm.queue_max,
                              });
    return s->api.chat != NULL;
}

static bool chat_service_start(struct server *s, struct buf *ret_why)
{
    return chat_start(s->api.chat, ret_why);
}

static void chat_service_stop(struct server *s)
{
    if (s->api.chat != NULL)
        chat_stop(s->api.chat);
}

static void chat_service_drop(struct server *s)
{
    chat_destroy(&s->api.chat);
}

const struct service chat_service = {
    .name = "chat",
    .make = chat_service_make,
    .start = chat_service_start,
    .stop = chat_service_stop,
    .drop = chat_service_drop,
};
