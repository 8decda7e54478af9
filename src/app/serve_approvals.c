/*
 * serve_approvals.c - the approvals: their rows, and the events that they are made of.
 *
 * Why events of clients are passed over: a client that may publish somewhere could ask itself, and
 * say yes.
 */
#include "app/server.h"

#include "runs/approvals.h"

static void put_figures(void *ctx, struct buf *page)
{
    metrics_put_counter(page, "recado_approvals_dropped_total",
                        "Requests for permission in events that could not be kept.",
                        approvals_dropped(ctx));
    metrics_put_counter(page, "recado_approvals_forgotten_total",
                        "Approvals that were over, and too old.", approvals_forgotten(ctx));
}

static bool make(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    s->api.approvals = approvals_create(&(struct approvals_options){
        .desk = {.store = s->store, .home = s->workers[0].loop, .publish = desk_publish, .ctx = s},
        .keep_ms = s->config->approvals.keep_ms});
    if (s->api.approvals != NULL)
        metrics_add(&s->figures, put_figures, s->api.approvals);
    return s->api.approvals != NULL;
}

static bool start(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    approvals_start(s->api.approvals);
    return true;
}

static void drop(struct server *s)
{
    approvals_destroy(&s->api.approvals);
}

const struct service approvals_service = {
    .name = "approvals", .make = make, .start = start, .drop = drop};

static void saw(struct server *s, struct hub *home, struct publication *p)
{
    if (p->info.n > 0)
        return;
    approvals_saw(s->api.approvals, &(struct approvals_event){.loop = hub_loop(home),
                                                              .tenant = p->tenant,
                                                              .channel = p->channel,
                                                              .type = p->type,
                                                              .data = p->data,
                                                              .time_ms = p->time_ms});
}

const struct witness approvals_witness = {
    .name = "approvals",
    .heads = approvals_types,
    .head_count = sizeof(approvals_types) / sizeof(approvals_types[0]),
    .saw = saw,
};
