/*
 * row.c - what a row says, in the words of the application that knows it.
 */
#include "runs/row.h"

#include "base/clock.h"

void row_put_time(struct json_writer *w, int64_t ms)
{
    char at[ISO_TIME_MAX];
    json_put_string(w, (struct str){at, iso_time_ms(ms, at)});
}

void row_put(struct json_writer *w, const struct row_column *columns, const struct sql_value *row,
             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct sql_value *v = &row[i];
        if (columns[i].kind == ROW_SKIP)
            continue;
        json_key(w, str_from(columns[i].name));
        if (v->type == SQL_NULL)
            json_put_null(w);
        else if (columns[i].kind == ROW_NUMBER)
            json_put_i64(w, v->i);
        else if (columns[i].kind == ROW_TIME)
            row_put_time(w, v->i);
        else if (columns[i].kind == ROW_JSON)
            json_put_raw(w, v->s);
        else
            json_put_string(w, v->s);
    }
}
