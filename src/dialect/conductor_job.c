/*
 * conductor_job.c - the jobs: their events are kept from the first on, for readers who come when
 * they can.
 *
 * Why it exists: the client asks for a job and opens its stream one round trip later, or reads it
 * again; neither may miss anything. The events are what is published to the channel job:<id>.
 *
 * Always true with the lock free:
 *   I1. a job that is not forgotten is in conductor.jobs; it is in conductor.ended as well once its
 *       tap is gone.
 *   I2. events are numbered from 0; those from first to first + count are kept.
 *   I3. refs counts the job's own loop (until the job is forgotten there) and each reader.
 *   I4. once ended is set no event is added.
 */
#include "dialect/conductor_priv.h"

static void lock(struct conductor *c)
{
    pthread_mutex_lock(&c->lock);
}

static void unlock(struct conductor *c)
{
    pthread_mutex_unlock(&c->lock);
}

static struct loop *job_loop(const struct job *job)
{
    return hub_loop(job->tap.session.hub);
}

/* ---- events: under the lock ---- */

static void job_drop_oldest(struct job *job)
{
    struct publication *p = job->events[job->head];
    job->head = (job->head + 1) % job->cap;
    job->count--;
    job->first++;
    job->bytes -= p->size;
    job->conductor->job_bytes -= p->size;
    publication_unref(p);
}

static void job_drop_events(struct job *job)
{
    while (job->count > 0)
        job_drop_oldest(job);
    free(job->events);
    job->events = NULL;
    job->cap = job->head = 0;
}

static bool job_grow(struct job *job, uint32_t most)
{
    uint32_t cap = job->cap == 0 ? 16 : job->cap * 2;
    if (cap > most)
        cap = most;
    struct publication **events = calloc(cap, sizeof(struct publication *));
    if (events == NULL)
        return false;
    for (uint32_t i = 0; i < job->count; i++)
        events[i] = job->events[(job->head + i) % job->cap];
    free(job->events);
    job->events = events;
    job->cap = cap;
    job->head = 0;
    return true;
}

static void readers_wake(struct job *job)
{
    list_each(it, &job->readers)
    {
        struct job_reader *rd = container_of(it, struct job_reader, link);
        if (rd->woken)
            continue;
        rd->woken = true;
        loop_post(rd->loop, &rd->mail);
    }
}

static void job_free(struct job *job)
{
    job_drop_events(job);
    free(job);
}

static void job_unref_locked(struct job *job)
{
    MUST(job->refs > 0);
    if (--job->refs == 0)
        job_free(job);
}

/* It cannot be found any more. */
static void job_forget(struct job *job)
{
    job->forgotten = true;
    map_remove(&job->conductor->jobs, &job->node);
    list_remove(&job->link);
}

/* Makes room among the jobs that have ended, the oldest first. */
static bool evict_one(struct conductor *c)
{
    if (list_empty(&c->ended))
        return false;
    struct job *job = container_of(c->ended.next, struct job, link);
    job_forget(job);
    if (job->refs == 1) // nobody reads it
        job_drop_events(job);
    loop_post(job_loop(job), &job->evict);
    return true;
}

static void job_add(struct job *job, struct publication *p)
{
    struct conductor *c = job->conductor;
    uint32_t most = c->endpoint->options->conductor.job_events_max;
    if (job->count == job->cap && job->cap < most && !job_grow(job, most) && job->cap == 0)
        return; // no memory for a single one
    while (job->count > 0 && (job->count == job->cap || job->bytes + p->size > JOB_MAX_BYTES))
        job_drop_oldest(job);
    while (c->job_bytes + p->size > JOBS_MAX_BYTES && evict_one(c))
        continue;
    while (c->job_bytes + p->size > JOBS_MAX_BYTES && job->count > 0)
        job_drop_oldest(job);
    MUST(job->cap > 0);
    job->events[(job->head + job->count++) % job->cap] = publication_ref(p);
    job->bytes += p->size;
    c->job_bytes += p->size;
    readers_wake(job);
}

static void job_end(struct job *job)
{
    if (job->ended)
        return;
    job->ended = true;
    readers_wake(job);
    tap_leave(&job->tap);
}

/* ---- on the job's loop ---- */

static void job_heard_event(struct tap *t, struct publication *p)
{
    struct job *job = container_of(t, struct job, tap);
    lock(job->conductor);
    job->heard_ms = loop_now_ms(job_loop(job));
    if (str_eq(p->type, STR("end_of_stream"))) {
        job_end(job);
    } else if (!job->ended) {
        job_add(job, p);
        if (!job->finishing && (str_eq(p->type, STR("result")) || str_eq(p->type, STR("error")))) {
            job->finishing = true;
            timer_arm(job_loop(job), &job->timer, JOB_GRACE_MS);
        }
    }
    unlock(job->conductor);
}

static void job_tell_started(struct job *job, bool ok)
{
    void (*started)(void *, bool) = job->started;
    job->started = NULL;
    if (started != NULL)
        started(job->ctx, ok);
}

static void job_tap_ready(struct tap *t)
{
    job_tell_started(container_of(t, struct job, tap), true);
}

static void job_tap_gone(struct tap *t)
{
    struct job *job = container_of(t, struct job, tap);
    struct conductor *c = job->conductor;
    job_tell_started(job, false);
    lock(c); // it has ended, or was cut off: it stays for readers who come later
    job->tap_gone = true;
    job_end(job);
    if (!job->forgotten)
        list_add(&c->ended, &job->link);
    timer_arm(job_loop(job), &job->timer, c->endpoint->options->conductor.job_keep_ms);
    unlock(c);
}

static const struct tap_kind job_kind = {
    .heard = job_heard_event, .ready = job_tap_ready, .gone = job_tap_gone};

static void job_is_silent(struct job *job)
{
    const struct endpoint *e = job->conductor->endpoint;
    char text[160];
    struct buf b = buf_on(text, sizeof(text));
    lock(job->conductor);
    bool taken = job->first + job->count > 0;
    job->finishing = true;
    unlock(job->conductor);
    bool ok = buf_add(&b, taken ? STR("The job has said nothing for ")
                                : STR("No worker has taken the job for "));
    ok = ok && buf_add_u64(&b, e->options->conductor.job_idle_ms / 1000) &&
         buf_add(&b, STR(" seconds"));
    timer_arm(job_loop(job), &job->timer, JOB_GRACE_MS);
    if (ok)
        job_publish_error(job->tap.session.hub, job->tenant, job->id, buf_str(&b));
}

/* False: the timer was armed for the rest. */
static bool job_was_silent(struct job *job)
{
    uint64_t idle_ms = job->conductor->endpoint->options->conductor.job_idle_ms;
    uint64_t now_ms = loop_now_ms(job_loop(job));
    uint64_t silent_ms = now_ms - job->heard_ms;
    if (silent_ms >= idle_ms)
        return true;
    timer_arm(job_loop(job), &job->timer, idle_ms - silent_ms);
    return false;
}

static void job_timer_fired(struct timer *t)
{
    struct job *job = container_of(t, struct job, timer);
    struct conductor *c = job->conductor;
    lock(c);
    bool forget = job->tap_gone && !job->forgotten;
    bool running = !job->ended && !job->finishing;
    if (forget) {
        job_forget(job);
        job_unref_locked(job);
    } else if (!job->tap_gone && !running) {
        job_end(job); // the grace is over
    }
    unlock(c);
    if (running && job_was_silent(job))
        job_is_silent(job);
}

/* Forgotten from elsewhere. */
static void job_evicted(struct mail *m, struct loop *l)
{
    struct job *job = container_of(m, struct job, evict);
    (void)l;
    timer_cancel(&job->timer);
    job_unref(job);
}

/* ---- making and finding ---- */

static struct job *job_create(struct conductor *c, struct str tenant, struct str id)
{
    struct job *job = calloc(1, sizeof(*job) + tenant.n + 1 + id.n);
    if (job == NULL)
        return NULL;
    char *at = job->bytes_at;
    job->tenant = str_put(&at, tenant);
    *at++ = '\0';
    job->id = str_put(&at, id);
    job->node.key = (struct str){job->bytes_at, tenant.n + 1 + id.n};
    job->conductor = c;
    job->refs = 1;
    job->evict.deliver = job_evicted;
    list_init(&job->link);
    list_init(&job->readers);
    timer_init(&job->timer, job_timer_fired);
    return job;
}

static enum job_made job_start(struct conductor *c, struct hub *hub, struct job *job)
{
    char name[4 + JOB_ID_TEXT] = "job:";
    memcpy(name + 4, job->id.p, JOB_ID_TEXT);
    while (c->jobs.count >= c->endpoint->options->conductor.jobs_max && evict_one(c))
        continue;
    if (c->jobs.count >= c->endpoint->options->conductor.jobs_max)
        return JOB_NO_ROOM;
    if (!map_add(&c->jobs, &job->node))
        return JOB_NO_MEMORY;
    if (tap_open(&job->tap, hub, job->tenant, (struct str){name, sizeof(name)}, &job_kind))
        return JOB_MADE;
    map_remove(&c->jobs, &job->node);
    return JOB_NO_ROOM;
}

enum job_made job_make(struct conductor *c, struct hub *hub, struct str tenant,
                       char ret_id[JOB_ID_TEXT], void (*started)(void *ctx, bool ok), void *ctx)
{
    uint8_t uuid[16];
    uuid_make(uuid);
    memcpy(ret_id, "job_", 4);
    uuid_format(uuid, ret_id + 4);
    struct job *job = job_create(c, tenant, (struct str){ret_id, JOB_ID_TEXT});
    if (job == NULL)
        return JOB_NO_MEMORY;
    job->heard_ms = loop_now_ms(hub_loop(hub));
    job->started = started;
    job->ctx = ctx;
    lock(c);
    enum job_made made = job_start(c, hub, job);
    if (made == JOB_MADE) // nothing of it can have come yet: this is its loop
        timer_arm(hub_loop(hub), &job->timer, c->endpoint->options->conductor.job_idle_ms);
    else
        job_free(job);
    unlock(c);
    if (made == JOB_MADE && job->tap.ready)
        job_tell_started(job, true);
    return made;
}

struct job *job_find(struct conductor *c, struct str tenant, struct str id)
{
    char at[NAME_BYTES_MAX + 1 + JOB_ID_TEXT];
    struct buf key = buf_on(at, sizeof(at));
    if (!buf_add(&key, tenant) || !buf_add_char(&key, '\0') || !buf_add(&key, id))
        return NULL;
    lock(c);
    struct map_node *n = map_find(&c->jobs, buf_str(&key));
    struct job *job = n != NULL ? container_of(n, struct job, node) : NULL;
    if (job != NULL)
        job->refs++;
    unlock(c);
    return job;
}

void job_unref(struct job *job)
{
    struct conductor *c = job->conductor;
    lock(c);
    job_unref_locked(job);
    unlock(c);
}

bool job_is_running(struct conductor *c, struct str tenant, struct str id)
{
    struct job *job = job_find(c, tenant, id);
    if (job == NULL)
        return false;
    lock(c);
    bool running = !job->ended;
    job_unref_locked(job);
    unlock(c);
    return running;
}

/* ---- publishing ---- */

void job_publish(struct hub *hub, struct str tenant, struct str id, struct str type,
                 struct str data)
{
    char name[4 + JOB_ID_TEXT] = "job:";
    MUST(id.n == JOB_ID_TEXT);
    memcpy(name + 4, id.p, JOB_ID_TEXT);
    hub_publish(hub,
                &(struct publish_params){
                    .tenant = tenant, .channel = {name, sizeof(name)}, .type = type, .data = data},
                NULL, NULL);
}

void job_publish_error(struct hub *hub, struct str tenant, struct str id, struct str message)
{
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("error")), message);
    json_put_string(json_key(&w, STR("message")), message);
    json_close_object(&w);
    if (json_done(&w))
        job_publish(hub, tenant, id, STR("error"), buf_str(&b));
}

/* ---- readers ---- */

void job_attach(struct job *job, struct job_reader *rd)
{
    lock(job->conductor);
    list_add(&job->readers, &rd->link);
    unlock(job->conductor);
}

bool job_detach(struct job *job, struct job_reader *rd)
{
    lock(job->conductor);
    list_remove(&rd->link);
    bool woken = rd->woken;
    unlock(job->conductor);
    return woken;
}

void job_heard(struct job *job, struct job_reader *rd)
{
    lock(job->conductor);
    rd->woken = false;
    unlock(job->conductor);
}

uint32_t job_events(struct job *job, uint64_t *at, struct publication **ret, uint32_t max,
                    uint64_t *ret_lost, bool *ret_ended)
{
    uint32_t n = 0;
    lock(job->conductor);
    *ret_lost = *at < job->first ? job->first - *at : 0;
    *at += *ret_lost;
    while (n < max && *at + n < job->first + job->count) {
        uint32_t slot = (uint32_t)((job->head + (*at + n - job->first)) % job->cap);
        ret[n++] = publication_ref(job->events[slot]);
    }
    *ret_ended = job->ended && *at + n == job->first + job->count;
    unlock(job->conductor);
    return n;
}

/* ---- the end ---- */

void jobs_drop(struct conductor *c)
{
    struct map_node *next;
    for (struct map_node *n = map_first(&c->jobs); n != NULL; n = next) {
        struct job *job = container_of(n, struct job, node);
        next = map_next(&c->jobs, n);
        map_remove(&c->jobs, n);
        timer_cancel(&job->timer);
        job_free(job);
    }
    map_fini(&c->jobs);
}
