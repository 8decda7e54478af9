/*
 * reach.c - whether the model's server can be reached.
 */
#include "llm/reach.h"

#include "base/clock.h"
#include "base/log.h"

/* "http://user:password@host/v1?key=x" is "http://host/v1". */
static void shown_url(struct str url, struct buf *out)
{
    size_t scheme = str_find(url, STR("://"));
    size_t host = scheme < url.n ? scheme + 3 : 0, end = host, at;
    while (end < url.n && memchr("?#", url.p[end], 2) == NULL)
        end++;
    for (at = host; at < end && url.p[at] != '/'; at++)
        continue;
    for (size_t i = host; i < at; i++) {
        if (url.p[i] == '@')
            host = i + 1; // the last one: a password may hold others
    }
    if (scheme < url.n)
        (void)buf_add(out, (struct str){url.p, scheme + 3});
    size_t n = end - host;
    (void)buf_add(out, (struct str){url.p + host, n < out->max - out->len ? n : 0});
}

void reach_init(struct reach *r, struct str url)
{
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    struct buf b = buf_on(r->url, sizeof(r->url));
    shown_url(url, &b);
    r->url_n = b.len;
}

void reach_fini(struct reach *r)
{
    pthread_mutex_destroy(&r->lock);
}

struct str reach_url(const struct reach *r)
{
    return (struct str){r->url, r->url_n};
}

void reach_failed(struct reach *r, struct str why)
{
    pthread_mutex_lock(&r->lock);
    bool was_lost = atomic_exchange(&r->lost, true);
    if (!was_lost) {
        r->lost_at_ns = clock_mono_ns();
        r->tries = 0;
    }
    r->tries++;
    pthread_mutex_unlock(&r->lock);
    if (!was_lost)
        log_warn("llm: the model's server at %.*s cannot be reached: %.*s; asks fail until it can",
                 STR_FMT(reach_url(r)), STR_FMT(why));
}

void reach_answered(struct reach *r)
{
    if (!atomic_load_explicit(&r->lost, memory_order_relaxed))
        return;
    pthread_mutex_lock(&r->lock);
    bool was_lost = atomic_exchange(&r->lost, false);
    uint64_t tries = r->tries, ns = clock_mono_ns() - r->lost_at_ns;
    pthread_mutex_unlock(&r->lock);
    if (was_lost)
        log_info("llm: the model's server at %.*s answers again after %llu s; tries that failed: "
                 "%llu",
                 STR_FMT(reach_url(r)), (unsigned long long)(ns / 1000000000),
                 (unsigned long long)tries);
}
