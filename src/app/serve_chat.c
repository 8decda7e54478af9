/*
 * serve_chat.c - conversations with the model: made from the hub, the store and the model's client.
 */
#include "app/server.h"

#include "chat/chat.h"

static void put_figures(void *ctx, struct buf *b)
{
    struct chat_stats s;
    const char *name = "recado_chat_answers_total";
    chat_read_stats(ctx, &s);
    metrics_put_counter(b, "recado_chat_questions_total", "Questions that were asked.",
                        s.questions);
    metrics_put_head(b, name, "counter", "Answers of conversations, by how they ended.");
    metrics_put_labelled(b, name, "state", "complete", s.complete);
    metrics_put_labelled(b, name, "state", "cancelled", s.cancelled);
    metrics_put_labelled(b, name, "state", "failed", s.failed);
    metrics_put_gauge(b, "recado_chat_open", "Answers given, waiting, or not stored yet.", s.open);
    metrics_put_counter(b, "recado_chat_saves_total",
                        "Times the text of an answer was saved before its end.", s.saves);
    metrics_put_counter(b, "recado_chat_forgotten_total", "Conversations that were too old.",
                        s.forgotten);
}

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
                                  .keep_ms = c->chat.keep_ms,
                              });
    if (s->api.chat == NULL)
        return false;
    metrics_add(&s->figures, put_figures, s->api.chat);
    return true;
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
