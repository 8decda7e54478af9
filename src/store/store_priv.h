/* store_priv.h - what the files of the store share.
 * Thread:  as each field says.
 * Memory:  one struct store per node.
 * Failure: as store.h says. */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include "store/schema.h"
#include "store/streams.h"

#include <stdatomic.h>

struct append_list {
    struct store_append *first, **end;
};
struct job_list {
    struct store_job *first, **end;
    uint32_t count; // of queries and searches
};
struct read_list {
    struct store_read *first, **end;
};

/* Reads of different streams wait in different lanes, mostly. */
enum { READ_LANES = 64 };

/* So many wait. A query takes moments; a search may take long, and those who asked for what is
 * behind many have gone by then. */
enum { QUERIES_MAX = 4096, SEARCHES_MAX = 256 };

struct store {
    char *url;
    struct streams streams;
    struct sql *writer, *reader, *searcher;
    pthread_t writer_thread, reader_thread, searcher_thread;
    pthread_mutex_t lock;
    pthread_cond_t written, asked, searched; // for the writer, the reader, the searcher
    struct append_list appends;
    struct job_list jobs, queries, searches;
    struct read_list reads[READ_LANES]; // by stream
    uint64_t read_lanes;                // bit i: reads[i] is not empty
    uint64_t queue_bytes_max;
    _Atomic uint64_t waiting_bytes, commits, events, events_bytes, failures, commit_ns, reads_done;
    _Atomic int health;
    char why[256];         // guarded by lock
    bool stopping;         // guarded by lock: nothing is taken any more
    bool running;          // the threads are there
    bool told_of_damage;   // the reader's own
    struct job_list batch; // the writer's own
};

#define LIST_INIT(l)   ((l)->first = NULL, (l)->end = &(l)->first)
#define LIST_ADD(l, x) ((x)->next = NULL, *(l)->end = (x), (l)->end = &(x)->next)

static inline uint64_t event_bytes(const struct store_event *e)
{
    return sizeof(struct store_append) + e->type.n + e->data.n + e->tags.n + e->info.n + e->id.n;
}

void *store_writer(void *store); // a thread
void *store_reader(void *store);
void *store_searcher(void *store);
void store_job_answer(struct store_job *j);
void store_read_answer(struct store_read *r);
/* It is on the disk (SQL_OK), or nobody will write it any more. */
void store_append_release(struct store *s, struct store_append *a, enum sql_result r);
/* Which health a failed statement means; SQL_OK is none. */
enum store_health store_health_of(enum sql_result r);

#endif
