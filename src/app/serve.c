/*
 * serve.c - `recado serve`: reads the configuration, runs the server, listens to signals.
 *
 * The main thread does nothing but wait for signals; every loop has a thread of its own.
 */
#include "app/cli.h"
#include "app/config.h"
#include "app/notify.h"
#include "app/server.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LARGE_BYTES = 1 << 20 };

static const char serve_help[] =
    "usage: recado serve [-c recado.yaml] [--listen HOST:PORT]... [--data DIR]\n"
    "\n"
    "Starts the server. Without a file it listens on 127.0.0.1:8000, for this machine only.\n"
    "\n"
    "  -c, --config FILE     configuration; see `recado config default` for a commented one\n"
    "      --listen ADDR     HOST:PORT, [IPv6]:PORT or unix:/path; may be given several times\n"
    "      --data DIR        where Recado keeps its files (recado-data)\n"
    "      --insecure        allow listening beyond this machine without secret and API keys\n"
    "      --SECTION.KEY V   any key of the configuration, such as --log.level debug\n"
    "\n"
    "examples:\n"
    "  recado serve\n"
    "  recado serve -c /etc/recado/recado.yaml\n"
    "  recado serve --listen 127.0.0.1:9000 --listen unix:/run/recado/recado.sock\n"
    "\n"
    "signals: SIGHUP reloads the configuration and certificates, SIGTERM and SIGINT drain and end\n"
    "(a second one ends at once).\n";

enum { REASON_MAX = 256 };

struct serve {
    const char *file;
    struct config_flag flags[CONFIG_FLAGS_MAX];
    size_t flag_count;
    bool helped;
};

/* Steps *i over what it takes, as config_flag_take() does. */
static bool take_file(int argc, char **argv, int *i, struct serve *ret)
{
    struct str a = str_from(argv[*i]);
    if (str_starts(a, STR("--config="))) {
        ret->file = a.p + 9;
        *i += 1;
        return true;
    }
    if ((str_eq(a, STR("-c")) || str_eq(a, STR("--config"))) && *i + 1 < argc) {
        ret->file = argv[*i + 1];
        *i += 2;
        return true;
    }
    return false;
}

static int refuse_argument(const char *arg)
{
    char at[REASON_MAX];
    struct buf why = buf_on(at, sizeof(at));
    if (config_flag_explain(arg, &why))
        fprintf(stderr, "recado serve: %.*s\n", STR_FMT(buf_str(&why)));
    else
        fprintf(stderr, "recado serve: unknown argument \"%s\"; %s\n", arg,
                arg[0] == '-' ? "see recado serve --help" : "a file is given with -c FILE");
    return CLI_WRONG;
}

/* CLI_DONE: go on. */
static int read_arguments(int argc, char **argv, struct serve *ret)
{
    for (int i = 1; i < argc;) {
        struct str a = str_from(argv[i]);
        if (str_eq(a, STR("--help")) || str_eq(a, STR("-h"))) {
            ret->helped = true;
            return CLI_DONE;
        }
        if (take_file(argc, argv, &i, ret))
            continue;
        struct config_flag flag;
        if (!config_flag_take(argc, argv, &i, &flag))
            return refuse_argument(a.p);
        if (flag.value == NULL || ret->flag_count == CONFIG_FLAGS_MAX) {
            fprintf(stderr, "recado serve: %s needs a value\n", flag.key);
            return CLI_WRONG;
        }
        ret->flags[ret->flag_count++] = flag;
    }
    return CLI_DONE;
}

static void print_lines(const struct buf *text, enum log_level level)
{
    struct str rest = buf_str(text);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (line.n == 0)
            continue;
        if (level == LOG_NONE)
            fprintf(stderr, "recado: %.*s\n", STR_FMT(line));
        else
            log_write(level, "%.*s", STR_FMT(line));
    }
}

static bool load(const struct serve *v, struct config **ret, struct buf *messages)
{
    const char *file = v->file != NULL ? v->file : config_file_default(environ);
    struct config_source source = {
        .file = file, .env = environ, .flags = v->flags, .flag_count = v->flag_count};
    struct config *c;
    if (!config_load(&source, &c, messages))
        return false;
    if (!endpoints_check(c, messages)) {
        config_destroy(&c);
        return false;
    }
    *ret = c;
    return true;
}

static void announce(const struct server *s)
{
    for (size_t i = 0; i < s->door_count; i++) {
        const struct door *d = &s->doors[i];
        const char *scheme = d->addr.ss.ss_family == AF_UNIX ? ""
                             : d->cert.n > 0                 ? "https://"
                                                             : "http://";
        log_info("listening on %s%s%s", scheme, d->addr.text, d->internal ? " (internal)" : "");
    }
    log_info("recado %s is ready, %u loop%s", RECADO_VERSION, s->worker_count,
             s->worker_count == 1 ? "" : "s");
}

static void reload(const struct serve *v, struct server *s)
{
    struct buf messages;
    struct config *next;
    buf_init(&messages, 1 << 20);
    notify_service("RELOADING=1");
    if (!load(v, &next, &messages)) {
        log_error("the configuration was not reloaded; what runs goes on");
        print_lines(&messages, LOG_ERROR);
    } else {
        print_lines(&messages, LOG_WARN);
        buf_clear(&messages);
        if (server_reload(s, next, &messages))
            log_info("reloaded: namespaces, tokens, API keys, certificates, log level");
        else
            print_lines(&messages, LOG_ERROR);
    }
    notify_service("READY=1");
    buf_fini(&messages);
}

/* Waits for the drain to end, or for a second signal. */
static void drain(struct server *s, const sigset_t *signals)
{
    uint64_t end_ns = clock_mono_ns() + (uint64_t)s->config->shutdown_drain_ms * 1000000;
    notify_service("STOPPING=1");
    log_info("draining for at most %u ms", s->config->shutdown_drain_ms);
    server_drain(s);
    struct timespec tick = {.tv_nsec = 20 * 1000000};
    while (clock_mono_ns() < end_ns && !server_is_empty(s)) {
        int sig = sigtimedwait(signals, NULL, &tick);
        if (sig == SIGTERM || sig == SIGINT) {
            log_warn("ending at once");
            _exit(0);
        }
    }
}

static void run(const struct serve *v, struct server *s, const sigset_t *signals)
{
    for (;;) {
        int sig = sigwaitinfo(signals, NULL);
        if (sig == SIGHUP)
            reload(v, s);
        else if (sig == SIGTERM || sig == SIGINT)
            break;
    }
    drain(s, signals);
}

static int serve(const struct serve *v, struct config *config)
{
    struct buf why;
    sigset_t signals;
    buf_init(&why, 1 << 16);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); // threads inherit it: signals come to sigwait only
    // What is large goes back to the system at once: otherwise a burst of long answers is kept.
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, 8 * LARGE_BYTES);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a full disk, and not an end
    struct server *s = server_create(config, &why);
    if (s == NULL || !server_start(s, &why)) {
        print_lines(&why, LOG_NONE);
        server_destroy(&s);
        buf_fini(&why);
        return CLI_FAILED;
    }
    buf_clear(&why);
    config_promises(s->config, &why);
    print_lines(&why, LOG_WARN);
    announce(s);
    notify_service("READY=1");
    run(v, s, &signals);
    server_destroy(&s);
    log_info("ended");
    buf_fini(&why);
    return CLI_DONE;
}

int cli_serve(int argc, char **argv)
{
    struct serve *v = calloc(1, sizeof(*v));
    struct buf messages;
    struct config *config;
    if (v == NULL)
        return CLI_FAILED;
    buf_init(&messages, 1 << 20);
    int code = read_arguments(argc, argv, v);
    if (v->helped) {
        fputs(serve_help, stdout);
    } else if (code == CLI_DONE && !load(v, &config, &messages)) {
        print_lines(&messages, LOG_NONE);
        code = CLI_WRONG;
    } else if (code == CLI_DONE) {
        log_setup((enum log_level)config->log.level, config->log.json);
        print_lines(&messages, LOG_WARN);
        code = serve(v, config);
    }
    buf_fini(&messages);
    free(v);
    return code;
}
