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

/* ---- presets: one row says how a kind of server is spoken with ----
 *
 * In texts $channel and $token become JSON strings, $id is the channel's name after its colon,
 * $transport is polling or websocket; what stands between two ~ is left out without a token. */

enum { PRESET_STEPS = 4 };
struct preset {
    const char *name, *path;
    const char *subscribe[PRESET_STEPS]; // ">text" is sent, "<text" is waited for
    const char *publish[PRESET_STEPS];   // the publisher's, when it has publish_path
    const char *publish_path;            // NULL: through the server API
    const char *head, *tail, *pong;
    const char *channel, *tenant, *type; // channel NULL: bench
    unsigned around;
    bool lines, polls;
};

static const struct preset presets[] = {
    {.name = "native",
     .path = "/connection/websocket",
     .subscribe = {">{\"id\":1,\"connect\":{~\"token\":$token~}}", "<\"id\":1,\"connect\"",
                   ">{\"id\":2,\"subscribe\":{\"channel\":$channel}}", "<\"id\":2,\"subscribe\""},
     .publish = {">{\"id\":1,\"connect\":{~\"token\":$token~}}", "<\"id\":1,\"connect\""},
     .publish_path = "/connection/websocket",
     .head = "{\"id\":%d,\"publish\":{\"channel\":$channel,\"data\":",
     .tail = "}}",
     .pong = "{}",
     .lines = true},
    // A topic server: what the publisher sends is what everybody gets.
    {.name = "plain", .path = "/sub", .publish_path = "/pub", .head = "", .tail = ""},
    // Any Socket.IO server: "join" is acknowledged, "msg" goes to the room.
    {.name = "socketio",
     .path = "/socket.io/?EIO=4&transport=$transport",
     .subscribe = {">40~{\"token\":$token}~", "<40{", ">420[\"join\",$channel]", "<430["},
     .publish = {">40~{\"token\":$token}~", "<40{"},
     .publish_path = "/socket.io/?EIO=4&transport=websocket",
     .head = "42[\"msg\",",
     .tail = "]",
     .pong = "3",
     .polls = true},
    // Recado's own: everybody in the namespace, and nobody joins anything.
    {.name = "socketio-broadcast",
     .path = "/socket.io/?EIO=4&transport=$transport",
     .subscribe = {">40~{\"token\":$token}~", "<40{"},
     .pong = "3",
     .channel = "socketio:/",
     .type = "msg",
     .polls = true},
    {.name = "pytake",
     .path = "/socket.io/?EIO=4&transport=$transport",
     .subscribe = {">40~{\"token\":$token}~", "<40{",
                   ">42[\"join_conversation\",{\"conversation_id\":\"$id\"}]",
                   "<joined_conversation"},
     .pong = "3",
     .channel = "conversation:3f2a7c1e-5b64-4d0a-9a53-8c1f0e2d4b67",
     .tenant = "bench",
     .type = "message:new",
     .polls = true},
    {.name = "orquestrador",
     .path = "/ws",
     .subscribe = {">{\"type\":\"task:subscribe\",\"data\":{\"taskId\":$id}}", "<task:subscribed"},
     .channel = "task:1",
     .type = "task:update"},
    {.name = "agents",
     .path = "/ws/agents?organizationId=bench&userId=bench",
     .subscribe = {"<\"connected\""},
     .channel = "agents",
     .tenant = "bench",
     .type = "task:created"},
    {.name = "plataforma",
     .path = "/ws/project/$id",
     .subscribe = {"<\"subscribed\""},
     .channel = "project:bench",
     .type = "task_updated",
     .around = 60}, // a heartbeat is longer than the shortest payload
    {.name = "conductor",
     .path = "/ws/gamification",
     .subscribe = {"<\"connected\""},
     .channel = "gamification",
     .type = "task_started"},
};

static bool add_value(struct buf *t, struct str name, const struct bench_words *w)
{
    struct str id = str_from(w->channel);
    if (str_find(id, STR(":")) < id.n)
        str_cut(&id, ':');
    if (str_eq(name, STR("channel")))
        return json_write_string(t, str_from(w->channel));
    if (str_eq(name, STR("token")))
        return json_write_string(t, str_from(w->token != NULL ? w->token : ""));
    if (str_eq(name, STR("transport")))
        return buf_add(t, w->polling ? STR("polling") : STR("websocket"));
    return buf_add(t, id);
}

static const char *fill(struct bench *b, const char *text, const struct bench_words *w)
{
    struct buf *t = text != NULL ? new_text(b) : NULL;
    bool ok = t != NULL, hidden = false;
    if (text == NULL)
        return NULL;
    for (const char *at = text; ok && *at != '\0'; at++) {
        if (*at == '~') {
            hidden = !hidden && w->token == NULL;
        } else if (!hidden && *at == '$') {
            size_t n = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz");
            ok = add_value(t, (struct str){at + 1, n}, w);
            at += n;
        } else if (!hidden) {
            ok = buf_add_char(t, *at);
        }
    }
    return ok && buf_add_char(t, '\0') ? t->p : NULL;
}

static bool add_steps(struct bench *b, struct bench_setup *s, const char *const *steps,
                      const struct bench_words *w)
{
    for (unsigned i = 0; i < PRESET_STEPS && steps[i] != NULL; i++)
        if (!add_step(s, steps[i][0] == '<', fill(b, steps[i] + 1, w)))
            return false;
    return true;
}

/* What is published goes to the server API: the head of such a request's body. */
static bool use_http(struct bench *b, const struct bench_words *w)
{
    struct bench_protocol *p = &b->protocol;
    struct buf *key = new_text(b), *head = new_text(b);
    p->http = true;
    p->publish_path = "/api/publish";
    p->tail = "}";
    p->publisher = (struct bench_setup){0};
    if (key == NULL || head == NULL)
        return false;
    bool ok = buf_add(head, STR("{\"channel\":")) && json_write_string(head, str_from(w->channel));
    if (w->tenant != NULL)
        ok = ok && buf_add(head, STR(",\"tenant\":")) &&
             json_write_string(head, str_from(w->tenant));
    if (w->type != NULL)
        ok = ok && buf_add(head, STR(",\"type\":")) && json_write_string(head, str_from(w->type));
    ok = ok && buf_add(head, STR(",\"data\":")) && buf_add_char(head, '\0');
    p->head = head->p;
    if (w->api_key != NULL)
        ok = ok && buf_add_format(key, "X-API-Key: %s\r\n", w->api_key);
    return ok && buf_add_char(key, '\0') && add_step(&p->publisher, false, key->p);
}

static bool set_preset(struct bench *b, const struct preset *t, struct bench_words w)
{
    struct bench_protocol *p = &b->protocol;
    w.channel = w.channel != NULL ? w.channel : t->channel != NULL ? t->channel : "bench";
    w.tenant = w.tenant != NULL ? w.tenant : t->tenant;
    w.type = t->type;
    *p = (struct bench_protocol){
        .path = fill(b, t->path, &w),
        .publish_path = t->publish_path,
        .head = fill(b, t->head, &w),
        .tail = t->tail,
        .pong = t->pong,
        .around = t->around,
        .lines = t->lines,
        .polling = w.polling,
    };
    if (p->path == NULL || !add_steps(b, &p->subscriber, t->subscribe, &w))
        return false;
    if (w.http || t->publish_path == NULL)
        return use_http(b, &w);
    return p->head != NULL && add_steps(b, &p->publisher, t->publish, &w);
}

const char *bench_protocol_choose(struct bench *b, const char *name, const struct bench_words *w)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(presets[i].name, name) != 0)
            continue;
        if (w->polling && !presets[i].polls)
            return "--transport polling is for the Socket.IO ones: socketio, socketio-broadcast, "
                   "pytake";
        return set_preset(b, &presets[i], *w) ? NULL : "the channel, token or key is too long";
    }
    return "--protocol should be native, plain, socketio, socketio-broadcast, pytake, "
           "orquestrador, agents, plataforma or conductor";
}
