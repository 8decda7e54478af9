/*
 * tasks_read.c - tasks and subtasks out of their rows, as JSON.
 */
#include "runs/tasks_priv.h"

#include "base/must.h"
#include "runs/row.h"

#include <stdio.h>

#define TASK_COLUMNS                                                                               \
    "id, user_id, title, description, status, priority, created_at, updated_at, completed_at,"     \
    " project_id, assigned_user_id, estimated_hours, actual_hours, due_at"
#define SUBTASK_COLUMNS                                                                            \
    "id, task_id, model_id, title, description, prompt, result, status, reviewed_by,"              \
    " review_notes, completed_at, created_at, updated_at, order_index, difficulty"

static const struct row_column task_columns[] = {
    {"id", ROW_NUMBER},        {"userId", ROW_NUMBER},         {"title", ROW_TEXT},
    {"description", ROW_TEXT}, {"status", ROW_TEXT},           {"priority", ROW_TEXT},
    {"createdAt", ROW_TIME},   {"updatedAt", ROW_TIME},        {"completedAt", ROW_TIME},
    {"projectId", ROW_NUMBER}, {"assignedUserId", ROW_NUMBER}, {"estimatedHours", ROW_JSON},
    {"actualHours", ROW_JSON}, {"dueDate", ROW_TIME},
};

static const struct row_column subtask_columns[] = {
    {"id", ROW_NUMBER},        {"taskId", ROW_NUMBER},     {"assignedModelId", ROW_NUMBER},
    {"title", ROW_TEXT},       {"description", ROW_TEXT},  {"prompt", ROW_TEXT},
    {"result", ROW_TEXT},      {"status", ROW_TEXT},       {"reviewedBy", ROW_JSON},
    {"reviewNotes", ROW_TEXT}, {"completedAt", ROW_TIME},  {"createdAt", ROW_TIME},
    {"updatedAt", ROW_TIME},   {"orderIndex", ROW_NUMBER}, {"estimatedDifficulty", ROW_JSON},
};

/* ---- one row after the other ---- */

struct writing {
    struct json_writer *w;
    size_t count;
    int64_t task_id; // of the last subtask
};

static bool put_task(void *ctx, const struct sql_value *row, size_t count)
{
    struct writing *wr = ctx;
    json_open_object(wr->w);
    row_put(wr->w, task_columns, row, count);
    json_close_object(wr->w);
    wr->count++;
    return true;
}

/* Its object stays open: the subtasks come behind. */
static bool begin_task(void *ctx, const struct sql_value *row, size_t count)
{
    struct writing *wr = ctx;
    json_open_object(wr->w);
    row_put(wr->w, task_columns, row, count);
    wr->count++;
    return true;
}

static bool put_subtask(void *ctx, const struct sql_value *row, size_t count)
{
    struct writing *wr = ctx;
    json_open_object(wr->w);
    row_put(wr->w, subtask_columns, row, count);
    json_close_object(wr->w);
    wr->task_id = row[1].i;
    wr->count++;
    return true;
}

static enum sql_result put_subtasks(struct task_ask *a, struct sql *db, int64_t id,
                                    struct json_writer *w)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(id)};
    json_open_array(json_key(w, STR("subtasks")));
    enum sql_result r = sql_run(db,
                                "SELECT " SUBTASK_COLUMNS " FROM recado_subtasks"
                                " WHERE tenant = ? AND task_id = ? ORDER BY id",
                                params, 2, put_subtask, &(struct writing){w, 0, 0});
    json_close_array(w);
    return r;
}

static enum sql_result run_task(struct task_ask *a, struct sql *db, int64_t id, sql_row_fn *row,
                                struct writing *wr)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(id)};
    return sql_run(db, "SELECT " TASK_COLUMNS " FROM recado_tasks WHERE tenant = ? AND id = ?",
                   params, 2, row, wr);
}

/* ---- what is asked for ---- */

enum sql_result task_write(struct task_ask *a, struct sql *db, int64_t id, bool *ret_found)
{
    struct json_writer w;
    struct writing wr = {.w = &w};
    json_writer_init(&w, &a->ask.body);
    enum sql_result r = run_task(a, db, id, begin_task, &wr);
    *ret_found = wr.count > 0;
    if (r != SQL_OK || wr.count == 0)
        return r;
    r = put_subtasks(a, db, id, &w);
    json_close_object(&w);
    return r == SQL_OK && !json_done(&w) ? SQL_FAILED : r;
}

enum sql_result subtask_write(struct task_ask *a, struct sql *db, int64_t id, int64_t *ret_task)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(id)};
    struct json_writer w;
    struct writing wr = {.w = &w};
    json_writer_init(&w, &a->ask.body);
    enum sql_result r =
        sql_run(db, "SELECT " SUBTASK_COLUMNS " FROM recado_subtasks WHERE tenant = ? AND id = ?",
                params, 2, put_subtask, &wr);
    *ret_task = wr.task_id;
    if (r != SQL_OK || wr.count == 0)
        return r;
    return json_done(&w) ? SQL_OK : SQL_FAILED;
}

enum sql_result task_find_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    bool found;
    enum sql_result r = task_write(a, db, a->id, &found);
    if (r == SQL_OK && !found)
        return desk_ask_say(ask, DESK_MISSING, "there is no task %lld", (long long)a->id);
    return r;
}

/* ---- lists ---- */

/* What LIKE takes for a pattern is a text here. */
static struct str pattern_of(struct str q, char *at)
{
    size_t n = 0;
    at[n++] = '%';
    for (size_t i = 0; i < q.n; i++) {
        if (q.p[i] == '%' || q.p[i] == '_' || q.p[i] == '!')
            at[n++] = '!';
        at[n++] = q.p[i];
    }
    at[n++] = '%';
    return (struct str){at, n};
}

#define TASK_FILTER                                                                                \
    " FROM recado_tasks WHERE tenant = ? AND (? = '' OR status = ?) AND (? = '' OR priority = ?)"  \
    " AND (? = '' OR lower(title) LIKE lower(?) ESCAPE '!'"                                        \
    " OR lower(description) LIKE lower(?) ESCAPE '!')"
enum { FILTER_PARAMS = 8 };

enum sql_result tasks_list_write(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    const struct tasks_filter *f = &a->filter;
    char at[2 * TASKS_Q_MAX + 2];
    struct sql_value pattern = sql_text(pattern_of(f->q, at));
    const struct sql_value params[FILTER_PARAMS + 2] = {
        sql_text(ask->tenant),
        sql_text(f->status),
        sql_text(f->status),
        sql_text(f->priority),
        sql_text(f->priority),
        sql_text(f->q),
        pattern,
        pattern,
        sql_int(f->limit),
        sql_int((int64_t)f->offset),
    };
    struct json_writer w;
    return desk_ask_page(ask, db,
                         &(struct desk_page){.key = "tasks",
                                             .rows = "SELECT " TASK_COLUMNS TASK_FILTER
                                                     " ORDER BY id DESC LIMIT ? OFFSET ?",
                                             .count = "SELECT count(*)" TASK_FILTER,
                                             .params = params,
                                             .count_params = FILTER_PARAMS,
                                             .put = put_task,
                                             .ctx = &(struct writing){.w = &w},
                                             .w = &w});
}

/* ---- what is told ---- */

static bool tell_on(struct task_ask *a, int64_t id, struct str data)
{
    char channel[32];
    int n = snprintf(channel, sizeof(channel), "task:%lld", (long long)id);
    return desk_ask_tell(&a->ask, a->ask.tenant, (struct str){channel, (size_t)n}, "task:update",
                         data) &&
           desk_ask_tell(&a->ask, a->ask.tenant, STR("tasks"), "task:update", data);
}

enum sql_result task_tell(struct task_ask *a, struct sql *db, int64_t id, bool deleted)
{
    struct json_writer w;
    struct buf b;
    buf_init(&b, TASK_EVENT_MAX);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_key(&w, STR("task"));
    enum sql_result r = run_task(a, db, id, put_task, &(struct writing){&w, 0, 0});
    if (r == SQL_OK)
        r = put_subtasks(a, db, id, &w);
    row_put_time(json_key(&w, STR("timestamp")), a->now_ms);
    if (deleted)
        json_put_bool(json_key(&w, STR("deleted")), true);
    json_close_object(&w);
    if (r == SQL_OK && !json_done(&w)) {
        desk_ask_say(&a->ask, DESK_TOO_BIG,
                     "the task with its subtasks would be longer than %d bytes", TASK_EVENT_MAX);
        r = DESK_UNDO;
    } else if (r == SQL_OK && !tell_on(a, id, buf_str(&b))) {
        r = SQL_FAILED;
    }
    buf_fini(&b);
    return r;
}
