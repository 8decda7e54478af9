/* row.h - rows of a database as JSON objects, by a table of their columns.
 * Thread:  any.
 * Memory:  what is written is the writer's buffer's.
 * Failure: the writer keeps it. */
#ifndef RUNS_ROW_H
#define RUNS_ROW_H

#include "base/json.h"
#include "store/sql.h"

enum row_kind {
    ROW_NUMBER,
    ROW_TEXT,
    ROW_TIME, // milliseconds, as ISO 8601
    ROW_JSON, // a value's exact text
    ROW_SKIP  // for the program alone
};

struct row_column {
    const char *name;
    enum row_kind kind;
};

/* Keys and values in an object that is open; SQL's NULL is null. */
void row_put(struct json_writer *w, const struct row_column *columns, const struct sql_value *row,
             size_t count);
void row_put_time(struct json_writer *w, int64_t ms);

#endif
