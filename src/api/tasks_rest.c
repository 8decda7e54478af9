/*
 * tasks_rest.c - /api/orquestrador/tasks and /api/orquestrador/subtasks.
 *
 * Always true: back ends and clients of a tenant see and change its tasks, and no other's.
 */
#include "api/rest_desk.h"
#include "runs/tasks.h"

static void list(struct http_request *r, struct tasks *t, const struct asker *who)
{
    char status_at[32], priority_at[32], q_at[TASKS_Q_MAX];
    struct tasks_filter f = {0};
    struct desk_from from;
    uint64_t limit = 50;
    if (!rest_query_word(r, "status", task_statuses, status_at, sizeof(status_at), &f.status) ||
        !rest_query_word(r, "priority", task_priorities, priority_at, sizeof(priority_at),
                         &f.priority) ||
        !rest_query(r, STR("q"), q_at, sizeof(q_at), &f.q) ||
        !rest_query_number(r, STR("limit"), 1, TASKS_LIST_MAX, &limit) ||
        !rest_query_number(r, STR("offset"), 0, UINT32_MAX, &f.offset))
        return;
    f.limit = (uint32_t)limit;
    if (rest_desk_from(r, who->tenant, &from))
        tasks_list(t, &from, &f);
}

static void handle_tasks(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct desk_from from;
    struct asker who;
    if (!rest_desk_admit(r, &who))
        return;
    if (r->method != HTTP_POST)
        list(r, api->tasks, &who);
    else if (rest_desk_from(r, who.tenant, &from))
        tasks_add(api->tasks, &from, r->body);
    asker_fini(&who);
}

/* {id} and {id}/subtasks. */
static void task_do(struct http_request *r, struct tasks *t, const struct asker *who,
                    struct str rest, int64_t id)
{
    struct desk_from from;
    bool deeper = rest.n > 0;
    if (deeper && !str_eq(rest, STR("subtasks"))) {
        http_refuse(r, ERR_NOT_FOUND, "no such path");
    } else if (deeper && r->method != HTTP_POST) {
        http_refuse_method(r, 1u << HTTP_POST);
    } else if (!deeper && r->method == HTTP_POST) {
        http_refuse_method(r, 1u << HTTP_GET | 1u << HTTP_DELETE | 1u << HTTP_PATCH);
    } else if (rest_desk_from(r, who->tenant, &from)) {
        if (deeper)
            subtasks_add(t, &from, id, r->body);
        else if (r->method == HTTP_PATCH)
            tasks_change(t, &from, id, r->body);
        else if (r->method == HTTP_DELETE)
            tasks_remove(t, &from, id);
        else
            tasks_find(t, &from, id);
    }
}

static void handle_task(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct str rest = r->param;
    struct str number = str_cut(&rest, '/');
    struct asker who;
    int64_t id;
    if (!rest_desk_admit(r, &who))
        return;
    if (rest_path_id(r, number, &id))
        task_do(r, api->tasks, &who, rest, id);
    asker_fini(&who);
}

static void handle_subtask(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct desk_from from;
    struct asker who;
    int64_t id;
    if (!rest_desk_admit(r, &who))
        return;
    if (rest_path_id(r, r->param, &id) && rest_desk_from(r, who.tenant, &from)) {
        if (r->method == HTTP_PATCH)
            subtasks_change(api->tasks, &from, id, r->body);
        else
            subtasks_remove(api->tasks, &from, id);
    }
    asker_fini(&who);
}

bool tasks_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned get = 1u << HTTP_GET, post = 1u << HTTP_POST;
    unsigned change = 1u << HTTP_PATCH | 1u << HTTP_DELETE;
    return http_router_add(rt, get | post, "/api/orquestrador/tasks", handle_tasks, ctx) &&
           http_router_add(rt, get | post | change, "/api/orquestrador/tasks/{path...}",
                           handle_task, ctx) &&
           http_router_add(rt, change, "/api/orquestrador/subtasks/{id}", handle_subtask, ctx);
}
