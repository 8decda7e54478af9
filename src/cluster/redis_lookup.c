/*
 * redis_lookup.c - a host's name becomes an address on a thread of its own: the system's resolver
 * blocks, for many seconds when a name server is away.
 *
 * Always true while the lock is free: loop is NULL when the lookup was forgotten; whoever comes
 * last of the thread and the loop frees it.
 */
#include "cluster/redis_priv.h"

#include "base/must.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct redis_lookup {
    struct mail mail;
    pthread_mutex_t lock;
    struct loop *loop; // NULL: forgotten
    redis_lookup_fn *done;
    void *ctx;
    int error;
    char host[256];
    char ip[NI_MAXHOST];
};

static void lookup_free(struct redis_lookup *k)
{
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static void arrived(struct mail *m, struct loop *l)
{
    struct redis_lookup *k = container_of(m, struct redis_lookup, mail);
    (void)l;
    pthread_mutex_lock(&k->lock); // the thread has let go of it
    pthread_mutex_unlock(&k->lock);
    if (k->done != NULL)
        k->done(k->ctx, k->error == 0 ? k->ip : NULL, k->error == 0 ? "" : gai_strerror(k->error));
    lookup_free(k);
}

static void *look_up(void *arg)
{
    struct redis_lookup *k = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    k->error = getaddrinfo(k->host, NULL, &hints, &all);
    if (k->error == 0)
        k->error = getnameinfo(all->ai_addr, all->ai_addrlen, k->ip, sizeof(k->ip), NULL, 0,
                               NI_NUMERICHOST);
    if (all != NULL)
        freeaddrinfo(all);
    pthread_mutex_lock(&k->lock);
    struct loop *l = k->loop;
    if (l != NULL)
        loop_post(l, &k->mail); // under the lock: the loop is there as long as it is not forgotten
    pthread_mutex_unlock(&k->lock);
    if (l == NULL)
        lookup_free(k);
    return NULL;
}

static bool thread_start(struct redis_lookup *k)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&thread, &attr, look_up, k) == 0;
    pthread_attr_destroy(&attr);
    return ok;
}

struct redis_lookup *redis_lookup_start(struct loop *l, const char *host, redis_lookup_fn *done,
                                        void *ctx)
{
    struct redis_lookup *k = calloc(1, sizeof(*k));
    MUST(strlen(host) < sizeof(k->host));
    if (k == NULL)
        return NULL;
    k->mail.deliver = arrived;
    pthread_mutex_init(&k->lock, NULL);
    k->loop = l;
    k->done = done;
    k->ctx = ctx;
    memcpy(k->host, host, strlen(host));
    if (thread_start(k))
        return k;
    lookup_free(k);
    return NULL;
}

void redis_lookup_forget(struct redis_lookup **lp)
{
    struct redis_lookup *k = *lp;
    *lp = NULL;
    if (k == NULL)
        return;
    pthread_mutex_lock(&k->lock);
    k->loop = NULL;
    k->done = NULL; // of a mail that is under way
    pthread_mutex_unlock(&k->lock);
}
