/*
 * serve_tasks.c - the tasks of the orchestrator: their rows, and where their changes are told.
 */
#include "app/server.h"

#include "runs/tasks.h"

void desk_publish(void *ctx, const struct desk_event *e)
{
    struct server *s = ctx;
    hub_publish(node_hub(s->node, loop_index(s->workers[0].loop)),
                &(struct publish_params){
                    .tenant = e->tenant, .channel = e->channel, .type = e->type, .data = e->data},
                NULL, NULL); // the row is kept, whoever hears of it
}

static bool make(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    s->api.tasks = tasks_create(&(struct tasks_options){
        .desk = {.store = s->store, .home = s->workers[0].loop, .publish = desk_publish, .ctx = s},
        .tasks_max = s->config->tasks.max});
    return s->api.tasks != NULL;
}

static void drop(struct server *s)
{
    tasks_destroy(&s->api.tasks);
}

const struct service tasks_service = {.name = "tasks", .make = make, .drop = drop};
