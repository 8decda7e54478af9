/*
 * task_fields.c - what a task and a subtask may say.
 *
 * Why so many words: later versions of the application know states and fields that its document
 * does not name, and all of them are kept.
 */
#include "runs/tasks_priv.h"

const char *const task_statuses[] = {"pending",   "planning",  "executing", "validating",
                                     "completed", "failed",    "paused",    "in_progress",
                                     "blocked",   "cancelled", NULL};
const char *const task_priorities[] = {"low", "medium", "high", "urgent", NULL};
const char *const subtask_statuses[] = {"pending",    "executing", "completed", "failed",
                                        "validating", "rejected",  NULL};

enum { TITLE_CHARS = 500, TEXT_BYTES = 64 << 10, PROMPT_BYTES = 256 << 10, RESULT_BYTES = 1 << 20 };

const struct form_field task_fields[TASK_FIELDS] = {
    [TASK_USER] = {"userId", FORM_NUMBER, .nullable = true},
    [TASK_TITLE] = {"title", FORM_LINE, TITLE_CHARS, .nullable = false},
    [TASK_DESCRIPTION] = {"description", FORM_TEXT, TEXT_BYTES, .nullable = true},
    [TASK_STATUS] = {"status", FORM_WORD, .words = task_statuses},
    [TASK_PRIORITY] = {"priority", FORM_WORD, .words = task_priorities},
    [TASK_COMPLETED_AT] = {"completedAt", FORM_TIME, .nullable = true},
    [TASK_PROJECT] = {"projectId", FORM_NUMBER, .nullable = true},
    [TASK_ASSIGNED_USER] = {"assignedUserId", FORM_NUMBER, .nullable = true},
    [TASK_ESTIMATED_HOURS] = {"estimatedHours", FORM_AMOUNT, 64, .nullable = true},
    [TASK_ACTUAL_HOURS] = {"actualHours", FORM_AMOUNT, 64, .nullable = true},
    [TASK_DUE] = {"dueDate", FORM_TIME, .nullable = true},
};

const struct form_field subtask_fields[SUB_FIELDS] = {
    [SUB_MODEL] = {"assignedModelId", FORM_NUMBER, .nullable = true},
    [SUB_TITLE] = {"title", FORM_LINE, TITLE_CHARS, .nullable = false},
    [SUB_DESCRIPTION] = {"description", FORM_TEXT, TEXT_BYTES, .nullable = true},
    [SUB_PROMPT] = {"prompt", FORM_TEXT, PROMPT_BYTES, .nullable = true},
    [SUB_RESULT] = {"result", FORM_TEXT, RESULT_BYTES, .nullable = true},
    [SUB_STATUS] = {"status", FORM_WORD, .words = subtask_statuses},
    [SUB_REVIEWED_BY] = {"reviewedBy", FORM_SCALAR, 512, .nullable = true},
    [SUB_REVIEW_NOTES] = {"reviewNotes", FORM_TEXT, TEXT_BYTES, .nullable = true},
    [SUB_COMPLETED_AT] = {"completedAt", FORM_TIME, .nullable = true},
    [SUB_ORDER] = {"orderIndex", FORM_NUMBER, .nullable = true},
    [SUB_DIFFICULTY] = {"estimatedDifficulty", FORM_SCALAR, 512, .nullable = true},
};
