/*
 * tasks.c - the changes of tasks and subtasks.
 *
 * Always true:
 *   K1. a row is seen and changed within its tenant alone.
 *   K2. each change is told once, after it is committed, with the whole task as it was then.
 *   K3. the number of a task that is gone is not given again.
 *   K4. recado_task_counts has as many as there are of a tenant in recado_tasks.
 */
#include "runs/tasks_priv.h"

#include "base/clock.h"
#include "base/must.h"

#include <stdlib.h>

struct tasks *tasks_create(const struct tasks_options *o)
{
    struct tasks *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->tasks_max = o->tasks_max;
    t->desk = desk_create(&o->desk);
    if (t->desk == NULL)
        tasks_destroy(&t);
    return t;
}

void tasks_destroy(struct tasks **tp)
{
    struct tasks *t = *tp;
    *tp = NULL;
    if (t == NULL)
        return;
    desk_destroy(&t->desk);
    free(t);
}

/* ---- asks ---- */

static struct task_ask *ask_make(struct tasks *t, const struct desk_from *from, size_t room,
                                 enum sql_result (*run)(struct desk_ask *a, struct sql *db))
{
    struct task_ask *a = desk_ask_make(t->desk, from, sizeof(*a), room);
    if (a == NULL)
        return NULL;
    a->ask.run = run;
    a->tasks = t;
    a->now_ms = clock_wall_ms();
    return a;
}

/* What the body says, read into room of its own. NULL: it has been refused. */
static struct task_ask *ask_make_with(struct tasks *t, const struct desk_from *from,
                                      const struct form_field *fields, size_t count,
                                      struct str body,
                                      enum sql_result (*run)(struct desk_ask *a, struct sql *db))
{
    char why_at[DESK_WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct task_ask *a = ask_make(t, from, 2 * body.n, run);
    if (a == NULL)
        return NULL;
    char *at = a->ask.room;
    struct str copy = str_put(&at, body);
    if (form_read(copy, fields, count, a->values, at, &why))
        return a;
    desk_ask_refuse(&a->ask, DESK_BAD, buf_str(&why));
    return NULL;
}

static bool has_title(struct task_ask *a, size_t field)
{
    if (a->values[field].given)
        return true;
    desk_ask_refuse(&a->ask, DESK_BAD, STR("title: is required"));
    return false;
}

/* ---- parameters ---- */

/* As SQL sees it; otherwise: where it was not said. */
static struct sql_value param_of(const struct form_field *f, const struct form_value *v,
                                 struct sql_value otherwise)
{
    if (!v->given)
        return otherwise;
    if (v->is_null)
        return (struct sql_value){.type = SQL_NULL};
    return f->kind == FORM_NUMBER || f->kind == FORM_TIME ? sql_int(v->i) : sql_text(v->s);
}

/* A pair of each but the time of completion: whether it was said, and what. */
static size_t pairs_of(struct sql_value *params, const struct form_field *fields, size_t count,
                       const struct form_value *values, size_t completed_at)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == completed_at)
            continue;
        params[n++] = sql_int(values[i].given);
        params[n++] = param_of(&fields[i], &values[i], (struct sql_value){.type = SQL_NULL});
    }
    return n;
}

/* Of "completed_at = COMPLETED_SQL": what was said; else now when it becomes completed, and none
 * when it is so no more. */
#define COMPLETED_SQL                                                                              \
    "completed_at = CASE WHEN ? = 1 THEN ? WHEN ? = '' OR status = ? THEN completed_at"            \
    " WHEN ? = 'completed' THEN ? ELSE NULL END"
enum { COMPLETED_PARAMS = 6 };

static void completed_params(struct sql_value *params, const struct form_value *completed_at,
                             const struct form_value *status, int64_t now_ms)
{
    struct sql_value said = {.type = SQL_NULL};
    struct sql_value word = sql_text(status->given ? status->s : STR(""));
    if (completed_at->given && !completed_at->is_null)
        said = sql_int(completed_at->i);
    params[0] = sql_int(completed_at->given);
    params[1] = said;
    params[2] = params[3] = params[4] = word;
    params[5] = sql_int(now_ms);
}

static struct sql_value completed_first(const struct form_value *completed_at,
                                        const struct form_value *status, int64_t now_ms)
{
    if (completed_at->given && !completed_at->is_null)
        return sql_int(completed_at->i);
    if (status->given && str_eq(status->s, STR("completed")))
        return sql_int(now_ms);
    return (struct sql_value){.type = SQL_NULL};
}

/* ---- how many there are ---- */

/* Otherwise the ask has been told DESK_FULL. */
static enum sql_result task_fits(struct task_ask *a, struct sql *db)
{
    int64_t count = 0;
    const struct sql_value tenant = sql_text(a->ask.tenant);
    enum sql_result r = desk_number(db, "SELECT tasks FROM recado_task_counts WHERE tenant = ?",
                                    &tenant, 1, &count);
    if (r == SQL_OK && count >= a->tasks->tasks_max)
        desk_ask_say(&a->ask, DESK_FULL,
                     "%lld tasks are there, and by tasks.max there may be no more",
                     (long long)count);
    return r;
}

static enum sql_result task_count_change(struct task_ask *a, struct sql *db, int64_t by)
{
    const struct sql_value params[] = {sql_int(by), sql_text(a->ask.tenant)};
    enum sql_result r =
        sql_run(db, "UPDATE recado_task_counts SET tasks = tasks + ? WHERE tenant = ?", params, 2,
                NULL, NULL);
    if (r == SQL_OK && sql_changes(db) == 0)
        r = sql_run(db, "INSERT INTO recado_task_counts (tasks, tenant) VALUES (?, ?)", params, 2,
                    NULL, NULL);
    return r;
}

/* ---- tasks ---- */

static enum sql_result task_answer(struct task_ask *a, struct sql *db, int64_t id)
{
    bool found;
    enum sql_result r = task_write(a, db, id, &found);
    if (r == SQL_OK && !found)
        return desk_ask_say(&a->ask, DESK_MISSING, "there is no task %lld", (long long)id);
    return r == SQL_OK ? task_tell(a, db, id, false) : r;
}

static enum sql_result task_insert(struct task_ask *a, struct sql *db)
{
    const struct form_value *v = a->values;
    const struct sql_value none = {.type = SQL_NULL};
    const struct sql_value params[] = {
        sql_text(a->ask.tenant),
        sql_int(a->id),
        param_of(&task_fields[TASK_USER], &v[TASK_USER], sql_int(1)),
        param_of(&task_fields[TASK_TITLE], &v[TASK_TITLE], none),
        param_of(&task_fields[TASK_DESCRIPTION], &v[TASK_DESCRIPTION], none),
        param_of(&task_fields[TASK_STATUS], &v[TASK_STATUS], sql_text(STR("pending"))),
        param_of(&task_fields[TASK_PRIORITY], &v[TASK_PRIORITY], sql_text(STR("medium"))),
        sql_int(a->now_ms),
        sql_int(a->now_ms),
        completed_first(&v[TASK_COMPLETED_AT], &v[TASK_STATUS], a->now_ms),
        param_of(&task_fields[TASK_PROJECT], &v[TASK_PROJECT], none),
        param_of(&task_fields[TASK_ASSIGNED_USER], &v[TASK_ASSIGNED_USER], none),
        param_of(&task_fields[TASK_ESTIMATED_HOURS], &v[TASK_ESTIMATED_HOURS], none),
        param_of(&task_fields[TASK_ACTUAL_HOURS], &v[TASK_ACTUAL_HOURS], none),
        param_of(&task_fields[TASK_DUE], &v[TASK_DUE], none),
    };
    return sql_run(db,
                   "INSERT INTO recado_tasks (tenant, id, user_id, title, description, status,"
                   " priority, created_at, updated_at, completed_at, project_id,"
                   " assigned_user_id, estimated_hours, actual_hours, due_at)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   params, sizeof(params) / sizeof(params[0]), NULL, NULL);
}

static enum sql_result task_add_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    enum sql_result r = task_fits(a, db);
    if (r != SQL_OK || ask->state == DESK_FULL)
        return r;
    r = desk_id_next(&a->tasks->task_ids, db,
                     "SELECT max(id) FROM (SELECT id FROM recado_tasks UNION ALL"
                     " SELECT id FROM recado_tasks_gone) AS ids",
                     &a->id);
    if (r == SQL_OK)
        r = task_insert(a, db);
    if (r == SQL_OK)
        r = task_count_change(a, db, 1);
    ask->state = DESK_MADE;
    return r == SQL_OK ? task_answer(a, db, a->id) : r;
}

/* MariaDB looks at columns that were set before: the time of completion needs the state as it was.
 */
static enum sql_result task_change_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    struct sql_value params[COMPLETED_PARAMS + 2 * TASK_FIELDS + 3];
    size_t n = COMPLETED_PARAMS;
    completed_params(params, &a->values[TASK_COMPLETED_AT], &a->values[TASK_STATUS], a->now_ms);
    n += pairs_of(params + n, task_fields, TASK_FIELDS, a->values, TASK_COMPLETED_AT);
    params[n++] = sql_int(a->now_ms);
    params[n++] = sql_text(ask->tenant);
    params[n++] = sql_int(a->id);
    enum sql_result r = sql_run(db,
                                "UPDATE recado_tasks SET " COMPLETED_SQL
                                ", user_id = CASE WHEN ? = 1 THEN ? ELSE user_id END"
                                ", title = CASE WHEN ? = 1 THEN ? ELSE title END"
                                ", description = CASE WHEN ? = 1 THEN ? ELSE description END"
                                ", status = CASE WHEN ? = 1 THEN ? ELSE status END"
                                ", priority = CASE WHEN ? = 1 THEN ? ELSE priority END"
                                ", project_id = CASE WHEN ? = 1 THEN ? ELSE project_id END"
                                ", assigned_user_id ="
                                " CASE WHEN ? = 1 THEN ? ELSE assigned_user_id END"
                                ", estimated_hours ="
                                " CASE WHEN ? = 1 THEN ? ELSE estimated_hours END"
                                ", actual_hours = CASE WHEN ? = 1 THEN ? ELSE actual_hours END"
                                ", due_at = CASE WHEN ? = 1 THEN ? ELSE due_at END"
                                ", updated_at = ? WHERE tenant = ? AND id = ?",
                                params, n, NULL, NULL);
    return r == SQL_OK ? task_answer(a, db, a->id) : r;
}

/* The highest number is remembered: it would be given again after a start. */
static enum sql_result task_forget(struct task_ask *a, struct sql *db)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(a->id)};
    enum sql_result r = sql_run(db, "DELETE FROM recado_subtasks WHERE tenant = ? AND task_id = ?",
                                params, 2, NULL, NULL);
    if (r == SQL_OK)
        r = sql_run(db, "DELETE FROM recado_tasks WHERE tenant = ? AND id = ?", params, 2, NULL,
                    NULL);
    if (r == SQL_OK)
        r = task_count_change(a, db, -1);
    if (r == SQL_OK)
        r = sql_run(db, "DELETE FROM recado_tasks_gone WHERE id < ?", &params[1], 1, NULL, NULL);
    if (r == SQL_OK)
        r = sql_run(db, "INSERT INTO recado_tasks_gone (id) VALUES (?)", &params[1], 1, NULL, NULL);
    return r;
}

static enum sql_result task_remove_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    bool found;
    enum sql_result r = task_write(a, db, a->id, &found);
    if (r == SQL_OK && !found)
        return desk_ask_say(ask, DESK_MISSING, "there is no task %lld", (long long)a->id);
    buf_clear(&ask->body);
    if (r == SQL_OK)
        r = task_tell(a, db, a->id, true);
    if (r == SQL_OK)
        r = task_forget(a, db);
    if (r == SQL_OK &&
        !buf_add_format(&ask->body, "{\"id\":%lld,\"deleted\":true}", (long long)a->id))
        r = SQL_FAILED;
    return r;
}

/* ---- subtasks ---- */

static enum sql_result subtask_answer(struct task_ask *a, struct sql *db, int64_t id)
{
    int64_t task_id;
    enum sql_result r = subtask_write(a, db, id, &task_id);
    if (r == SQL_OK && task_id == 0)
        return desk_ask_say(&a->ask, DESK_MISSING, "there is no subtask %lld", (long long)id);
    return r == SQL_OK ? task_tell(a, db, task_id, false) : r;
}

static bool take_counts(void *ctx, const struct sql_value *row, size_t count)
{
    int64_t *counts = ctx;
    (void)count;
    counts[0] = row[0].i;
    counts[1] = row[1].i;
    return false;
}

/* Whether there is such a task, with room for one more. */
static enum sql_result subtask_fits(struct task_ask *a, struct sql *db)
{
    int64_t counts[2] = {0};
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(a->id), sql_text(a->ask.tenant),
                                 sql_int(a->id)};
    enum sql_result r =
        sql_run(db,
                "SELECT (SELECT count(*) FROM recado_tasks WHERE tenant = ? AND id = ?),"
                " (SELECT count(*) FROM recado_subtasks WHERE tenant = ? AND task_id = ?)",
                params, 4, take_counts, counts);
    if (r == SQL_OK && counts[0] == 0)
        desk_ask_say(&a->ask, DESK_MISSING, "there is no task %lld", (long long)a->id);
    else if (r == SQL_OK && counts[1] >= SUBTASKS_MAX)
        desk_ask_say(&a->ask, DESK_FULL, "the task has %d subtasks, and may have no more",
                     SUBTASKS_MAX);
    return r;
}

static enum sql_result subtask_add_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    const struct form_value *v = a->values;
    const struct sql_value none = {.type = SQL_NULL};
    int64_t id = 0;
    enum sql_result r = subtask_fits(a, db);
    if (r != SQL_OK || ask->state != DESK_DONE)
        return r;
    r = desk_id_next(&a->tasks->subtask_ids, db, "SELECT max(id) FROM recado_subtasks", &id);
    struct sql_value params[] = {
        sql_text(ask->tenant),
        sql_int(id),
        sql_int(a->id),
        param_of(&subtask_fields[SUB_MODEL], &v[SUB_MODEL], none),
        param_of(&subtask_fields[SUB_TITLE], &v[SUB_TITLE], none),
        param_of(&subtask_fields[SUB_DESCRIPTION], &v[SUB_DESCRIPTION], none),
        param_of(&subtask_fields[SUB_PROMPT], &v[SUB_PROMPT], none),
        param_of(&subtask_fields[SUB_RESULT], &v[SUB_RESULT], none),
        param_of(&subtask_fields[SUB_STATUS], &v[SUB_STATUS], sql_text(STR("pending"))),
        param_of(&subtask_fields[SUB_REVIEWED_BY], &v[SUB_REVIEWED_BY], none),
        param_of(&subtask_fields[SUB_REVIEW_NOTES], &v[SUB_REVIEW_NOTES], none),
        completed_first(&v[SUB_COMPLETED_AT], &v[SUB_STATUS], a->now_ms),
        sql_int(a->now_ms),
        sql_int(a->now_ms),
        param_of(&subtask_fields[SUB_ORDER], &v[SUB_ORDER], none),
        param_of(&subtask_fields[SUB_DIFFICULTY], &v[SUB_DIFFICULTY], none),
    };
    if (r == SQL_OK)
        r = sql_run(db,
                    "INSERT INTO recado_subtasks (tenant, id, task_id, model_id, title,"
                    " description, prompt, result, status, reviewed_by, review_notes,"
                    " completed_at, created_at, updated_at, order_index, difficulty)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    params, sizeof(params) / sizeof(params[0]), NULL, NULL);
    ask->state = DESK_MADE;
    return r == SQL_OK ? subtask_answer(a, db, id) : r;
}

static enum sql_result subtask_change_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    struct sql_value params[COMPLETED_PARAMS + 2 * SUB_FIELDS + 3];
    size_t n = COMPLETED_PARAMS;
    completed_params(params, &a->values[SUB_COMPLETED_AT], &a->values[SUB_STATUS], a->now_ms);
    n += pairs_of(params + n, subtask_fields, SUB_FIELDS, a->values, SUB_COMPLETED_AT);
    params[n++] = sql_int(a->now_ms);
    params[n++] = sql_text(ask->tenant);
    params[n++] = sql_int(a->id);
    enum sql_result r = sql_run(db,
                                "UPDATE recado_subtasks SET " COMPLETED_SQL
                                ", model_id = CASE WHEN ? = 1 THEN ? ELSE model_id END"
                                ", title = CASE WHEN ? = 1 THEN ? ELSE title END"
                                ", description = CASE WHEN ? = 1 THEN ? ELSE description END"
                                ", prompt = CASE WHEN ? = 1 THEN ? ELSE prompt END"
                                ", result = CASE WHEN ? = 1 THEN ? ELSE result END"
                                ", status = CASE WHEN ? = 1 THEN ? ELSE status END"
                                ", reviewed_by = CASE WHEN ? = 1 THEN ? ELSE reviewed_by END"
                                ", review_notes = CASE WHEN ? = 1 THEN ? ELSE review_notes END"
                                ", order_index = CASE WHEN ? = 1 THEN ? ELSE order_index END"
                                ", difficulty = CASE WHEN ? = 1 THEN ? ELSE difficulty END"
                                ", updated_at = ? WHERE tenant = ? AND id = ?",
                                params, n, NULL, NULL);
    return r == SQL_OK ? subtask_answer(a, db, a->id) : r;
}

static enum sql_result subtask_remove_run(struct desk_ask *ask, struct sql *db)
{
    struct task_ask *a = container_of(ask, struct task_ask, ask);
    struct sql_value params[] = {sql_text(ask->tenant), sql_int(a->id)};
    int64_t task_id;
    enum sql_result r = subtask_write(a, db, a->id, &task_id);
    if (r == SQL_OK && task_id == 0)
        return desk_ask_say(ask, DESK_MISSING, "there is no subtask %lld", (long long)a->id);
    buf_clear(&ask->body);
    if (r == SQL_OK)
        r = sql_run(db, "DELETE FROM recado_subtasks WHERE tenant = ? AND id = ?", params, 2, NULL,
                    NULL);
    if (r == SQL_OK &&
        !buf_add_format(&ask->body, "{\"id\":%lld,\"deleted\":true}", (long long)a->id))
        r = SQL_FAILED;
    return r == SQL_OK ? task_tell(a, db, task_id, false) : r;
}

/* ---- what can be asked ---- */

void tasks_list(struct tasks *t, const struct desk_from *from, const struct tasks_filter *f)
{
    struct task_ask *a = ask_make(t, from, f->status.n + f->priority.n + f->q.n, tasks_list_write);
    if (a == NULL)
        return;
    MUST(f->q.n <= TASKS_Q_MAX);
    char *at = a->ask.room;
    a->filter = *f;
    a->filter.status = str_put(&at, f->status);
    a->filter.priority = str_put(&at, f->priority);
    a->filter.q = str_put(&at, f->q);
    a->ask.reads = true;
    a->ask.search = f->q.n > 0; // in all texts of all tasks
    desk_ask_start(&a->ask);
}

void tasks_find(struct tasks *t, const struct desk_from *from, int64_t id)
{
    struct task_ask *a = ask_make(t, from, 0, task_find_run);
    if (a == NULL)
        return;
    a->id = id;
    a->ask.reads = true;
    desk_ask_start(&a->ask);
}

void tasks_add(struct tasks *t, const struct desk_from *from, struct str body)
{
    struct task_ask *a = ask_make_with(t, from, task_fields, TASK_FIELDS, body, task_add_run);
    if (a != NULL && has_title(a, TASK_TITLE))
        desk_ask_start(&a->ask);
}

void tasks_change(struct tasks *t, const struct desk_from *from, int64_t id, struct str body)
{
    struct task_ask *a = ask_make_with(t, from, task_fields, TASK_FIELDS, body, task_change_run);
    if (a == NULL)
        return;
    a->id = id;
    desk_ask_start(&a->ask);
}

void tasks_remove(struct tasks *t, const struct desk_from *from, int64_t id)
{
    struct task_ask *a = ask_make(t, from, 0, task_remove_run);
    if (a == NULL)
        return;
    a->id = id;
    desk_ask_start(&a->ask);
}

void subtasks_add(struct tasks *t, const struct desk_from *from, int64_t task_id, struct str body)
{
    struct task_ask *a = ask_make_with(t, from, subtask_fields, SUB_FIELDS, body, subtask_add_run);
    if (a == NULL || !has_title(a, SUB_TITLE))
        return;
    a->id = task_id;
    desk_ask_start(&a->ask);
}

void subtasks_change(struct tasks *t, const struct desk_from *from, int64_t id, struct str body)
{
    struct task_ask *a =
        ask_make_with(t, from, subtask_fields, SUB_FIELDS, body, subtask_change_run);
    if (a == NULL)
        return;
    a->id = id;
    desk_ask_start(&a->ask);
}

void subtasks_remove(struct tasks *t, const struct desk_from *from, int64_t id)
{
    struct task_ask *a = ask_make(t, from, 0, subtask_remove_run);
    if (a == NULL)
        return;
    a->id = id;
    desk_ask_start(&a->ask);
}
