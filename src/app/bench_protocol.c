/*
 * bench_protocol.c - how kinds of servers are spoken with: presets, and steps given by hand.
 *
 * Always true: every text that a protocol points to is in b->texts, or is a constant, or argv's.
 */
#include "app/bench.h"

#include <stdlib.h>

#include "base/json.h"

/* A text that lives as long as b; NULL: no room for more. */
static struct buf *new_text(struct bench *b)
{
    if (b->text_count == sizeof(b->texts) / sizeof(b->texts[0]))
        return NULL;
    struct buf *t = &b->texts[b->text_count++];
    buf_init(t, BENCH_TEXT_MAX);
    return t;
}

/* Three pieces, of which the middle one is written as JSON. */
static const char *text_with(struct bench *b, const char *head, const char *value, const char *tail)
{
    struct buf *t = new_text(b);
    bool ok = t != NULL && buf_add(t, str_from(head)) && json_write_string(t, str_from(value)) &&
              buf_add(t, str_from(tail)) && buf_add_char(t, '\0');
    return ok ? t->p : NULL;
}

static bool add_step(struct bench_setup *s, bool expect, const char *text)
{
    if (s->count == BENCH_STEPS_MAX || text == NULL)
        return false;
    s->steps[s->count++] = (struct bench_step){expect, text};
    return true;
}

bool bench_setup_add(struct bench *b, struct bench_setup *s, const char *text)
{
    struct str rest = str_from(text);
    bool expect = str_starts(rest, STR("expect:"));
    if (!expect && !str_starts(rest, STR("send:")))
        return false;
    str_cut(&rest, ':');
    struct buf *t = new_text(b);
    if (t == NULL)
        return false;
    while (rest.n > 0) {
        size_t at = str_find(rest, STR("\\n"));
        buf_add(t, (struct str){rest.p, at});
        if (at < rest.n)
            buf_add_char(t, '\n');
        rest = str_skip(rest, at + 2);
    }
    return buf_add_char(t, '\0') && add_step(s, expect, t->p);
}

/* A topic server: what the publisher sends is what everybody gets. */
static bool choose_plain(struct bench *b, const struct bench_words *w)
{
    (void)w;
    b->protocol =
        (struct bench_protocol){.path = "/sub", .publish_path = "/pub", .head = "", .tail = ""};
    return true;
}

static bool choose_native(struct bench *b, const struct bench_words *w)
{
    struct bench_protocol *p = &b->protocol;
    const char *connect = w->token != NULL
                              ? text_with(b, "{\"id\":1,\"connect\":{\"token\":", w->token, "}}")
                              : "{\"id\":1,\"connect\":{}}";
    const char *subscribe = text_with(b, "{\"id\":2,\"subscribe\":{\"channel\":", w->channel, "}}");
    *p = (struct bench_protocol){
        .path = "/connection/websocket",
        .publish_path = "/connection/websocket",
        .head = text_with(b, "{\"id\":%d,\"publish\":{\"channel\":", w->channel, ",\"data\":"),
        .tail = "}}",
        .pong = "{}",
        .lines = true,
    };
    return p->head != NULL && add_step(&p->subscriber, false, connect) &&
           add_step(&p->subscriber, true, "\"id\":1,\"connect\"") &&
           add_step(&p->subscriber, false, subscribe) &&
           add_step(&p->subscriber, true, "\"id\":2,\"subscribe\"") &&
           add_step(&p->publisher, false, connect) &&
           add_step(&p->publisher, true, "\"id\":1,\"connect\"");
}

/* "join" is acknowledged, "msg" goes to the room. */
static bool choose_socketio(struct bench *b, const struct bench_words *w)
{
    struct bench_protocol *p = &b->protocol;
    *p = (struct bench_protocol){
        .path = "/socket.io/?EIO=4&transport=websocket",
        .publish_path = "/socket.io/?EIO=4&transport=websocket",
        .head = "42[\"msg\",",
        .tail = "]",
        .pong = "3",
    };
    return add_step(&p->subscriber, false, "40") && add_step(&p->subscriber, true, "40{") &&
           add_step(&p->subscriber, false, text_with(b, "420[\"join\",", w->channel, "]")) &&
           add_step(&p->subscriber, true, "430[") && add_step(&p->publisher, false, "40") &&
           add_step(&p->publisher, true, "40{");
}

bool bench_protocol_choose(struct bench *b, const char *name, const struct bench_words *w)
{
    static const struct {
        const char *name;
        bool (*choose)(struct bench *b, const struct bench_words *w);
    } presets[] = {
        {"native", choose_native}, {"plain", choose_plain}, {"socketio", choose_socketio}};
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (strcmp(presets[i].name, name) == 0)
            return presets[i].choose(b, w);
    return false;
}

bool bench_protocol_use_http(struct bench *b, const struct bench_words *w)
{
    struct bench_protocol *p = &b->protocol;
    struct buf *key = new_text(b);
    p->http = true;
    p->publish_path = "/api/publish";
    p->head = text_with(b, "{\"channel\":", w->channel, ",\"data\":");
    p->tail = "}";
    p->publisher = (struct bench_setup){0};
    if (key == NULL || p->head == NULL)
        return false;
    if (w->api_key != NULL && !buf_add_format(key, "X-API-Key: %s\r\n", w->api_key))
        return false;
    return buf_add_char(key, '\0') && add_step(&p->publisher, false, key->p);
}
