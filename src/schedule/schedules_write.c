/*
 * schedules_write.c - a schedule as JSON, and moments as text.
 */
#include "schedule/schedule_priv.h"

#include "base/clock.h"
#include "base/json.h"

static void put_text_or_null(struct json_writer *w, struct str key, struct str text)
{
    json_key(w, key);
    if (text.n > 0)
        json_put_string(w, text);
    else
        json_put_null(w);
}

static void put_time_or_null(struct json_writer *w, struct str key, int64_t wall_ms)
{
    char at[ISO_TIME_MAX];
    struct str text = STR_NONE;
    if (wall_ms > 0)
        text = (struct str){at, iso_time_ms(wall_ms, at)};
    put_text_or_null(w, key, text);
}

static void put_last(struct json_writer *w, const struct schedule_last *l)
{
    json_key(w, STR("last_run"));
    if (l->execution_id[0] == '\0') {
        json_put_null(w);
        return;
    }
    json_open_object(w);
    json_put_string(json_key(w, STR("execution_id")), str_from(l->execution_id));
    json_put_string(json_key(w, STR("status")), str_from(l->status));
    put_text_or_null(w, STR("severity"), str_from(l->severity));
    put_time_or_null(w, STR("started_at"), l->started_ms);
    put_time_or_null(w, STR("completed_at"), l->completed_ms);
    json_key(w, STR("duration_ms"));
    if (l->completed_ms > 0)
        json_put_i64(w, l->duration_ms);
    else
        json_put_null(w);
    put_text_or_null(w, STR("error"), str_from(l->error));
    json_close_object(w);
}

bool schedule_write(struct buf *out, const struct schedule *s, bool whole)
{
    struct json_writer w;
    bool waits = !s->paused && s->plan.next_ms != PLAN_NEVER;
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("id")), s->id);
    json_put_string(json_key(&w, STR("name")), s->words.name);
    json_put_string(json_key(&w, STR("display_name")), s->words.display_name);
    json_put_string(json_key(&w, STR("kind")), s->words.prompt.n > 0 ? STR("model") : STR("http"));
    put_text_or_null(&w, STR("interval"), s->words.interval);
    put_text_or_null(&w, STR("cron"), s->words.cron);
    put_text_or_null(&w, STR("url"), whole ? s->words.url : STR_NONE);
    put_text_or_null(&w, STR("prompt"), s->words.prompt);
    put_text_or_null(&w, STR("model"), s->words.model);
    json_put_bool(json_key(&w, STR("paused")), s->paused);
    json_put_bool(json_key(&w, STR("running")), s->running);
    put_last(&w, &s->last);
    put_time_or_null(&w, STR("next_run_at"), waits ? s->plan.next_ms : 0);
    json_put_u64(json_key(&w, STR("skipped")), s->skipped);
    put_time_or_null(&w, STR("created_at"), s->created_ms);
    json_close_object(&w);
    return json_done(&w);
}

size_t stamp_format(int64_t wall_ms, char at[STAMP_TEXT])
{
    char iso[ISO_TIME_MAX];
    size_t n = iso_time_ms(wall_ms, iso);
    n--; // the Z
    memcpy(at, iso, n);
    memcpy(at + n, "000", 3); // this application writes microseconds
    return n + 3;
}
