/*
 * serve_runs.c - the ledger of runs: fed by the events that pass, and heard on the channel runs.
 */
#include "app/server.h"
#include "runs/ledger.h"

enum { QUEUE_BYTES_MAX = 256 << 20 };

static void publish(void *ctx, struct str tenant, struct str update)
{
    struct server *s = ctx;
    hub_publish(
        node_hub(s->node, 0),
        &(struct publish_params){
            .tenant = tenant, .channel = STR("runs"), .type = STR("run:update"), .data = update},
        NULL, NULL);
}

static void show(void *ctx, struct buf *page)
{
    struct ledger_stats st;
    ledger_read_stats(ctx, &st);
    metrics_put_counter(page, "recado_runs_events_total", "Events that have changed a run.",
                        st.events);
    metrics_put_counter(page, "recado_runs_ignored_total",
                        "Events about runs that said nothing new.", st.ignored);
    metrics_put_counter(page, "recado_runs_dropped_total",
                        "Events about runs that left no row: too many waited for the store.",
                        st.dropped);
    metrics_put_counter(page, "recado_runs_requests_total", "Changes asked for over REST.",
                        st.changes);
    metrics_put_counter(page, "recado_runs_lost_total", "Runs whose lease ran out.",
                        st.lost_leases);
    metrics_put_counter(page, "recado_runs_forgotten_total", "Runs that were too old or too many.",
                        st.forgotten);
    metrics_put_gauge(page, "recado_runs_waiting", "Changes that wait for the store.", st.waiting);
}

static bool make(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    (void)ret_why;
    s->ledger = ledger_create(&(struct ledger_options){.store = s->store,
                                                       .loop = s->workers[0].loop,
                                                       .keep_ms = c->runs.keep_ms,
                                                       .runs_max = c->runs.max,
                                                       .queue_max = c->runs.queue_max,
                                                       .queue_bytes_max = QUEUE_BYTES_MAX,
                                                       .publish = publish,
                                                       .ctx = s});
    if (s->ledger == NULL)
        return false;
    s->api.ledger = s->ledger;
    metrics_add(&s->figures, show, s->ledger);
    return true;
}

static bool start(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    ledger_start(s->ledger);
    return true;
}

static void stop(struct server *s)
{
    if (s->ledger != NULL && s->workers[0].running)
        ledger_stop(s->ledger);
}

static void drop(struct server *s)
{
    ledger_destroy(&s->ledger);
}

const struct service runs_service = {"runs", make, start, stop, drop};

/* ---- events ---- */

static void saw(struct server *s, struct hub *home, struct publication *p)
{
    (void)home;
    struct run_change *c = run_event_change(p->tenant, p->channel, p->type, p->data, p->time_ms);
    if (c != NULL && !(ledger_has_room(s->ledger) && ledger_give(s->ledger, c)))
        run_change_free(c);
}

/* As run_event.c has them. */
static const struct str heads[] = {{"agent:execution:", 16},
                                   {"agent_execution_", 16},
                                   {"councilor_", 10},
                                   {"job_", 4},
                                   {"task_", 5},
                                   {"result", 6},
                                   {"error", 5}};

const struct witness runs_witness = {
    .name = "runs", .heads = heads, .head_count = sizeof(heads) / sizeof(heads[0]), .saw = saw};
