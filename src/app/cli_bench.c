/*
 * cli_bench.c - recado bench: a load generator for any WebSocket URL.
 *
 * Always true: the modes find their options checked, and within the limits of the generator.
 */
#include "app/cli.h"

#include <stdlib.h>

#include "app/bench.h"

static const char help[] =
    "usage: recado bench fanout|publish|echo|connections [URL] [options]\n"
    "\n"
    "Puts load on a WebSocket server from one thread and prints figures.\n"
    "\n"
    "  fanout       one publisher, N subscribers: latency, deliveries per second\n"
    "  publish      N publishers, C channels in turn: answers per second, and how late\n"
    "  echo         N connections send and wait for their own messages\n"
    "  connections  opens N idle connections and holds them: memory of each\n"
    "\n"
    "  recado bench fanout --connections 1000 --window 16 --pid $(pidof recado)\n"
    "  recado bench fanout ws://127.0.0.1:9001 --protocol plain --rate 5000 --size 128\n"
    "  recado bench publish -n 100 --channel kept: --channels 1000 -w 20000 -s 256\n"
    "  recado bench echo ws://127.0.0.1:8000/echo --connections 64 --window 1\n"
    "  recado bench connections -n 100000 --time 60s --pid $(pidof recado) --json\n"
    "\n"
    "The URL is ws://127.0.0.1:8000 when none is given; a path of its own replaces the\n"
    "subscribers' path of the protocol.\n"
    "\n"
    "  -n, --connections N     subscribers or connections (100)\n"
    "  -s, --size BYTES        of a message (64)\n"
    "  -w, --window N          messages outstanding: published, not yet with everybody, or not\n"
    "                          yet answered (1)\n"
    "  -r, --rate N            instead: messages per second\n"
    "  -t, --time DURATION     measured, or held (2s)\n"
    "      --warmup DURATION   before measuring (300ms)\n"
    "      --pid PID           the server's process: its CPU time and memory\n"
    "      --samples N         subscribers whose latency is looked at (64)\n"
    "      --opening N         connections being opened at a time (256)\n"
    "      --source-first K    to 127.x.x.x: come from 127.0.0.(2+K) and up, 8000 from each (0)\n"
    "      --deflate           offer compression; what comes compressed is only counted\n"
    "      --spin              never sleep: the server then pays for no wake-ups\n"
    "      --insecure          do not check the server's certificate\n"
    "      --json              one line of JSON\n"
    "how the server is spoken with:\n"
    "  -p, --protocol NAME     native, plain (/sub gets what /pub is sent), socketio (any server\n"
    "                          that knows \"join\" and \"msg\"), socketio-broadcast (nobody "
    "joins),\n"
    "                          or an application's: pytake, orquestrador, agents, plataforma,\n"
    "                          conductor\n"
    "      --transport T       websocket or polling, for the Socket.IO ones (websocket)\n"
    "      --channel CHANNEL   (bench, or one that the application has); of publish: what stands\n"
    "                          before the six digits (bench:)\n"
    "      --channels C        of publish (1)\n"
    "      --tenant TENANT     of what is published through the server's API\n"
    "      --token JWT         for native and the Socket.IO ones\n"
    "      --http              native: publish through the server's API, as applications do\n"
    "  -k, --api-key KEY       its key; else $RECADO_API_KEY is used\n"
    "      --publish-path PATH where the publisher connects, or posts to\n"
    "      --setup STEP        instead of the protocol's: send:TEXT or expect:TEXT, in order\n"
    "      --publish-setup STEP  the same for the publisher\n"
    "      --head TEXT         before what is published; %d becomes a rising number\n"
    "      --tail TEXT         after it\n"
    "      --pong TEXT         the answer to messages of 1 to 4 bytes\n";

enum { CHANNEL_TEXT_MAX = 300 };

struct bench_options {
    const char *protocol, *channel, *tenant, *token, *transport, *api_key;
    const char *publish_path, *head, *tail, *pong;
    struct cli_list setup, publish_setup;
    bool http, json;
    char channel_at[CHANNEL_TEXT_MAX];
};

static const struct {
    const char *name;
    int (*run)(struct bench *b);
} modes[] = {{"fanout", bench_fanout},
             {"publish", bench_publish},
             {"echo", bench_echo},
             {"connections", bench_connections}};

enum { MODE_COUNT = sizeof(modes) / sizeof(modes[0]), CONNECTIONS_MAX = 4000000 };
enum { CHANNELS_MAX = 1000000 };
enum { SOURCES_MAX = 60000 }; // 127.0.0.2 and up: all of them are this machine's

/* What is wrong, a constant; NULL: nothing. */
static const char *check_numbers(const struct bench *b)
{
    if (b->conn_count < 1 || b->conn_count > CONNECTIONS_MAX)
        return "--connections should be from 1 to 4000000";
    if (b->window < 1 || b->window >= BENCH_RING)
        return "--window should be from 1 to 65535";
    if (b->size < bench_payload_min() || b->size > (16 << 20))
        return "--size should be from 63 bytes to 16MiB";
    if (b->rate > 100000000)
        return "--rate should be 100000000 at most";
    if (b->opening_max < 1)
        return "--opening should be 1 at least";
    if (b->source_first > SOURCES_MAX)
        return "--source-first should be 60000 at most";
    if (b->channel_count < 1 || b->channel_count > CHANNELS_MAX)
        return "--channels should be from 1 to 1000000";
    if (b->time_ms < 1)
        return "--time should be 1ms at least";
    return NULL;
}

static bool add_steps(struct bench *b, struct bench_setup *s, const struct cli_list *steps)
{
    if (steps->count > 0)
        *s = (struct bench_setup){0};
    for (unsigned i = 0; i < steps->count; i++)
        if (!bench_setup_add(b, s, steps->items[i]))
            return false;
    return true;
}

static const char *set_protocol(struct bench *b, const struct bench_options *o)
{
    struct bench_protocol *p = &b->protocol;
    const char *transport = o->transport != NULL ? o->transport : "websocket";
    struct bench_words words = {.channel = o->channel,
                                .token = o->token,
                                .api_key = o->api_key,
                                .tenant = o->tenant,
                                .http = o->http,
                                .polling = strcmp(transport, "polling") == 0};
    bool echo = strcmp(b->mode, "echo") == 0;
    b->protocol_name = o->protocol != NULL ? o->protocol : echo ? "plain" : "native";
    if (!words.polling && strcmp(transport, "websocket") != 0)
        return "--transport should be websocket or polling";
    if (words.polling && echo)
        return "--transport polling does not echo";
    const char *wrong = bench_protocol_choose(b, b->protocol_name, &words);
    if (wrong != NULL)
        return wrong;
    if (!add_steps(b, &p->subscriber, &o->setup) || !add_steps(b, &p->publisher, &o->publish_setup))
        return "--setup should be send:TEXT or expect:TEXT, at most 16 of them";
    if (echo && o->protocol == NULL)
        p->path = "/echo";
    if (strcmp(b->url.path, "/") != 0)
        p->path = b->url.path;
    p->publish_path = o->publish_path != NULL ? o->publish_path : p->publish_path;
    p->head = o->head != NULL ? o->head : echo ? "" : p->head;
    p->tail = o->tail != NULL ? o->tail : echo ? "" : p->tail;
    p->pong = o->pong != NULL ? o->pong : p->pong;
    return NULL;
}

/* Publishers only, and each is told what became of what it sent. */
static const char *set_publishing(struct bench *b, struct bench_options *o)
{
    if (o->http || o->transport != NULL ||
        (o->protocol != NULL && strcmp(o->protocol, "native") != 0))
        return "publish is for the native protocol";
    int n = snprintf(o->channel_at, CHANNEL_TEXT_MAX, "%s%%c",
                     o->channel != NULL ? o->channel : "bench:");
    if (n >= CHANNEL_TEXT_MAX)
        return "--channel is too long";
    o->channel = o->channel_at;
    b->answers = true;
    b->sample_count = b->conn_count;
    const char *wrong = set_protocol(b, o);
    b->protocol.subscriber = b->protocol.publisher;
    b->protocol.path = b->protocol.publish_path;
    return wrong;
}

static int run_mode(struct bench *b, struct bench_options *o, const char *mode)
{
    const char *names[MODE_COUNT + 1] = {NULL};
    for (size_t i = 0; i < MODE_COUNT; i++) {
        names[i] = modes[i].name;
        if (strcmp(mode, modes[i].name) != 0)
            continue;
        b->mode = modes[i].name;
        const char *wrong = check_numbers(b);
        if (wrong == NULL && modes[i].run == bench_publish)
            wrong = set_publishing(b, o);
        else if (wrong == NULL)
            wrong = set_protocol(b, o);
        if (wrong != NULL)
            return cli_refuse(b->spec, "%s", wrong);
        return bench_init(b) ? modes[i].run(b) : cli_fail(b->spec, "%s", b->why);
    }
    const char *near = cli_nearest(mode, names);
    return cli_refuse(b->spec, "unknown mode '%s'; did you mean '%s'?", mode,
                      near != NULL ? near : "fanout");
}

static int start(struct bench *b, struct bench_options *o, const struct cli_list *rest)
{
    const char *why, *url = rest->count > 1 ? rest->items[1] : "ws://127.0.0.1:8000";
    if (rest->count == 0)
        return cli_refuse(b->spec, "the mode is missing: fanout, publish, echo or connections");
    if (rest->count > 2)
        return cli_refuse(b->spec, "unexpected argument '%s'", rest->items[2]);
    if (!url_parse(str_from(url), &b->url, &why))
        return cli_refuse(b->spec, "%s: %s", url, why);
    b->out = cli_out_choose(o->json);
    return run_mode(b, o, rest->items[0]);
}

int cli_bench(int argc, char **argv)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct bench_options o = {.api_key = getenv("RECADO_API_KEY")};
    struct cli_list rest;
    if (b == NULL)
        return CLI_FAILED;
    b->epoll_fd = -1;
    b->conn_count = 100;
    b->size = 64;
    b->window = 1;
    b->time_ms = 2000;
    b->warmup_ms = 300;
    b->sample_count = 64;
    b->opening_max = 256;
    b->channel_count = 1;
    const struct cli_option options[] = {{"connections", 'n', CLI_U64, &b->conn_count},
                                         {"size", 's', CLI_BYTES, &b->size},
                                         {"window", 'w', CLI_U64, &b->window},
                                         {"rate", 'r', CLI_U64, &b->rate},
                                         {"time", 't', CLI_DURATION, &b->time_ms},
                                         {"warmup", 0, CLI_DURATION, &b->warmup_ms},
                                         {"pid", 0, CLI_U64, &b->server_pid},
                                         {"samples", 0, CLI_U64, &b->sample_count},
                                         {"opening", 0, CLI_U64, &b->opening_max},
                                         {"source-first", 0, CLI_U64, &b->source_first},
                                         {"deflate", 0, CLI_FLAG, &b->deflate},
                                         {"spin", 0, CLI_FLAG, &b->spin},
                                         {"insecure", 0, CLI_FLAG, &b->insecure},
                                         {"json", 0, CLI_FLAG, &o.json},
                                         {"protocol", 'p', CLI_TEXT, &o.protocol},
                                         {"channel", 0, CLI_TEXT, &o.channel},
                                         {"channels", 0, CLI_U64, &b->channel_count},
                                         {"tenant", 0, CLI_TEXT, &o.tenant},
                                         {"token", 0, CLI_TEXT, &o.token},
                                         {"transport", 0, CLI_TEXT, &o.transport},
                                         {"http", 0, CLI_FLAG, &o.http},
                                         {"api-key", 'k', CLI_TEXT, &o.api_key},
                                         {"publish-path", 0, CLI_TEXT, &o.publish_path},
                                         {"setup", 0, CLI_LIST, &o.setup},
                                         {"publish-setup", 0, CLI_LIST, &o.publish_setup},
                                         {"head", 0, CLI_TEXT, &o.head},
                                         {"tail", 0, CLI_TEXT, &o.tail},
                                         {"pong", 0, CLI_TEXT, &o.pong},
                                         {0}};
    const struct cli_spec spec = {"bench", help, options};
    enum cli_parsed parsed = cli_parse(&spec, argc, argv, &rest);
    b->spec = &spec;
    int code = parsed == CLI_GO ? start(b, &o, &rest) : cli_parsed_exit(parsed);
    bench_fini(b);
    free(b);
    return code;
}
