/* scenario FILE: plays one transcript; README.md says how they are written. */
#include "base/must.h"
#include "transcript.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

struct play {
    const char *file;
    unsigned line;
    struct world world;
    struct names names;
    bool started;
    struct client *last; // whom lines without a name are about
    struct buf said;     // the message of which lines are still expected
    struct str rest;     // of it
    bool rest_is_due;
    struct buf sending; // a message with further lines
    struct client *sender;
};

static _Noreturn void fail(const struct play *p, const char *what, struct str detail)
{
    fprintf(stderr, "%s:%u: %s\n%.*s\n", p->file, p->line, what, STR_FMT(detail));
    exit(1);
}

static void check(const struct play *p, bool ok, const char *what, struct str detail)
{
    if (!ok)
        fail(p, what, detail);
}

/* ---- options ---- */

static uint32_t duration_ms(const struct play *p, struct str s)
{
    uint64_t ms;
    check(p, str_to_duration_ms(s, &ms), "not a duration", s);
    return (uint32_t)ms;
}

static void option_token(struct play *p, struct str words)
{
    struct str channels[8];
    struct token_spec spec = {.issued_at_s = world_now_s()};
    struct buf token, subs;
    struct str name = str_cut(&words, ' ');
    while (words.n > 0) {
        struct str value = str_cut(&words, ' ');
        struct str key = str_cut(&value, '=');
        if (str_eq(key, STR("sub")))
            spec.sub = value;
        else if (str_eq(key, STR("tenant")))
            spec.tenant = value;
        else if (str_eq(key, STR("channel")))
            spec.channel = value;
        else if (str_eq(key, STR("info")))
            spec.info = value;
        else if (str_eq(key, STR("exp")))
            spec.expires_at_s = world_now_s() + duration_ms(p, value) / 1000;
        else if (str_eq(key, STR("expired")))
            spec.expires_at_s = world_now_s() - 1;
        else if (str_eq(key, STR("channels")))
            while (value.n > 0 && spec.channel_count < 8)
                channels[spec.channel_count++] = str_cut(&value, ',');
        else
            fail(p, "unknown part of a token", key);
    }
    spec.channels = channels;
    buf_init(&token, 4096);
    buf_init(&subs, 4096);
    check(p, token_sign(STR(SCENARIO_SECRET), &spec, &token), "no token can be made of this", name);
    names_set(&p->names, name, buf_str(&token));
    buf_fini(&token);
    buf_fini(&subs);
}

static uint32_t number(const struct play *p, struct str s)
{
    uint64_t v;
    check(p, str_to_u64(s, &v), "not a number", s);
    return (uint32_t)v;
}

static bool option_endpoint(struct play *p, struct str word)
{
    struct world *w = &p->world;
    struct str value = word;
    struct str key = str_cut(&value, '=');
    struct dialect_options *o = &w->options;
    if (str_eq(key, STR("heartbeat")))
        o->heartbeat_interval_ms = duration_ms(p, value);
    else if (str_eq(key, STR("timeout")))
        o->heartbeat_timeout_ms = duration_ms(p, value);
    else if (str_eq(key, STR("connections")))
        o->connections_max = number(p, value);
    else if (str_eq(key, STR("recovery")))
        o->socketio.recovery_ms = duration_ms(p, value);
    else if (str_eq(key, STR("listener")))
        w->listener = value;
    else if (str_eq(key, STR("ping")))
        w->ping_ms = duration_ms(p, value);
    else if (str_eq(key, STR("pong")))
        w->pong_ms = duration_ms(p, value);
    else if (str_eq(key, STR("connect")))
        w->connect_ms = duration_ms(p, value);
    else if (str_eq(key, STR("rate"))) {
        w->rate = number(p, str_cut(&value, '/'));
        w->burst = number(p, value);
    } else {
        return false;
    }
    return true;
}

static void option_channel(struct play *p, struct channel_options *o, struct str word)
{
    struct str value = word;
    struct str key = str_cut(&value, '=');
    if (str_eq(key, STR("history")))
        o->history_count = number(p, value);
    else if (str_eq(key, STR("ttl")))
        o->history_ttl_ms = duration_ms(p, value);
    else if (str_eq(key, STR("publish")))
        o->client_publish = true;
    else if (str_eq(key, STR("closed")))
        o->client_subscribe = false;
    else if (str_eq(key, STR("presence")))
        o->presence = true;
    else if (str_eq(key, STR("join_leave")))
        o->join_leave = true;
    else if (str_eq(key, STR("cache")))
        o->cache = true;
    else
        fail(p, "unknown option", word);
}

static void option_namespace(struct play *p, struct str name, struct str words)
{
    struct policy *policy = &p->world.policy;
    MUST(policy->namespace_count < NAMESPACES_MAX);
    struct namespace_options *ns = &p->world.namespaces[policy->namespace_count++];
    ns->name = str_eq(name, STR("default")) ? STR("") : name;
    ns->options = (struct channel_options){.history_bytes = 1 << 20,
                                           .client_subscribe = true,
                                           .anonymous_info = true,
                                           .client_history = true,
                                           .client_presence = true,
                                           .recover = true};
    while (words.n > 0)
        option_channel(p, &ns->options, str_cut(&words, ' '));
}

static void option(struct play *p, struct str words)
{
    struct str all = words;
    struct str first = str_cut(&words, ' ');
    if (str_eq(first, STR("token"))) {
        option_token(p, words);
        return;
    }
    check(p, !p->started, "options come first", all);
    if (!option_endpoint(p, first)) {
        option_namespace(p, first, words);
        return;
    }
    while (words.n > 0)
        check(p, option_endpoint(p, str_cut(&words, ' ')), "unknown option", all);
}

/* ---- what nobody expected ---- */

static void check_nothing_is_left(struct play *p)
{
    struct buf b;
    check(p, !p->rest_is_due, "further lines came in the same message", p->rest);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &p->world.clients[i];
        enum told told = client_next(&p->world, c, &b);
        if (told == TOLD_MESSAGE || told == TOLD_PING || told == TOLD_CLOSE) {
            fprintf(stderr, "client %c:\n", 'a' + i);
            fail(p, told == TOLD_CLOSE ? "unexpected close" : "unexpected message", buf_str(&b));
        }
    }
    buf_fini(&b);
}

/* ---- lines ---- */

static void start(struct play *p)
{
    if (!p->started)
        world_start(&p->world);
    p->started = true;
}

static void sending_flush(struct play *p)
{
    if (p->sender == NULL)
        return;
    struct client *c = p->sender;
    p->sender = NULL;
    if (c->open_ws)
        client_send(&p->world, c, 1, buf_str(&p->sending));
    else
        client_send_raw(&p->world, c, buf_str(&p->sending));
    buf_clear(&p->sending);
}

#define UPGRADE_LINES                                                                              \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* "ask POST /path {"body":1}", or "ask WS /path" for a WebSocket that is refused: the answer is
 * expected as "< 400 its body". */
static void line_ask(struct play *p, struct client *c, struct str what)
{
    struct buf b, body;
    struct str method = str_cut(&what, ' ');
    bool ws = str_eq(method, STR("WS"));
    buf_init(&b, 65536);
    buf_init(&body, 65536);
    if (c->fd < 0 || !c->asks)
        client_open(&p->world, c);
    c->asks = true;
    MUST(buf_add(&b, ws ? STR("GET") : method) && buf_add_char(&b, ' '));
    names_fill(&p->names, str_cut(&what, ' '), &b);
    names_fill(&p->names, what, &body);
    MUST(buf_add(&b, STR(" HTTP/1.1\r\nHost: localhost\r\n")));
    if (ws)
        MUST(buf_add(&b, STR(UPGRADE_LINES)));
    MUST(buf_add_format(&b, "Content-Length: %zu\r\n\r\n", body.len));
    MUST(buf_add(&b, buf_str(&body)));
    client_send_raw(&p->world, c, buf_str(&b));
    buf_fini(&b);
    buf_fini(&body);
}

/* "ws /path" or "get /path" */
static void line_open(struct play *p, struct client *c, struct str what)
{
    struct buf b;
    struct str kind = str_cut(&what, ' ');
    bool ws = str_eq(kind, STR("ws"));
    if (str_eq(kind, STR("ask"))) {
        line_ask(p, c, what);
        return;
    }
    buf_init(&b, 65536);
    client_open(&p->world, c);
    MUST(buf_add(&b, STR("GET ")));
    names_fill(&p->names, str_cut(&what, ' '), &b);
    MUST(buf_add(&b, STR(" HTTP/1.1\r\nHost: localhost\r\n")));
    if (what.n > 0) { // one more header
        names_fill(&p->names, what, &b);
        MUST(buf_add(&b, STR("\r\n")));
    }
    if (ws)
        MUST(buf_add(&b, STR(UPGRADE_LINES)));
    MUST(buf_add(&b, STR("\r\n")));
    client_send_raw(&p->world, c, buf_str(&b));
    unsigned status = client_take_head(c);
    check(p, status == (ws ? 101 : 200), "the request was refused", buf_str(&c->in));
    buf_fini(&b);
}

static void line_send(struct play *p, struct client *c, struct str text)
{
    check_nothing_is_left(p);
    buf_clear(&p->sending);
    names_fill(&p->names, text, &p->sending);
    p->sender = c;
}

static void expect_line(struct play *p, struct str want)
{
    struct str got = str_cut(&p->rest, '\n');
    p->rest_is_due = p->rest.n > 0;
    if (names_match(&p->names, want, got))
        return;
    fprintf(stderr, "expected\n%.*s\ngot\n", STR_FMT(want));
    fail(p, "not what was expected", got);
}

static void line_expect(struct play *p, struct client *c, struct str want)
{
    check(p, !p->rest_is_due, "further lines came in the same message", p->rest);
    enum told told = client_next(&p->world, c, &p->said);
    if (told == TOLD_NOTHING)
        fail(p, "nothing came, but expected was", want);
    check(p, told == TOLD_MESSAGE, "the connection ended", buf_str(&p->said));
    p->rest = buf_str(&p->said);
    expect_line(p, want);
}

static void line_end(struct play *p, struct client *c, struct str want)
{
    bool closes = str_starts(want, STR("close "));
    if (str_eq(want, STR("ping"))) {
        check(p, client_next(&p->world, c, &p->said) == TOLD_PING, "no ping came", STR_NONE);
        return;
    }
    enum told told = client_next(&p->world, c, &p->said);
    struct str got = buf_str(&p->said);
    check(p, told == (closes ? TOLD_CLOSE : TOLD_END), "the connection did not end so", got);
    if (closes && !names_match(&p->names, str_skip(want, 6), got))
        fail(p, "closed in another way", got);
    client_leave(&p->world, c);
}

/* ---- the back end ---- */

static void verb_done(void *ctx, const struct answer *a)
{
    struct play *p = ctx;
    check(p, a->err == ERR_OK, "the back end was refused", err_message(a->err));
}

static struct str word_of(struct str words, struct str key)
{
    while (words.n > 0) {
        struct str value = str_cut(&words, ' ');
        if (str_eq(str_cut(&value, '='), key))
            return value;
    }
    return STR_NONE;
}

static struct str tenant_of(struct str words)
{
    struct str tenant = word_of(words, STR("tenant"));
    return tenant.n > 0 ? tenant : STR("default");
}

static void back_end(struct play *p, struct str words)
{
    struct hub *hub = node_hub(p->world.node, 0);
    struct str verb = str_cut(&words, ' ');
    check_nothing_is_left(p);
    if (str_eq(verb, STR("figures"))) {
        world_take_figures(&p->world);
    } else if (str_eq(verb, STR("publish"))) {
        struct str channel = str_cut(&words, ' ');
        size_t data = str_find(words, STR("data="));
        struct str head = {words.p, data};
        hub_publish(hub,
                    &(struct publish_params){.tenant = tenant_of(head),
                                             .channel = channel,
                                             .type = word_of(head, STR("type")),
                                             .tags = word_of(head, STR("tags")),
                                             .data = str_skip(words, data + 5)},
                    verb_done, p);
    } else {
        struct control_params params = {.tenant = tenant_of(words),
                                        .user = word_of(words, STR("user")),
                                        .channel = word_of(words, STR("channel")),
                                        .reason = CLOSE_FORCE_DISCONNECT};
        params.verb = str_eq(verb, STR("subscribe"))     ? CONTROL_SUBSCRIBE
                      : str_eq(verb, STR("unsubscribe")) ? CONTROL_UNSUBSCRIBE
                                                         : CONTROL_DISCONNECT;
        hub_control(hub, &params, verb_done, p);
    }
    world_settle(&p->world);
}

static void line_back_end(struct play *p, struct str words)
{
    struct buf b;
    buf_init(&b, 65536);
    names_fill(&p->names, words, &b);
    back_end(p, buf_str(&b));
    buf_fini(&b);
}

/* ---- the walk ---- */

/* ">pong", or ">binary TEXT" */
static void line_frame(struct play *p, struct client *c, struct str what)
{
    struct str kind = str_cut(&what, ' ');
    bool binary = str_eq(kind, STR("binary"));
    check(p, binary || str_eq(kind, STR("pong")), "not a frame that can be sent", kind);
    check_nothing_is_left(p);
    client_send(&p->world, c, binary ? 2 : 10, what);
}

static void line_talk(struct play *p, struct client *c, struct str line)
{
    char mark = line.n > 0 ? line.p[0] : ' ';
    struct str text = str_skip(line, line.n > 1 && (line.p[1] == ' ' || line.p[1] == '+') ? 2 : 1);
    bool more = line.n > 1 && line.p[1] == '+';
    if (more)
        text = str_skip(text, 1);
    if (mark == '>' && more) {
        MUST(buf_add_char(&p->sending, '\n'));
        names_fill(&p->names, text, &p->sending);
        return;
    }
    sending_flush(p);
    if (mark == '>' && line.n > 1 && line.p[1] != ' ')
        line_frame(p, c, str_skip(line, 1));
    else if (mark == '>')
        line_send(p, c, text);
    else if (mark == '<' && more)
        expect_line(p, text);
    else if (mark == '<' && line.n > 1 && line.p[1] != ' ')
        line_end(p, c, str_skip(line, 1));
    else
        line_expect(p, c, text);
}

static void play_line(struct play *p, struct str line)
{
    struct client *c = &p->world.clients[0];
    if (line.n == 0 || line.p[0] == '#')
        return;
    if (line.p[0] == '=') {
        option(p, str_skip(line, 2));
        return;
    }
    start(p);
    if (line.n > 1 && line.p[0] >= 'a' && line.p[0] < 'a' + CLIENTS_MAX) {
        c = &p->world.clients[line.p[0] - 'a'];
        line = str_skip(line, 1);
    }
    if (line.p[0] == '>' || line.p[0] == '<') {
        line_talk(p, c, line);
        return;
    }
    sending_flush(p);
    if (line.p[0] == ':') {
        line_open(p, c, str_skip(line, 2));
    } else if (line.p[0] == '~') {
        check_nothing_is_left(p);
        world_pass(&p->world, duration_ms(p, str_skip(line, 2)));
    } else if (line.p[0] == '!') {
        line_back_end(p, str_skip(line, 2));
    } else {
        fail(p, "not a line of a transcript", line);
    }
}

static void play_text(struct play *p, struct str text)
{
    world_init(&p->world);
    while (text.n > 0) {
        p->line++;
        play_line(p, str_cut(&text, '\n'));
    }
    start(p);
    sending_flush(p);
    check_nothing_is_left(p);
    world_destroy(&p->world);
}

int main(int argc, char **argv)
{
    static char text[1 << 18];
    static struct play p;
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (f == NULL) {
        fprintf(stderr, "usage: scenario FILE\n");
        return 2;
    }
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    MUST(n < sizeof(text));
    p.file = argv[1];
    buf_init(&p.said, 1 << 20);
    buf_init(&p.sending, 1 << 20);
    play_text(&p, (struct str){text, n});
    buf_fini(&p.said);
    buf_fini(&p.sending);
    return 0;
}
