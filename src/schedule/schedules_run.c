/*
 * schedules_run.c - one run: its events, and what is kept of it.
 *
 * Always true: councilor_started goes out when the run's begin is stored (or could not be), and is
 * followed by exactly one of councilor_completed and councilor_error with the same ids, in this
 * life or in the next.
 */
#include "schedule/schedule_priv.h"

#include "base/json.h"
#include "base/must.h"
#include "schedule/severity.h"

#include <stdio.h>
#include <stdlib.h>

static void put_stamp(struct json_writer *w, struct str key, int64_t wall_ms)
{
    char at[STAMP_TEXT];
    size_t n = stamp_format(wall_ms, at);
    json_put_string(json_key(w, key), (struct str){at, n});
}

static void text_keep(char *at, size_t cap, struct str text)
{
    size_t n = text.n < cap ? text.n : cap - 1;
    while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--; // not in the middle of a character
    if (n > 0)
        memcpy(at, text.p, n);
    at[n] = '\0';
}

/* What all events of a run begin with. */
static void put_ids(struct json_writer *w, const struct entry *e, struct str name,
                    struct str display_name)
{
    json_put_string(json_key(w, STR("councilor_id")), e->s.id);
    json_put_string(json_key(w, STR("agent_id")), e->s.id);
    json_put_string(json_key(w, STR("task_name")), name);
    json_put_string(json_key(w, STR("display_name")), display_name);
    json_put_string(json_key(w, STR("execution_id")), str_from(e->s.last.execution_id));
    put_stamp(w, STR("started_at"), e->s.last.started_ms);
}

static void put_end(struct json_writer *w, const struct schedule_last *l, struct str output)
{
    bool failed = l->error[0] != '\0';
    json_put_string(json_key(w, STR("status")), str_from(l->status));
    json_put_string(json_key(w, STR("severity")), str_from(l->severity));
    if (failed)
        json_put_string(json_key(w, STR("error")), str_from(l->error));
    put_stamp(w, STR("completed_at"), l->completed_ms);
    if (!failed)
        json_put_i64(json_key(w, STR("duration_ms")), l->duration_ms);
    if (!failed)
        json_put_string(json_key(w, STR("output")), output);
}

static void publish(const struct entry *e, struct str name, struct str display_name,
                    struct str output)
{
    const struct schedule_options *o = &e->all->o;
    const struct schedule_last *l = &e->s.last;
    struct json_writer w;
    struct buf data;
    bool ended = l->completed_ms > 0;
    struct str type = !ended                ? STR("councilor_started")
                      : l->error[0] != '\0' ? STR("councilor_error")
                                            : STR("councilor_completed");
    buf_init(&data, EVENT_DATA_MAX);
    json_writer_init(&w, &data);
    json_open_object(&w);
    put_ids(&w, e, name, display_name);
    if (ended)
        put_end(&w, l, output);
    json_close_object(&w);
    if (json_done(&w) && o->publish != NULL)
        o->publish(o->ctx, e->s.tenant, type, buf_str(&data));
    buf_fini(&data);
}

static struct run *run_make(struct entry *e)
{
    const struct schedule_words *w = &e->s.words;
    struct str id = str_from(e->s.last.execution_id);
    size_t n = e->s.tenant.n + e->s.id.n + w->name.n + w->display_name.n + w->url.n + w->prompt.n +
               w->model.n + id.n;
    struct run *run = calloc(1, sizeof(*run) + n);
    if (run == NULL)
        return NULL;
    char *at = run->bytes;
    run->r.schedules = e->all;
    run->r.tenant = str_put(&at, e->s.tenant);
    run->r.id = str_put(&at, e->s.id);
    run->r.name = str_put(&at, w->name);
    run->r.display_name = str_put(&at, w->display_name);
    run->r.url = str_put(&at, w->url);
    run->r.prompt = str_put(&at, w->prompt);
    run->r.model = str_put(&at, w->model);
    run->r.execution_id = str_put(&at, id);
    run->r.started_ms = e->s.last.started_ms;
    run->r.began_ms = loop_now_ms(e->all->o.loop);
    run->entry = e;
    return run;
}

bool run_start(struct entry *e)
{
    struct schedule_last before = e->s.last, *l = &e->s.last;
    int64_t now_ms = loop_wall_ms(e->all->o.loop);
    MUST(e->run == NULL);
    if (now_ms <= before.started_ms && now_ms > before.started_ms - TICK_MOST_MS)
        now_ms = before.started_ms + 1; // an id is never there twice
    *l = (struct schedule_last){.started_ms = now_ms};
    text_keep(l->status, sizeof(l->status), STR("running"));
    snprintf(l->execution_id, sizeof(l->execution_id), "exec_%.*s_%lld", STR_FMT(e->s.id),
             (long long)now_ms);
    e->run = run_make(e);
    if (e->run == NULL) {
        e->s.last = before;
        return false;
    }
    list_add(&e->all->runs, &e->run->link);
    e->s.running = true;
    gauge_add(&e->all->running, 1);
    counter_add(&e->all->runs_total, 1);
    entry_save(e);
    return true;
}

void run_begin(struct entry *e)
{
    const struct schedule_options *o = &e->all->o;
    struct run *run = e->run;
    if (run == NULL || run->begun)
        return;
    run->begun = true;
    publish(e, run->r.name, run->r.display_name, STR_NONE);
    o->begin(o->ctx, &run->r);
}

static void keep_end(struct schedule_last *l, int64_t now_ms, int64_t duration_ms,
                     struct str severity, struct str error)
{
    l->completed_ms = now_ms;
    l->duration_ms = duration_ms;
    text_keep(l->status, sizeof(l->status), error.n > 0 ? STR("error") : STR("completed"));
    text_keep(l->severity, sizeof(l->severity), severity);
    text_keep(l->error, sizeof(l->error), error);
}

void schedule_run_end(struct schedule_run *r, struct str output, struct str error)
{
    struct run *run = container_of(r, struct run, r);
    struct entry *e = run->entry;
    struct schedules *all = e->all;
    int64_t duration_ms = (int64_t)(loop_now_ms(all->o.loop) - r->began_ms);
    char text[SCHEDULE_OUTPUT_MAX + 1];
    MUST(e->run == run && run->begun);
    keep_end(&e->s.last, r->started_ms + duration_ms, duration_ms,
             error.n > 0 ? STR("error") : severity_of(output), error);
    text_keep(text, sizeof(text), output);
    publish(e, r->name, r->display_name, str_from(text));
    if (error.n > 0)
        counter_add(&all->errors_total, 1);
    gauge_add(&all->running, -1);
    e->run = NULL;
    e->s.running = false;
    list_remove(&run->link);
    free(run);
    if (e->removed)
        entry_free_if_done(e);
    else
        entry_save(e);
}

/* The end of the server has cut it off. */
void run_publish_lost(struct entry *e)
{
    keep_end(&e->s.last, loop_wall_ms(e->all->o.loop), 0, STR("error"), STR("server stopped"));
    e->s.running = false;
    counter_add(&e->all->errors_total, 1);
    publish(e, e->s.words.name, e->s.words.display_name, STR_NONE);
    entry_save(e);
}
