/*
 * publication.c - one event of one channel.
 */
#include "hub/publication.h"

#include "base/must.h"
#include "base/pool.h"

static const char hex[] = "0123456789abcdef";

void epoch_format(uint32_t epoch, char ret[EPOCH_TEXT])
{
    for (int i = EPOCH_TEXT - 1; i >= 0; i--, epoch >>= 4)
        ret[i] = hex[epoch & 15];
}

bool epoch_parse(struct str s, uint32_t *ret)
{
    uint32_t v = 0;
    if (s.n == 0) {
        *ret = 0;
        return true;
    }
    if (s.n != EPOCH_TEXT)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char *at = memchr(hex, s.p[i], 16);
        if (at == NULL)
            return false;
        v = v << 4 | (uint32_t)(at - hex);
    }
    *ret = v;
    return v != 0;
}

struct publication *publication_make(const struct publication_parts *parts)
{
    size_t n = parts->tenant.n + parts->channel.n + parts->type.n + parts->data.n + parts->tags.n +
               parts->info.n + parts->id.n + parts->exclude_channels.n;
    struct publication *p = pool_alloc(sizeof(*p) + n);
    if (p == NULL)
        return NULL;
    *p = (struct publication){.size = (uint32_t)(sizeof(*p) + n),
                              .kind = parts->kind,
                              .time_ms = parts->time_ms,
                              .exclude = parts->exclude};
    atomic_init(&p->refs, 1);
    if (parts->exclude_client != NULL) {
        p->excludes_client = true;
        memcpy(p->exclude_client, parts->exclude_client, sizeof(p->exclude_client));
    }
    char *at = p->bytes;
    p->tenant = str_put(&at, parts->tenant);
    p->channel = str_put(&at, parts->channel);
    p->type = str_put(&at, parts->type);
    p->data = str_put(&at, parts->data);
    p->tags = str_put(&at, parts->tags);
    p->info = str_put(&at, parts->info);
    p->id = str_put(&at, parts->id);
    p->exclude_channels = str_put(&at, parts->exclude_channels);
    return p;
}

struct publication *publication_ref(struct publication *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void publication_unref(struct publication *p)
{
    if (p == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
    MUST(before > 0);
    if (before == 1)
        pool_free(p);
}
