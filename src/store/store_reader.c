/*
 * store_reader.c - the threads that read, on connections of their own: a long read delays no
 * commit.
 */
#include "store/store_priv.h"

#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>

static void read_answered(struct mail *m, struct loop *l)
{
    struct store_read *r = container_of(m, struct store_read, mail);
    struct store_event *events = r->events;
    struct buf made = r->made;
    (void)l;
    r->done(r); // r may be gone now
    free(events);
    buf_fini(&made);
}

void store_read_answer(struct store_read *r)
{
    r->mail.deliver = read_answered;
    loop_post(r->loop, &r->mail);
}

/* A connection that nobody used for long has been closed by its server, and this is how one learns
 * of it: what failed so is tried once more. */
static bool once_more(enum sql_result r)
{
    return r == SQL_DOWN || r == SQL_AGAIN;
}

static void do_read(struct store *s, struct store_read *r)
{
    r->result = streams_read(&s->streams, s->reader, r);
    if (once_more(r->result))
        r->result = streams_read(&s->streams, s->reader, r);
    atomic_fetch_add_explicit(&s->reads_done, 1, memory_order_relaxed);
    if (r->result == SQL_CORRUPT && !s->told_of_damage) {
        s->told_of_damage = true;
        log_error("store: the database is damaged: an event could not be read: %s",
                  sql_why(s->reader));
    }
    store_read_answer(r);
}

/* Lists and their totals are statements of their own, and have to speak of the same rows. */
static enum sql_result run_query(struct sql *db, struct store_job *j)
{
    enum sql_result r = sql_begin_read(db);
    if (r == SQL_OK) {
        r = j->run(j, db);
        sql_rollback(db);
    }
    return r;
}

static void do_query(struct sql *db, struct store_job *j, bool stopping)
{
    j->result = stopping ? SQL_DOWN : run_query(db, j);
    if (!stopping && once_more(j->result))
        j->result = run_query(db, j);
    store_job_answer(j);
}

/* ---- taking turns ---- */

/* The next lane behind this one that has something. Of the store's lock, as the next two. */
static unsigned lane_behind(const struct store *s, unsigned lane)
{
    unsigned turn = (lane + 1) % READ_LANES;
    uint64_t turned = s->read_lanes >> turn | (turn > 0 ? s->read_lanes << (READ_LANES - turn) : 0);
    return (turn + (unsigned)__builtin_ctzll(turned)) % READ_LANES;
}

static struct store_read *take_read(struct store *s, unsigned *lane)
{
    if (s->read_lanes == 0)
        return NULL;
    *lane = lane_behind(s, *lane);
    struct read_list *l = &s->reads[*lane];
    struct store_read *r = l->first;
    l->first = r->next;
    if (l->first == NULL) {
        LIST_INIT(l);
        s->read_lanes &= ~((uint64_t)1 << *lane);
    }
    return r;
}

static struct store_job *take_query(struct job_list *l)
{
    struct store_job *j = l->first;
    if (j == NULL)
        return NULL;
    l->first = j->next;
    l->count--;
    if (j->next == NULL)
        LIST_INIT(l);
    return j;
}

/* One read of each lane in turn, and a query between two of them: a thousand who come back to one
 * channel do not keep those of others waiting. */
void *store_reader(void *store)
{
    struct store *s = store;
    unsigned lane = 0;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->read_lanes == 0 && s->queries.first == NULL && !s->stopping)
            pthread_cond_wait(&s->asked, &s->lock);
        struct store_read *r = take_read(s, &lane);
        struct store_job *j = take_query(&s->queries);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
        if (r == NULL && j == NULL)
            return NULL;
        if (r != NULL)
            do_read(s, r);
        if (j != NULL)
            do_query(s->reader, j, stopping);
    }
}

/* What may look at very many rows has a thread to itself: nobody's chat waits for it. */
void *store_searcher(void *store)
{
    struct store *s = store;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->searches.first == NULL && !s->stopping)
            pthread_cond_wait(&s->searched, &s->lock);
        struct store_job *j = take_query(&s->searches);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
        if (j == NULL)
            return NULL;
        do_query(s->searcher, j, stopping);
    }
}
