/*
 * schedules.c - the schedules of all tenants, and the clock that calls them.
 *
 * Always true between two calls:
 *   I1. a schedule never overlaps itself: what is due while it runs is skipped, and counted.
 *   I2. whoever is told that something was done can rely on it: it is in the database.
 *   I3. the tick is armed while there are schedules, and looks at both clocks at least once a
 * second.
 */
#include "schedule/schedule_priv.h"

#include "base/log.h"
#include "base/must.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- words ---- */

static bool text_is_clean(struct str s, size_t most, bool lines)
{
    struct utf8_state u;
    utf8_init(&u);
    if (s.n > most || !utf8_feed(&u, s) || !utf8_done(&u))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool line = lines && (c == '\n' || c == '\r' || c == '\t');
        if (c == 0x7f || (c < 0x20 && !line))
            return false;
    }
    return true;
}

static bool id_is_clean(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return id.n > 0 && id.n <= SCHEDULE_ID_MAX;
}

static bool url_is_http(struct str url)
{
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] == ' ')
            return false;
    }
    return (url.n > 7 && str_eq_nocase((struct str){url.p, 7}, STR("http://"))) ||
           (url.n > 8 && str_eq_nocase((struct str){url.p, 8}, STR("https://")));
}

static const char *times_check(const struct schedule_words *w, struct plan *ret,
                               char at[SCHEDULE_WHY_MAX])
{
    char why[CRON_WHY_MAX];
    if ((w->interval.n > 0) == (w->cron.n > 0))
        return "either interval or cron is wanted";
    if (w->interval.n > 0)
        return interval_parse(w->interval, &ret->interval_ms)
                   ? NULL
                   : "interval: a number and s, m, h or d are wanted, such as 5m, at most 366d";
    if (cron_parse(w->cron, &ret->cron, why))
        return NULL;
    snprintf(at, SCHEDULE_WHY_MAX, "cron: %s", why);
    return at;
}

const char *words_check(const struct schedule_words *w, struct plan *ret, char at[SCHEDULE_WHY_MAX])
{
    if (!text_is_clean(w->name, SCHEDULE_NAME_MAX, false) ||
        !text_is_clean(w->display_name, SCHEDULE_NAME_MAX, false))
        return "name, display_name: at most 256 bytes without control characters";
    if (!text_is_clean(w->model, SCHEDULE_NAME_MAX, false))
        return "model: at most 256 bytes without control characters";
    if (!text_is_clean(w->prompt, SCHEDULE_PROMPT_MAX, true))
        return "prompt: at most 65536 bytes without control characters";
    if (w->url.n > 0 && w->prompt.n > 0)
        return "either url or prompt can be said";
    if (w->url.n > 0 && (!text_is_clean(w->url, SCHEDULE_URL_MAX, false) || !url_is_http(w->url)))
        return "url: an http:// or https:// address of at most 2048 bytes is wanted";
    return times_check(w, ret, at);
}

/* Of what somebody asks for: in order, and there is somebody to call. */
static const char *wish_check(const struct schedules *s, const struct schedule_words *w,
                              struct plan *ret, char at[SCHEDULE_WHY_MAX])
{
    const char *why = words_check(w, ret, at);
    if (why == NULL && s->o.nobody != NULL)
        why = s->o.nobody(s->o.ctx, w);
    return why;
}

/* "Security Audit" is called security-audit. */
static struct str id_from_name(struct str name, char at[SCHEDULE_ID_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < SCHEDULE_ID_MAX; i++) {
        char c = name.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (c >= 'A' && c <= 'Z')
            at[n++] = (char)(c + 0x20);
        else if (word)
            at[n++] = c;
        else if (n > 0 && at[n - 1] != '-')
            at[n++] = '-';
    }
    while (n > 0 && at[n - 1] == '-')
        n--;
    return (struct str){at, n};
}

/* ---- entries ---- */

bool entry_set_words(struct entry *e, const struct schedule_words *w)
{
    struct str shown = w->display_name.n > 0 ? w->display_name : w->name;
    size_t n =
        w->name.n + shown.n + w->interval.n + w->cron.n + w->url.n + w->prompt.n + w->model.n;
    char *block = malloc(n + 1), *at = block;
    if (block == NULL)
        return false;
    struct schedule_words copy = {.name = str_put(&at, w->name),
                                  .display_name = str_put(&at, shown),
                                  .interval = str_put(&at, w->interval),
                                  .cron = str_put(&at, w->cron),
                                  .url = str_put(&at, w->url),
                                  .prompt = str_put(&at, w->prompt),
                                  .model = str_put(&at, w->model)};
    free(e->block);
    e->block = block;
    e->s.words = copy;
    return true;
}

struct entry *entry_make(struct schedules *all, struct str tenant, struct str id,
                         const struct schedule_words *w)
{
    struct entry *e = calloc(1, sizeof(*e));
    char *at = malloc(tenant.n + id.n + 1);
    if (e == NULL || at == NULL || !entry_set_words(e, w)) {
        free(at);
        free(e);
        return NULL;
    }
    e->all = all;
    e->names = at;
    e->s.tenant = str_put(&at, tenant);
    *at++ = '\0';
    e->s.id = str_put(&at, id);
    e->node.key = (struct str){e->names, tenant.n + 1 + id.n};
    list_init(&e->link);
    return e;
}

bool entry_enter(struct entry *e)
{
    if (!map_add(&e->all->map, &e->node))
        return false;
    list_add(&e->all->entries, &e->link);
    gauge_add(&e->all->count, 1);
    return true;
}

void entry_leave(struct entry *e)
{
    map_remove(&e->all->map, &e->node);
    gauge_add(&e->all->count, -1);
}

void entry_free(struct entry *e)
{
    while (e->waiters != NULL) {
        struct waiter *next = e->waiters->next;
        free(e->waiters);
        e->waiters = next;
    }
    list_remove(&e->link);
    free(e->block);
    free(e->names);
    free(e);
}

void entry_free_if_done(struct entry *e)
{
    if (e->removed && e->run == NULL && !e->saving && !e->erasing)
        entry_free(e);
}

static struct entry *entry_find(struct schedules *s, struct str tenant, struct str id)
{
    char key[1024];
    struct buf b = buf_on(key, sizeof(key));
    if (!buf_add(&b, tenant) || !buf_add_char(&b, '\0') || !buf_add(&b, id))
        return NULL;
    struct map_node *n = map_find(&s->map, buf_str(&b));
    return n != NULL ? container_of(n, struct entry, node) : NULL;
}

/* One that others can see. */
static struct entry *entry_seen(struct schedules *s, struct str tenant, struct str id)
{
    struct entry *e = entry_find(s, tenant, id);
    return e != NULL && e->stored && !e->erasing ? e : NULL;
}

const struct schedule *schedules_find(struct schedules *s, struct str tenant, struct str id)
{
    const struct entry *e = entry_seen(s, tenant, id);
    return e != NULL ? &e->s : NULL;
}

/* ---- lists ---- */

static int by_id(const void *a, const void *b)
{
    struct str x = (*(struct entry *const *)a)->s.id, y = (*(struct entry *const *)b)->s.id;
    size_t n = x.n < y.n ? x.n : y.n;
    int order = memcmp(x.p, y.p, n);
    return order != 0 ? order : (x.n > y.n) - (x.n < y.n);
}

size_t schedules_list(struct schedules *s, struct str tenant, size_t offset, size_t limit,
                      void (*each)(void *ctx, const struct schedule *s), void *ctx)
{
    struct entry **found = malloc((s->map.count + 1) * sizeof(struct entry *));
    size_t count = 0;
    if (found == NULL)
        return 0;
    list_each(it, &s->entries)
    {
        struct entry *e = container_of(it, struct entry, link);
        if (e->stored && !e->erasing && !e->removed && str_eq(e->s.tenant, tenant))
            found[count++] = e;
    }
    qsort(found, count, sizeof(struct entry *), by_id);
    for (size_t i = offset; i < count && i - offset < limit; i++)
        each(ctx, &found[i]->s);
    free(found);
    return count;
}

/* ---- verbs ---- */

static bool wait_for_save(struct entry *e, schedule_done_fn *done, void *ctx)
{
    struct waiter *w = malloc(sizeof(*w));
    if (w == NULL)
        return false;
    *w = (struct waiter){e->waiters, done, ctx};
    e->waiters = w;
    return true;
}

static void save_and_tell(struct entry *e, schedule_done_fn *done, void *ctx)
{
    if (wait_for_save(e, done, ctx))
        entry_save(e);
    else
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
}

static void tick_arm(struct schedules *s);

void schedules_add(struct schedules *s, struct str tenant, struct str id,
                   const struct schedule_words *words, bool paused, schedule_done_fn *done,
                   void *ctx)
{
    char at[SCHEDULE_ID_MAX], why_at[SCHEDULE_WHY_MAX];
    struct plan plan = {0};
    const char *why = wish_check(s, words, &plan, why_at);
    if (id.n == 0)
        id = id_from_name(words->name, at);
    if (why == NULL && !id_is_clean(id))
        why =
            "id: 1 to 128 of a-z, A-Z, 0-9, '-', '_' and '.' are wanted, or a name to make it from";
    if (why != NULL) {
        done(ctx, SCHEDULE_INVALID, NULL, why);
        return;
    }
    if (entry_find(s, tenant, id) != NULL) {
        done(ctx, SCHEDULE_EXISTS, NULL, "id: there is one");
        return;
    }
    if (s->map.count >= s->o.max) {
        done(ctx, SCHEDULE_FULL, NULL, "there are schedules.max already");
        return;
    }
    struct schedule_words w = *words;
    if (w.name.n == 0)
        w.name = id;
    struct entry *e = entry_make(s, tenant, id, &w);
    if (e == NULL || !wait_for_save(e, done, ctx) || !entry_enter(e)) {
        if (e != NULL)
            entry_free(e);
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
        return;
    }
    e->s.plan = plan;
    e->s.paused = paused;
    e->s.created_ms = loop_wall_ms(s->o.loop);
    plan_begin(&e->s.plan, e->s.created_ms);
    entry_save(e);
    tick_arm(s);
}

void schedules_change(struct schedules *s, struct str tenant, struct str id,
                      const struct schedule_words *words, schedule_done_fn *done, void *ctx)
{
    struct entry *e = entry_seen(s, tenant, id);
    char why_at[SCHEDULE_WHY_MAX];
    struct plan plan = {0};
    const char *why = wish_check(s, words, &plan, why_at);
    if (e == NULL) {
        done(ctx, SCHEDULE_UNKNOWN, NULL, "no such schedule");
        return;
    }
    if (why != NULL) {
        done(ctx, SCHEDULE_INVALID, NULL, why);
        return;
    }
    bool retimed =
        !str_eq(words->interval, e->s.words.interval) || !str_eq(words->cron, e->s.words.cron);
    struct schedule_words w = *words;
    if (w.name.n == 0)
        w.name = e->s.id;
    if (!entry_set_words(e, &w)) {
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
        return;
    }
    if (retimed) {
        e->s.plan = plan;
        plan_begin(&e->s.plan, loop_wall_ms(s->o.loop));
    }
    save_and_tell(e, done, ctx);
    tick_arm(s);
}

void schedules_remove(struct schedules *s, struct str tenant, struct str id, schedule_done_fn *done,
                      void *ctx)
{
    struct entry *e = entry_seen(s, tenant, id);
    if (e != NULL)
        entry_erase(e, done, ctx);
    else
        done(ctx, SCHEDULE_UNKNOWN, NULL, "no such schedule");
}

void schedules_set_paused(struct schedules *s, struct str tenant, struct str id, bool paused,
                          schedule_done_fn *done, void *ctx)
{
    struct entry *e = entry_seen(s, tenant, id);
    if (e == NULL) {
        done(ctx, SCHEDULE_UNKNOWN, NULL, "no such schedule");
        return;
    }
    if (!paused && e->s.paused)
        plan_advance(&e->s.plan, loop_wall_ms(s->o.loop)); // what came meanwhile was not wanted
    e->s.paused = paused;
    save_and_tell(e, done, ctx);
    tick_arm(s);
}

void schedules_run(struct schedules *s, struct str tenant, struct str id, schedule_done_fn *done,
                   void *ctx)
{
    struct entry *e = entry_seen(s, tenant, id);
    if (e == NULL) {
        done(ctx, SCHEDULE_UNKNOWN, NULL, "no such schedule");
    } else if (e->run != NULL || atomic_load(&s->stopping)) {
        done(ctx, SCHEDULE_RUNNING, NULL, "it is running");
    } else if (!wait_for_save(e, done, ctx)) {
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
    } else if (!run_start(e)) {
        struct waiter *w = e->waiters; // the newest
        e->waiters = w->next;
        free(w);
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
    }
}

/* ---- from other loops ---- */

static void pause_answered(struct mail *m, struct loop *l)
{
    struct schedule_pause *p = container_of(m, struct schedule_pause, mail);
    (void)l;
    p->done(p);
}

static void pause_done(void *ctx, enum schedule_answer a, const struct schedule *s, const char *why)
{
    struct schedule_pause *p = ctx;
    (void)s;
    (void)why;
    p->found = a != SCHEDULE_UNKNOWN;
    p->success = a == SCHEDULE_OK;
    p->mail.deliver = pause_answered;
    loop_post(p->loop, &p->mail);
}

static void pause_asked(struct mail *m, struct loop *l)
{
    struct schedule_pause *p = container_of(m, struct schedule_pause, mail);
    (void)l;
    schedules_set_paused(p->schedules, p->tenant, p->id, true, pause_done, p);
}

void schedules_ask_pause(struct schedules *s, struct schedule_pause *p)
{
    p->schedules = s;
    p->mail.deliver = pause_asked;
    loop_post(s->o.loop, &p->mail);
}

/* ---- the clock ---- */

static void look_at_clocks(struct schedules *s, int64_t now_ms)
{
    int64_t step_ms = clock_pair_step(&s->seen, now_ms, loop_now_ms(s->o.loop));
    if (step_ms == 0)
        return;
    log_warn("schedules: the clock was moved by %lld ms", (long long)step_ms);
    list_each(it, &s->entries)
    {
        struct entry *e = container_of(it, struct entry, link);
        if (e->removed)
            continue;
        plan_clock_moved(&e->s.plan, now_ms, step_ms);
        e->dirty = true;
    }
}

static void entry_due(struct entry *e, int64_t now_ms)
{
    plan_advance(&e->s.plan, now_ms);
    if (e->run != NULL) {
        e->s.skipped++;
        counter_add(&e->all->skipped_total, 1);
        e->dirty = true;
    } else if (!run_start(e)) {
        log_error("schedules: %.*s cannot run: out of memory", STR_FMT(e->s.id));
    }
}

static void tick(struct timer *t)
{
    struct schedules *s = container_of(t, struct schedules, tick);
    int64_t now_ms = loop_wall_ms(s->o.loop);
    if (atomic_load(&s->stopping))
        return;
    look_at_clocks(s, now_ms);
    list_each_safe(it, &s->entries)
    {
        struct entry *e = container_of(it, struct entry, link);
        if (e->removed || e->erasing || !e->stored)
            continue;
        if (!e->s.paused && plan_is_due(&e->s.plan, now_ms))
            entry_due(e, now_ms);
        else if (e->dirty)
            entry_save(e);
    }
    tick_arm(s);
}

static void tick_arm(struct schedules *s)
{
    int64_t now_ms = loop_wall_ms(s->o.loop), soon_ms = TICK_MOST_MS;
    if (!s->started || list_empty(&s->entries))
        return;
    list_each(it, &s->entries)
    {
        const struct entry *e = container_of(it, struct entry, link);
        if (e->s.paused || e->removed || e->s.plan.next_ms == PLAN_NEVER)
            continue;
        if (e->s.plan.next_ms - now_ms < soon_ms)
            soon_ms = e->s.plan.next_ms - now_ms;
    }
    timer_arm(s->o.loop, &s->tick, soon_ms > 0 ? (uint64_t)soon_ms : 1);
}

/* ---- birth and end ---- */

struct schedules *schedules_create(const struct schedule_options *o)
{
    struct schedules *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->o = *o;
    map_init(&s->map, LOAD_MAX);
    list_init(&s->entries);
    list_init(&s->runs);
    timer_init(&s->tick, tick);
    return s;
}

void schedules_start(struct schedules *s)
{
    int64_t now_ms = loop_wall_ms(s->o.loop);
    s->seen = (struct clock_pair){now_ms, loop_now_ms(s->o.loop)};
    s->started = true;
    list_each_safe(it, &s->entries)
    {
        struct entry *e = container_of(it, struct entry, link);
        plan_wake(&e->s.plan, now_ms);
        if (e->s.running)
            run_publish_lost(e);
    }
    tick_arm(s);
}

void schedules_stop(struct schedules *s)
{
    atomic_store(&s->stopping, true);
}

void schedules_destroy(struct schedules **sp, void (*drop)(void *ctx, struct schedule_run *r))
{
    struct schedules *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    timer_cancel(&s->tick);
    list_each_safe(it, &s->runs)
    {
        struct run *run = container_of(it, struct run, link);
        if (run->begun && drop != NULL)
            drop(s->o.ctx, &run->r);
        list_remove(it);
        free(run);
    }
    list_each_safe(it, &s->entries) entry_free(container_of(it, struct entry, link));
    map_fini(&s->map);
    free(s);
}

void schedules_read_stats(const struct schedules *s, struct schedule_stats *ret)
{
    *ret = (struct schedule_stats){.schedules = (uint64_t)gauge_get(&s->count),
                                   .running = (uint64_t)gauge_get(&s->running),
                                   .runs = counter_get(&s->runs_total),
                                   .errors = counter_get(&s->errors_total),
                                   .skipped = counter_get(&s->skipped_total)};
}
