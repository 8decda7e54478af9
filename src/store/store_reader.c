/*
 * store_reader.c - the thread that reads, on a connection of its own: a long read delays no commit.
 */
#include "store/store_priv.h"

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
    store_read_answer(r);
}

static void do_query(struct store *s, struct store_job *j)
{
    j->result = j->run(j, s->reader);
    if (once_more(j->result))
        j->result = j->run(j, s->reader);
    store_job_answer(j);
}

void *store_reader(void *store)
{
    struct store *s = store;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->reads.first == NULL && s->queries.first == NULL && !s->stopping)
            pthread_cond_wait(&s->asked, &s->lock);
        struct store_read *r = s->reads.first;
        struct store_job *j = s->queries.first;
        LIST_INIT(&s->reads);
        LIST_INIT(&s->queries);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
        if (stopping && r == NULL && j == NULL)
            return NULL;
        while (r != NULL) {
            struct store_read *next = r->next;
            do_read(s, r);
            r = next;
        }
        while (j != NULL) {
            struct store_job *next = j->next;
            do_query(s, j);
            j = next;
        }
    }
}
