/*
 * plataforma_figures.c - what the register is asked: how many clients get an event, and the
 * statistics.
 *
 * Always true: everything about one tenant is read under one hold of the mutex, so that the figures
 * of one answer fit together.
 */
#include "dialect/plataforma_priv.h"

#include "base/clock.h"
#include "base/must.h"

#include <openssl/evp.h>

/* ---- ids ---- */

/* A UUID is itself; any other text is uuid5(NAMESPACE_OID, text), which back ends can work out. */
void plat_client_from_id(struct str client_id, uint8_t ret[16])
{
    static const uint8_t oid[16] = {0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1,
                                    0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    uint8_t text[sizeof(oid) + PLAT_ID_MAX], sha[EVP_MAX_MD_SIZE];
    if (uuid_parse(client_id, ret))
        return;
    MUST(client_id.n <= PLAT_ID_MAX);
    memcpy(text, oid, sizeof(oid));
    if (client_id.n > 0)
        memcpy(text + sizeof(oid), client_id.p, client_id.n);
    int ok = EVP_Digest(text, sizeof(oid) + client_id.n, sha, NULL, EVP_sha1(), NULL);
    MUST(ok == 1);
    memcpy(ret, sha, 16);
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x50);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

/* ---- receivers ---- */

static bool member_gets(const struct plat_member *m, const struct plat_event *ev)
{
    if (!m->hears)
        return false;
    if (m->kind == PLAT_LOGS)
        return ev->is_log && plat_note_passes(&ev->note, m->least, m->source);
    if (m->kind == PLAT_NOTIFICATIONS && m->projects.count == 0)
        return true;
    if (ev->project.n > 0)
        return plat_member_follows(m, ev->project);
    return m->kind == PLAT_NOTIFICATIONS && !ev->is_log;
}

static uint32_t readers_of_log(const struct plat_tenant *t, const struct plat_event *ev)
{
    uint32_t n = 0;
    list_each(it, &t->logs)
    {
        n += member_gets(container_of(it, struct plat_member, of_logs), ev);
    }
    return n;
}

static bool excluded_would_get(const struct plat_tenant *t, const struct plat_event *ev)
{
    list_each(it, &t->members)
    {
        struct plat_member *m = container_of(it, struct plat_member, link);
        if (memcmp(m->client, ev->exclude, sizeof(m->client)) == 0)
            return member_gets(m, ev);
    }
    return false;
}

static uint32_t receivers(const struct plat_tenant *t, const struct plat_event *ev)
{
    uint32_t n = t->notified_count;
    if (ev->project.n > 0 || ev->is_log)
        n = t->free_count;
    if (ev->project.n > 0) {
        const struct plat_project *p = plat_project_find(t, ev->project);
        n += p != NULL ? p->member_count : 0;
    }
    if (ev->is_log)
        n += readers_of_log(t, ev);
    if (ev->exclude != NULL && excluded_would_get(t, ev))
        n--;
    return n;
}

uint32_t plat_register_broadcast(struct plat_register *reg, const struct plat_event *ev)
{
    uint32_t n = 0;
    pthread_mutex_lock(&reg->mutex);
    struct plat_tenant *t = plat_tenant_get(reg, ev->tenant);
    if (t != NULL) {
        t->broadcast_count += ev->project.n == 0;
        n = receivers(t, ev);
    }
    pthread_mutex_unlock(&reg->mutex);
    return n;
}

/* ---- figures ---- */

uint32_t plat_register_count(struct plat_register *reg, struct str tenant)
{
    pthread_mutex_lock(&reg->mutex);
    struct plat_tenant *t = plat_tenant_find(reg, tenant);
    uint32_t n = t != NULL ? t->member_count : 0;
    pthread_mutex_unlock(&reg->mutex);
    return n;
}

uint32_t plat_register_subscribers(struct plat_register *reg, struct str tenant, struct str project)
{
    pthread_mutex_lock(&reg->mutex);
    struct plat_tenant *t = plat_tenant_find(reg, tenant);
    struct plat_project *p = t != NULL ? plat_project_find(t, project) : NULL;
    uint32_t n = p != NULL ? p->member_count : 0;
    pthread_mutex_unlock(&reg->mutex);
    return n;
}

static void put_projects(struct json_writer *w, const struct plat_tenant *t)
{
    json_open_object(json_key(w, STR("connections_per_project")));
    for (struct map_node *n = map_first(&t->projects); n != NULL; n = map_next(&t->projects, n)) {
        const struct plat_project *p = container_of(n, struct plat_project, node);
        json_put_u64(json_key(w, n->key), p->member_count);
    }
    json_close_object(w);
}

static void put_stats(struct json_writer *w, const struct plat_tenant *t)
{
    json_put_u64(json_key(w, STR("active_connections")), t->member_count);
    json_put_u64(json_key(w, STR("active_projects")), t->projects.count);
    json_put_u64(json_key(w, STR("total_connections")), t->connection_count);
    json_put_u64(json_key(w, STR("total_messages_sent")),
                 atomic_load_explicit(&t->sent, memory_order_relaxed));
    json_put_u64(json_key(w, STR("total_messages_received")),
                 atomic_load_explicit(&t->received, memory_order_relaxed));
    json_put_u64(json_key(w, STR("total_broadcasts")), t->broadcast_count);
    put_projects(w, t);
}

bool plat_register_write_stats(struct plat_register *reg, struct str tenant, struct buf *out)
{
    static const struct plat_tenant nobody;
    char started[ISO_TIME_MAX];
    struct json_writer w;
    json_writer_init(&w, out);
    json_open_object(&w);
    pthread_mutex_lock(&reg->mutex);
    const struct plat_tenant *t = plat_tenant_find(reg, tenant);
    put_stats(&w, t != NULL ? t : &nobody);
    pthread_mutex_unlock(&reg->mutex);
    size_t n = plat_iso_time(reg->started_ms, started);
    json_put_string(json_key(&w, STR("started_at")), (struct str){started, n});
    json_close_object(&w);
    return json_done(&w);
}
