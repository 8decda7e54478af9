/* tasks.h - the orchestrator's tasks and their subtasks as rows; each change is told.
 *
 * A change publishes task:update on the channels task:<id> and tasks, with the task as it is now
 * and all its subtasks. Rows and words are those of the application.
 *
 * Thread:  tasks_create() and tasks_destroy() on the main thread while no loop runs; the rest on
 *          the loop that asks, which is answered.
 * Memory:  strings are borrowed for the call.
 * Failure: as desk.h says. */
#ifndef RUNS_TASKS_H
#define RUNS_TASKS_H

#include "runs/desk.h"

struct tasks;
struct tasks_options {
    struct desk_options desk;
    uint32_t tasks_max; // of a tenant
};
struct tasks *tasks_create(const struct tasks_options *o);
void tasks_destroy(struct tasks **tp);

enum { TASKS_LIST_MAX = 500, TASKS_Q_MAX = 500, SUBTASKS_MAX = 500, TASK_EVENT_MAX = 4 << 20 };

extern const char *const task_statuses[], *const task_priorities[], *const subtask_statuses[];

/* {"tasks":[..],"total":n}, the newest first. */
struct tasks_filter {
    struct str status, priority; // "": any
    struct str q;                // "": any; at most TASKS_Q_MAX bytes
    uint32_t limit;
    uint64_t offset;
};
void tasks_list(struct tasks *t, const struct desk_from *from, const struct tasks_filter *f);

/* The task's row with "subtasks" in it; body: what it, or what of it, shall be. */
void tasks_find(struct tasks *t, const struct desk_from *from, int64_t id);
void tasks_add(struct tasks *t, const struct desk_from *from, struct str body);
void tasks_change(struct tasks *t, const struct desk_from *from, int64_t id, struct str body);
/* With its subtasks. {"id":7,"deleted":true} */
void tasks_remove(struct tasks *t, const struct desk_from *from, int64_t id);

/* The subtask's row. */
void subtasks_add(struct tasks *t, const struct desk_from *from, int64_t task_id, struct str body);
void subtasks_change(struct tasks *t, const struct desk_from *from, int64_t id, struct str body);
void subtasks_remove(struct tasks *t, const struct desk_from *from, int64_t id);

#endif
