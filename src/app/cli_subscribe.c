/*
 * cli_subscribe.c - recado subscribe: events of channels, as they come, one a line.
 *
 * Always true: standard output has events only; what else is to be said goes to standard error.
 */
#include "app/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "app/follower.h"
#include "base/clock.h"
#include "base/json.h"

static const char help[] =
    "usage: recado subscribe --channel CHANNEL[,CHANNEL...] [options]\n"
    "\n"
    "Prints every event of the channels until Ctrl-C. After a disconnect it comes back and gets\n"
    "what it missed.\n"
    "\n"
    "  recado subscribe --channel news\n"
    "  recado subscribe --channel task:42,monitor\n"
    "  recado subscribe --channel project:PROJ-001 --since 120   # all after offset 120\n"
    "  recado subscribe --channel news --count 1 --json | jq .data\n"
    "  recado subscribe --server wss://events.example --token \"$JWT\" --channel user:7\n"
    "\n"
    "  -C, --channel LIST   channels, with commas; may be given several times\n"
    "      --since OFFSET   begin behind this offset, as far as the history reaches\n"
    "      --epoch EPOCH    the epoch that the offset belongs to, when it is known\n"
    "  -n, --count N        end after N events\n"
    "  -s, --server URL     the server (http://127.0.0.1:8000)\n"
    "  -t, --token JWT      who is asking; else $RECADO_TOKEN is used\n"
    "      --tenant TENANT  for endpoints with tenant_from: query.tenant (a token names its own)\n"
    "      --insecure       do not check the server's certificate\n"
    "  -v, --verbose        also say when it is subscribed and when it reconnects\n"
    "      --json           print one JSON object per event\n";

struct subscribe {
    struct cli_out out;
    const struct cli_spec *spec;
    uint64_t count, seen;
    bool notices;
    struct buf line;
};

/* ---- printing ---- */

static void print_json(struct subscribe *s, const struct follower_event *e)
{
    struct json_writer w;
    buf_clear(&s->line);
    json_writer_init(&w, &s->line);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("channel")), e->channel);
    if (e->offset > 0)
        json_put_u64(json_key(&w, STR("offset")), e->offset);
    if (e->epoch.n > 0)
        json_put_string(json_key(&w, STR("epoch")), e->epoch);
    if (e->time_ms > 0)
        json_put_i64(json_key(&w, STR("time")), e->time_ms);
    if (e->type.n > 0)
        json_put_string(json_key(&w, STR("type")), e->type);
    json_put_raw(json_key(&w, STR("data")), e->data);
    json_close_object(&w);
    if (!json_done(&w))
        return;
    for (size_t i = 0; i < s->line.len; i++) // between values only: strings have none
        if (s->line.p[i] == '\n' || s->line.p[i] == '\r')
            s->line.p[i] = ' ';
    fwrite(s->line.p, 1, s->line.len, stdout);
    putchar('\n');
}

static void print_text(struct subscribe *s, const struct follower_event *e)
{
    const struct cli_out *o = &s->out;
    int64_t ms = e->time_ms > 0 ? e->time_ms : clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    char clock_text[16];
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(clock_text, sizeof(clock_text), "%H:%M:%S", &tm);
    printf("%s%s.%03d%s %s", cli_color(o, CLI_DIM), clock_text, (int)(ms % 1000),
           cli_color(o, CLI_PLAIN), cli_color(o, CLI_CYAN));
    cli_print_safe(e->channel);
    fputs(cli_color(o, CLI_PLAIN), stdout);
    if (e->offset > 0)
        printf(" %s#%llu%s", cli_color(o, CLI_DIM), (unsigned long long)e->offset,
               cli_color(o, CLI_PLAIN));
    if (e->type.n > 0) {
        printf(" %s", cli_color(o, CLI_BOLD));
        cli_print_safe(e->type);
        fputs(cli_color(o, CLI_PLAIN), stdout);
    }
    putchar(' ');
    cli_print_safe(e->data);
    putchar('\n');
}

static bool on_event(void *ctx, const struct follower_event *e)
{
    struct subscribe *s = ctx;
    if (s->out.json)
        print_json(s, e);
    else
        print_text(s, e);
    s->seen++;
    return fflush(stdout) == 0 && (s->count == 0 || s->seen < s->count);
}

/* The server has its say in what there is to say. */
static void say(const char *text)
{
    fputs("recado subscribe: ", stderr);
    cli_write_safe(stderr, str_from(text));
    putc('\n', stderr);
}

static void on_warning(void *ctx, const char *text)
{
    (void)ctx;
    say(text);
}

static void on_notice(void *ctx, const char *text)
{
    const struct subscribe *s = ctx;
    if (s->notices)
        say(text);
}

static const struct follower_handler printing = {
    .event = on_event,
    .notice = on_notice,
    .warning = on_warning,
};

/* ---- the command ---- */

struct subscribe_options {
    const char *server, *token, *tenant, *since, *epoch;
    struct cli_list channels;
    bool insecure, verbose, json;
};

/* Splits the lists at their commas, in place. False: too many. */
static bool add_channels(struct follower *f, char *names)
{
    for (char *at = names, *name; (name = strsep(&at, ",")) != NULL;) {
        if (*name == '\0')
            continue;
        if (f->channel_count == FOLLOWER_CHANNELS_MAX)
            return false;
        f->channels[f->channel_count++] = (struct follower_channel){.name = name};
    }
    return true;
}

static const char *set_since(struct follower *f, const struct subscribe_options *o)
{
    uint64_t offset;
    if (o->since == NULL)
        return o->epoch != NULL ? "--epoch goes with --since" : NULL;
    if (!str_to_u64(str_from(o->since), &offset))
        return "--since should be an offset: a whole number";
    if (o->epoch != NULL && strlen(o->epoch) >= FOLLOWER_EPOCH_MAX)
        return "--epoch is too long";
    for (unsigned i = 0; i < f->channel_count; i++) {
        f->channels[i].offset = offset;
        f->channels[i].positioned = true;
        if (o->epoch != NULL)
            memcpy(f->channels[i].epoch, o->epoch, strlen(o->epoch) + 1);
    }
    return NULL;
}

static const char *set_target(struct follower *f, const struct subscribe_options *o)
{
    const char *why = NULL;
    if (!url_parse(str_from(o->server), &f->url, &why))
        return why;
    if (!url_default_path(&f->url, "/connection/websocket") ||
        (o->tenant != NULL && !url_add_query(&f->url, "tenant", o->tenant)))
        return "the URL is too long";
    f->token = o->token != NULL && *o->token != '\0' ? o->token : NULL;
    f->tls = f->url.tls ? stream_tls_context(!o->insecure) : NULL;
    return f->url.tls && f->tls == NULL ? "TLS cannot be set up" : NULL;
}

/* Ctrl-C and SIGTERM become bytes to read. */
static int open_stop_fd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

enum { CLOSED_INVALID_TOKEN = 3500 };

static int run(struct subscribe *s, struct follower *f)
{
    f->handler = &printing;
    f->ctx = s;
    f->stop_fd = open_stop_fd();
    buf_init(&s->line, WS_CLIENT_MESSAGE_MAX + 4096);
    enum follower_end end = follower_run(f);
    if (f->stop_fd >= 0)
        close(f->stop_fd);
    buf_fini(&s->line);
    bool asked_for_token = f->token == NULL && f->ws.close_code == CLOSED_INVALID_TOKEN;
    if (end == FOLLOWER_REFUSED)
        return cli_fail(s->spec, "%s%s", f->why,
                        asked_for_token ? " (no token was given: --token or $RECADO_TOKEN)" : "");
    return CLI_DONE;
}

static int start(struct subscribe *s, const struct subscribe_options *o)
{
    struct follower f = {0};
    char *copies[CLI_LIST_MAX] = {NULL};
    const char *wrong = NULL;
    int code;
    for (unsigned i = 0; i < o->channels.count && wrong == NULL; i++) {
        copies[i] = strdup(o->channels.items[i]);
        if (copies[i] == NULL || !add_channels(&f, copies[i]))
            wrong = "too many channels";
    }
    if (wrong == NULL && f.channel_count == 0)
        wrong = "--channel is missing";
    if (wrong == NULL)
        wrong = set_since(&f, o);
    if (wrong == NULL)
        wrong = set_target(&f, o);
    code = wrong != NULL ? cli_refuse(s->spec, "%s", wrong) : run(s, &f);
    SSL_CTX_free(f.tls);
    for (unsigned i = 0; i < CLI_LIST_MAX; i++)
        free(copies[i]);
    return code;
}

int cli_subscribe(int argc, char **argv)
{
    struct subscribe s = {0};
    struct subscribe_options o = {.server = "http://127.0.0.1:8000",
                                  .token = getenv("RECADO_TOKEN")};
    struct cli_list rest;
    const struct cli_option options[] = {{"channel", 'C', CLI_LIST, &o.channels},
                                         {"since", 0, CLI_TEXT, &o.since},
                                         {"epoch", 0, CLI_TEXT, &o.epoch},
                                         {"count", 'n', CLI_U64, &s.count},
                                         {"server", 's', CLI_TEXT, &o.server},
                                         {"token", 't', CLI_TEXT, &o.token},
                                         {"tenant", 0, CLI_TEXT, &o.tenant},
                                         {"insecure", 0, CLI_FLAG, &o.insecure},
                                         {"verbose", 'v', CLI_FLAG, &o.verbose},
                                         {"json", 0, CLI_FLAG, &o.json},
                                         {0}};
    const struct cli_spec spec = {"subscribe", help, options};
    enum cli_parsed parsed = cli_parse(&spec, argc, argv, &rest);
    if (parsed != CLI_GO)
        return cli_parsed_exit(parsed);
    if (rest.count > 0)
        return cli_refuse(&spec, "unexpected argument '%s'", rest.items[0]);
    s.spec = &spec;
    s.out = cli_out_choose(o.json);
    s.notices = o.verbose || isatty(STDERR_FILENO);
    return start(&s, &o);
}
