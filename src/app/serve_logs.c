/*
 * serve_logs.c - log lines as events of the channel logs: Recado's own and those that back ends
 * send.
 *
 * Always true: the log's sink is there from before the loops run until after they have ended, so
 * that it is never looked at while it changes.
 */
#include "app/server.h"

#include "base/must.h"
#include "monitor/logbook.h"

#include <stdlib.h>

enum { HOME = 0, WAIT_TURN_MS = 100, DATA_MAX = 8 * LOG_MESSAGE_MAX };

struct logging {
    struct server *server;
    struct logbook *book;
    bool loaded, load_ok;
};

static void tell(void *ctx, const struct log_line *l)
{
    struct logging *g = ctx;
    char tags_at[64];
    struct buf data, tags = buf_on(tags_at, sizeof(tags_at));
    buf_init(&data, DATA_MAX);
    (void)buf_add_format(&tags, "{\"log\":\"%llu\"%s}", (unsigned long long)l->seq,
                         l->own ? ",\"own\":\"true\"" : "");
    if (log_line_write(&data, l, false))
        hub_publish(node_hub(g->server->node, HOME),
                    &(struct publish_params){.tenant = l->tenant,
                                             .channel = STR("logs"),
                                             .type = STR("log_message"),
                                             .data = buf_str(&data),
                                             .tags = buf_str(&tags)},
                    NULL, NULL);
    buf_fini(&data);
}

static void heard(void *ctx, enum log_level level, int64_t time_ms, struct str text)
{
    static const struct str names[] = {{"debug", 5}, {"info", 4}, {"warning", 7}, {"error", 5}};
    struct logging *g = ctx;
    if ((size_t)level >= sizeof(names) / sizeof(names[0]))
        return;
    logbook_add_own(
        g->book, g->server->config->auth.default_tenant,
        &(struct log_entry){
            .level = names[level], .source = STR("recado"), .message = text, .time_ms = time_ms});
}

static void put_figures(void *ctx, struct buf *page)
{
    struct logbook_stats st;
    logbook_read_stats(ctx, &st);
    metrics_put_counter(page, "recado_logs_lines_total", "Log lines, posted ones and Recado's own.",
                        st.lines);
    metrics_put_counter(page, "recado_logs_dropped_total",
                        "Log lines that were not told: too many waited.", st.dropped);
    metrics_put_gauge(page, "recado_logs_kept", "Log lines that can be asked for.", st.kept);
}

static bool make(struct server *s, struct buf *ret_why)
{
    struct logging *g = calloc(1, sizeof(*g));
    (void)ret_why;
    if (g == NULL)
        return false;
    s->logging = g;
    g->server = s;
    g->book = logbook_create(&(struct logbook_options){
        .loop = s->workers[HOME].loop,
        .store = s->store,
        .keep = s->config->logs.keep,
        .keep_bytes_max = s->config->logs.keep_max_bytes,
        .tell = tell,
        .ctx = g,
    });
    s->api.logbook = g->book;
    if (g->book != NULL)
        metrics_add(&s->figures, put_figures, g->book);
    return g->book != NULL;
}

static void load_done(void *ctx, bool ok)
{
    struct logging *g = ctx;
    g->loaded = true;
    g->load_ok = ok;
}

static bool start(struct server *s, struct buf *ret_why)
{
    struct logging *g = s->logging;
    logbook_load(g->book, load_done, g);
    while (!g->loaded) // no thread turns it yet
        loop_turn(s->workers[HOME].loop, WAIT_TURN_MS);
    if (!g->load_ok) {
        buf_add(ret_why, STR("the log lines cannot be read from the store\n"));
        return false;
    }
    if (s->config->logs.own)
        log_set_sink(heard, g);
    return true;
}

static void stop(struct server *s)
{
    if (s->logging != NULL && s->logging->book != NULL)
        logbook_flush(s->logging->book);
}

static void drop(struct server *s)
{
    struct logging *g = s->logging;
    log_set_sink(NULL, NULL);
    s->logging = NULL;
    if (g == NULL)
        return;
    logbook_destroy(&g->book);
    free(g);
}

const struct service logs_service = {
    .name = "logs", .make = make, .start = start, .stop = stop, .drop = drop};
