/*
 * log_lines.c - what back ends send as log lines, understood.
 *
 * Why it exists: loggers differ in how they ship: a line at a time, a batch, or a file of JSON
 * lines. All of that is the same here, and nothing of a request counts before all of it has been
 * read.
 *
 * Always true: texts point into one buffer that was made as long as the body and never moves.
 */
#include "api/log_lines.h"

#include "base/date.h"

#include <stdlib.h>

/* Numbers above are milliseconds since 1970, below seconds: that second is in the year 5138. */
static const double SECONDS_MOST = 1e11;

static bool read_text(struct log_batch *b, struct str *ret)
{
    struct str raw;
    size_t from = b->text.len;
    if (!json_read_string_raw(&b->j, &raw))
        return false;
    if (!json_string_decode_to(raw, &b->text))
        return json_fail(&b->j, "half a surrogate pair");
    *ret = (struct str){b->text.p + from, b->text.len - from};
    return true;
}

/* null says nothing. */
static bool read_optional(struct log_batch *b, struct str *ret)
{
    return json_peek(&b->j) == JSON_NULL ? json_read_null(&b->j) : read_text(b, ret);
}

static bool read_time(struct log_batch *b, int64_t *ret_ms)
{
    struct str text = STR_NONE;
    struct date date;
    double v;
    if (json_peek(&b->j) == JSON_NULL)
        return json_read_null(&b->j);
    if (json_peek(&b->j) == JSON_NUMBER) {
        if (!json_read_double(&b->j, &v))
            return false;
        if (v < 0 || v > 4e15)
            return json_fail(&b->j, "time: not a time");
        *ret_ms = (int64_t)(v > SECONDS_MOST ? v : v * 1000);
        return true;
    }
    if (!read_text(b, &text))
        return false;
    if (!date_parse(text, &date) || date.at_ms < 0)
        return json_fail(&b->j, "time: an ISO 8601 time is wanted, such as 2026-11-30T08:15:30Z");
    *ret_ms = date.at_ms;
    return true;
}

static struct log_entry *entry_add(struct log_batch *b)
{
    if (b->count == b->cap) {
        size_t cap = b->cap > 0 ? b->cap * 2 : 64;
        struct log_entry *more = realloc(b->entries, cap * sizeof(*more));
        if (more == NULL)
            return NULL;
        b->entries = more;
        b->cap = cap;
    }
    return &b->entries[b->count++];
}

/* One member of a line. False: it is none of ours. */
static bool read_member(struct log_batch *b, struct str key, struct log_entry *e, bool *has_message)
{
    if (json_key_is(key, STR("message")))
        *has_message = read_text(b, &e->message);
    else if (json_key_is(key, STR("level")))
        read_optional(b, &e->level);
    else if (json_key_is(key, STR("source")))
        read_optional(b, &e->source);
    else if (json_key_is(key, STR("time")))
        read_time(b, &e->time_ms);
    else
        return false;
    return true;
}

static bool entry_keep(struct log_batch *b, const struct log_entry *e, bool has_message)
{
    if (!has_message)
        return json_fail(&b->j, "a line has no message");
    if (b->count == LOG_BATCH_MAX)
        return json_fail(&b->j, "more than 10000 lines");
    struct log_entry *at = entry_add(b);
    if (at == NULL)
        return json_fail(&b->j, "out of memory");
    *at = *e;
    if (at->level.n == 0)
        at->level = STR("info");
    return true;
}

/* tenant "": none is said. */
static void take_tenant(struct log_batch *b, struct str tenant)
{
    if (tenant.n > 0 && b->tenant.n > 0 && !str_eq(tenant, b->tenant))
        json_fail(&b->j, "tenant: all lines of a request are of one");
    else if (tenant.n > 0)
        b->tenant = tenant;
}

static void read_array(struct log_batch *b, int64_t now_ms);

/* A line; at the top it may be {"logs":[..],"tenant":..} instead. */
static void read_object(struct log_batch *b, int64_t now_ms, bool top)
{
    struct log_entry e = {.time_ms = now_ms};
    struct str key, tenant = STR_NONE;
    bool has_message = false, has_logs = false;
    size_t nobodys = b->nobodys;
    json_object_begin(&b->j);
    while (json_object_next(&b->j, &key)) {
        if (read_member(b, key, &e, &has_message))
            continue;
        if (top && json_key_is(key, STR("logs"))) {
            has_logs = true;
            read_array(b, now_ms);
        } else if (json_key_is(key, STR("tenant"))) {
            read_optional(b, &tenant);
        }
    }
    if (b->j.error != NULL)
        return;
    take_tenant(b, tenant);
    if (has_logs && tenant.n > 0)
        b->nobodys = nobodys; // its lines are of its tenant
    if (has_message || !has_logs) {
        b->nobodys += tenant.n == 0;
        entry_keep(b, &e, has_message);
    }
}

static void read_array(struct log_batch *b, int64_t now_ms)
{
    json_array_begin(&b->j);
    while (json_array_next(&b->j))
        read_object(b, now_ms, false);
}

bool log_batch_read(struct str body, int64_t now_ms, struct log_batch *ret)
{
    *ret = (struct log_batch){0};
    buf_init(&ret->text, body.n + 1);
    json_init(&ret->j, body);
    if (!buf_reserve(&ret->text, body.n + 1))
        return json_fail(&ret->j, "out of memory");
    do {
        if (json_peek(&ret->j) == JSON_ARRAY)
            read_array(ret, now_ms);
        else
            read_object(ret, now_ms, true);
    } while (json_more(&ret->j));
    if (ret->j.error == NULL && ret->tenant.n > 0 && ret->nobodys > 0)
        json_fail(&ret->j, "tenant: all lines of a request are of one, and some name none");
    return ret->j.error == NULL;
}

void log_batch_fini(struct log_batch *b)
{
    free(b->entries);
    buf_fini(&b->text);
    b->entries = NULL;
    b->count = b->cap = 0;
}
