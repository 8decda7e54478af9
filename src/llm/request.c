/*
 * request.c - what a model is asked, as JSON.
 */
#include "llm/llm_priv.h"

#include "base/json.h"

enum { REQUEST_FIXED_MAX = 512 };

static size_t request_bytes_max(const struct llm_settings *s, const struct llm_ask *ask)
{
    size_t n = REQUEST_FIXED_MAX + json_string_bytes_max(s->model);
    for (size_t i = 0; i < ask->message_count; i++)
        n += REQUEST_FIXED_MAX + json_string_bytes_max(ask->messages[i].role) +
             json_string_bytes_max(ask->messages[i].content);
    return n;
}

static void put_messages(struct json_writer *w, const struct llm_ask *ask)
{
    json_open_array(json_key(w, STR("messages")));
    for (size_t i = 0; i < ask->message_count; i++) {
        json_open_object(w);
        json_put_string(json_key(w, STR("role")), ask->messages[i].role);
        json_put_string(json_key(w, STR("content")), ask->messages[i].content);
        json_close_object(w);
    }
    json_close_array(w);
}

bool request_write(struct buf *out, const struct llm_settings *s, const struct llm_ask *ask,
                   bool count_tokens)
{
    struct json_writer w;
    buf_init(out, request_bytes_max(s, ask));
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("model")), s->model);
    put_messages(&w, ask);
    if (s->temperature >= 0)
        json_put_double(json_key(&w, STR("temperature")), s->temperature);
    if (s->max_tokens > 0)
        json_put_u64(json_key(&w, STR("max_tokens")), s->max_tokens);
    json_put_bool(json_key(&w, STR("stream")), true);
    if (count_tokens) {
        json_open_object(json_key(&w, STR("stream_options")));
        json_put_bool(json_key(&w, STR("include_usage")), true);
        json_close_object(&w);
    }
    json_close_object(&w);
    return json_done(&w);
}
