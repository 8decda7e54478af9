/* tasks_priv.h - what the files of the tasks share: their fields, and asks.
 * Thread:  as tasks.h and desk.h say.
 * Memory:  values of an ask are pieces of its room.
 * Failure: as desk.h says. */
#ifndef RUNS_TASKS_PRIV_H
#define RUNS_TASKS_PRIV_H

#include "runs/form.h"
#include "runs/tasks.h"

enum task_field {
    TASK_USER,
    TASK_TITLE,
    TASK_DESCRIPTION,
    TASK_STATUS,
    TASK_PRIORITY,
    TASK_COMPLETED_AT,
    TASK_PROJECT,
    TASK_ASSIGNED_USER,
    TASK_ESTIMATED_HOURS,
    TASK_ACTUAL_HOURS,
    TASK_DUE,
    TASK_FIELDS
};
enum subtask_field {
    SUB_MODEL,
    SUB_TITLE,
    SUB_DESCRIPTION,
    SUB_PROMPT,
    SUB_RESULT,
    SUB_STATUS,
    SUB_REVIEWED_BY,
    SUB_REVIEW_NOTES,
    SUB_COMPLETED_AT,
    SUB_ORDER,
    SUB_DIFFICULTY,
    SUB_FIELDS
};
enum { TASK_FIELDS_MOST = (int)TASK_FIELDS > (int)SUB_FIELDS ? (int)TASK_FIELDS : (int)SUB_FIELDS };
extern const struct form_field task_fields[TASK_FIELDS], subtask_fields[SUB_FIELDS];

struct tasks {
    struct desk *desk;
    uint32_t tasks_max;
    struct desk_ids task_ids, subtask_ids; // of the store's writer
};

struct task_ask {
    struct desk_ask ask;
    struct tasks *tasks;
    int64_t id; // of the task, or of the subtask; in an answer's run() the new one's
    int64_t now_ms;
    struct form_value values[TASK_FIELDS_MOST];
    struct tasks_filter filter;
};

/* The task's row with its subtasks, or the subtask's, as the answer. ret_task: 0: there is none. */
enum sql_result task_write(struct task_ask *a, struct sql *db, int64_t id, bool *ret_found);
enum sql_result subtask_write(struct task_ask *a, struct sql *db, int64_t id, int64_t *ret_task);
enum sql_result tasks_list_write(struct desk_ask *ask, struct sql *db);
enum sql_result task_find_run(struct desk_ask *ask, struct sql *db);
/* Tells everybody how the task is now. SQL_OK, or what undoes the change. */
enum sql_result task_tell(struct task_ask *a, struct sql *db, int64_t id, bool deleted);

#endif
