/*
 * presence.c - who is in one channel.
 *
 * Always true between two calls: a member is in by_client and in all, or in neither; it is in gone
 * if and only if gone_at_ms is set, and only then in gone_by_user. No join and no departure walks
 * the list: a whole channel may go and come back at once.
 */
#include "hub/presence.h"

#include "base/must.h"

#include <stdlib.h>

void presence_init(struct presence *p)
{
    map_init(&p->by_client, UINT32_MAX);
    map_init(&p->gone_by_user, UINT32_MAX);
    list_init(&p->all);
    list_init(&p->gone);
}

void presence_fini(struct presence *p)
{
    while (!list_empty(&p->all))
        presence_remove(p, container_of(p->all.next, struct present, link));
    map_fini(&p->by_client);
    map_fini(&p->gone_by_user);
}

struct present *presence_find(const struct presence *p, const uint8_t client[16])
{
    struct map_node *n = map_find(&p->by_client, (struct str){(const char *)client, 16});
    return n != NULL ? container_of(n, struct present, node) : NULL;
}

void presence_remove(struct presence *p, struct present *m)
{
    map_remove(&p->by_client, &m->node);
    list_remove(&m->link);
    list_remove(&m->gone_link);
    if (m->gone_found)
        map_remove(&p->gone_by_user, &m->gone_node);
    free(m);
}

void presence_mark_gone(struct presence *p, struct present *m, uint64_t now_ms)
{
    if (m->gone_at_ms != 0)
        return;
    m->gone_at_ms = now_ms > 0 ? now_ms : 1;
    list_add(&p->gone, &m->gone_link);
    m->gone_node.key = m->user;
    m->gone_found = m->user.n > 0 && map_add(&p->gone_by_user, &m->gone_node);
}

bool presence_let_go(struct present *m)
{
    if (m->count > 0)
        m->count--;
    return m->count == 0;
}

uint64_t presence_first_gone_ms(const struct presence *p)
{
    if (list_empty(&p->gone))
        return 0;
    return container_of(p->gone.next, struct present, gone_link)->gone_at_ms;
}

static struct present *find_gone(const struct presence *p, struct str user)
{
    struct map_node *n = user.n > 0 ? map_find(&p->gone_by_user, user) : NULL;
    return n != NULL ? container_of(n, struct present, gone_node) : NULL;
}

bool presence_add(struct presence *p, const uint8_t client[16], struct str user, struct str info,
                  struct str channel_info, bool *ret_is_new)
{
    struct present *same = presence_find(p, client), *before = same;
    if (before == NULL)
        before = find_gone(p, user);
    struct present *m = calloc(1, sizeof(*m) + user.n + info.n + channel_info.n);
    if (m == NULL)
        return false;
    memcpy(m->client, client, 16);
    m->count = (same != NULL ? same->count : 0) + 1;
    char *at = m->bytes;
    m->user = str_put(&at, user);
    m->info = str_put(&at, info);
    m->channel_info = str_put(&at, channel_info);
    m->node.key = (struct str){(const char *)m->client, 16};
    list_init(&m->link);
    list_init(&m->gone_link);
    if (!map_add(&p->by_client, &m->node)) {
        free(m);
        return false;
    }
    list_add(&p->all, &m->link);
    if (before != NULL)
        presence_remove(p, before); // by its node: the new one of the same key stays
    *ret_is_new = before == NULL;
    return true;
}

uint32_t presence_client_count(const struct presence *p)
{
    return (uint32_t)p->by_client.count;
}

static int compare_users(const void *a, const void *b)
{
    struct str x = *(const struct str *)a, y = *(const struct str *)b;
    if (x.n != y.n)
        return x.n < y.n ? -1 : 1;
    return x.n ? memcmp(x.p, y.p, x.n) : 0;
}

uint32_t presence_user_count(const struct presence *p)
{
    struct str *users = calloc(p->by_client.count + 1, sizeof(*users));
    uint32_t n = 0, distinct = 0;
    if (users == NULL)
        return presence_client_count(p);
    list_each(it, &p->all)
    {
        users[n++] = container_of(it, struct present, link)->user;
    }
    qsort(users, n, sizeof(*users), compare_users);
    for (uint32_t i = 0; i < n; i++)
        distinct += i == 0 || compare_users(&users[i - 1], &users[i]) != 0;
    free(users);
    return distinct;
}
