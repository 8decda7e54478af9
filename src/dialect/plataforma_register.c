/*
 * plataforma_register.c - who is connected to an endpoint, on whatever loop, and what was counted.
 *
 * Why it exists: the limit, the statistics and the number of receivers of a broadcast are about all
 * loops together. It is asked when clients come, go and subscribe, and by REST; never for a
 * message.
 *
 * Always true outside the mutex:
 *   I1. a member is in reg->members, in its tenant's lists and in the figures, or in none of them
 *       (counted); one client_id has one such member.
 *   I2. a project is in its tenant's map while it has members.
 *   I3. a tenant stays as long as somebody holds it (refs), counted or not.
 */
#include "dialect/plataforma_priv.h"

#include "base/clock.h"
#include "base/must.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* ---- ids ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool uuid_read(struct str s, uint8_t ret[16])
{
    size_t n = 0;
    if (s.n != UUID_TEXT)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s.p[i] != '-')
                return false;
            continue;
        }
        int v = hex_value(s.p[i]);
        if (v < 0)
            return false;
        ret[n / 2] = (uint8_t)(n % 2 == 0 ? v << 4 : ret[n / 2] | v);
        n++;
    }
    return true;
}

/* A UUID is itself; any other text is uuid5(NAMESPACE_OID, text), which back ends can work out. */
void plat_client_from_id(struct str client_id, uint8_t ret[16])
{
    static const uint8_t oid[16] = {0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1,
                                    0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    uint8_t text[sizeof(oid) + PLAT_ID_MAX], sha[EVP_MAX_MD_SIZE];
    if (uuid_read(client_id, ret))
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

/* ---- projects ---- */

static struct plat_project *project_find(const struct plat_tenant *t, struct str id)
{
    struct map_node *n = map_find(&t->projects, id);
    return n != NULL ? container_of(n, struct plat_project, node) : NULL;
}

static struct plat_project *project_enter(struct plat_tenant *t, struct str id)
{
    struct plat_project *p = project_find(t, id);
    if (p == NULL) {
        p = calloc(1, sizeof(*p) + id.n);
        if (p == NULL)
            return NULL;
        memcpy(p->id, id.p, id.n);
        p->node.key = (struct str){p->id, id.n};
        if (!map_add(&t->projects, &p->node)) {
            free(p);
            return NULL;
        }
    }
    p->member_count++;
    return p;
}

static void project_exit(struct plat_tenant *t, struct plat_project *p)
{
    if (--p->member_count > 0)
        return;
    map_remove(&t->projects, &p->node);
    free(p);
}

/* ---- tenants ---- */

static struct plat_tenant *tenant_find(const struct plat_register *reg, struct str name)
{
    struct map_node *n = map_find(&reg->tenants, name);
    return n != NULL ? container_of(n, struct plat_tenant, node) : NULL;
}

static void tenant_free(struct plat_register *reg, struct plat_tenant *t)
{
    map_remove(&reg->tenants, &t->node);
    map_fini(&t->projects);
    free(t);
}

/* Tenants are named by tokens, or where there are none by anybody: those that nobody is in go when
 * there are too many, and their figures with them. */
static void tenants_forget_idle(struct plat_register *reg)
{
    for (struct map_node *n = map_first(&reg->tenants), *next; n != NULL; n = next) {
        next = map_next(&reg->tenants, n);
        struct plat_tenant *t = container_of(n, struct plat_tenant, node);
        if (t->refs == 0)
            tenant_free(reg, t);
    }
}

static struct plat_tenant *tenant_get(struct plat_register *reg, struct str name)
{
    struct plat_tenant *t = tenant_find(reg, name);
    if (t != NULL)
        return t;
    if (reg->tenants.count >= PLAT_TENANTS_MAX)
        tenants_forget_idle(reg);
    t = calloc(1, sizeof(*t) + name.n);
    if (t == NULL)
        return NULL;
    if (name.n > 0)
        memcpy(t->name, name.p, name.n);
    t->node.key = (struct str){t->name, name.n};
    map_init(&t->projects, SIZE_MAX);
    list_init(&t->members);
    list_init(&t->logs);
    if (map_add(&reg->tenants, &t->node))
        return t;
    free(t);
    return NULL;
}

/* ---- members ---- */

static void own_free(struct plat_member *m, struct plat_own *own)
{
    map_remove(&m->projects, &own->node);
    free(own);
}

static void member_free(struct plat_member *m)
{
    for (struct map_node *n = map_first(&m->projects), *next; n != NULL; n = next) {
        next = map_next(&m->projects, n);
        own_free(m, container_of(n, struct plat_own, node));
    }
    map_fini(&m->projects);
    free(m);
}

void plat_member_unref(struct plat_member *m)
{
    if (m != NULL && atomic_fetch_sub(&m->refs, 1) == 1)
        member_free(m);
}

struct plat_member *plat_member_make(const struct plat_arrival *a)
{
    struct str id = a->client_id;
    size_t id_room = id.n > 8 ? id.n : 8;
    struct plat_member *m = calloc(1, sizeof(*m) + a->tenant.n + 1 + id_room + a->source.n);
    if (m == NULL)
        return NULL;
    char *at = m->bytes;
    (void)str_put(&at, a->tenant);
    *at++ = '\0';
    m->client_id = str_put(&at, id);
    at = m->bytes + a->tenant.n + 1 + id_room;
    m->source = str_put(&at, a->source);
    m->node.key = (struct str){m->bytes, a->tenant.n + 1 + id.n};
    m->kind = a->kind;
    m->least = a->least;
    atomic_init(&m->refs, 1);
    list_init(&m->link);
    list_init(&m->of_logs);
    map_init(&m->projects, PLAT_PROJECTS_MAX);
    return m;
}

/* The first eight characters of a UUID, as nobody else has them. */
static void member_name(const struct plat_register *reg, struct plat_member *m)
{
    size_t head = m->node.key.n;
    do {
        uint8_t uuid[16];
        char text[UUID_TEXT];
        uuid_make(uuid);
        uuid_format(uuid, text);
        memcpy(m->bytes + head, text, 8);
        m->client_id = (struct str){m->bytes + head, 8};
        m->node.key = (struct str){m->bytes, head + 8};
    } while (map_find(&reg->members, m->node.key) != NULL);
}

static void hears_count(struct plat_member *m, uint32_t one)
{
    struct plat_tenant *t = m->tenant;
    if (!m->hears || m->kind != PLAT_NOTIFICATIONS)
        return;
    t->notified_count += one;
    t->free_count += m->projects.count == 0 ? one : 0;
}

static void member_uncount(struct plat_register *reg, struct plat_member *m)
{
    struct plat_tenant *t = m->tenant;
    hears_count(m, (uint32_t)-1);
    for (struct map_node *n = map_first(&m->projects); n != NULL; n = map_next(&m->projects, n)) {
        struct plat_own *own = container_of(n, struct plat_own, node);
        if (own->project != NULL)
            project_exit(t, own->project);
        own->project = NULL;
    }
    map_remove(&reg->members, &m->node);
    list_remove(&m->link);
    list_remove(&m->of_logs);
    t->member_count--;
    reg->counted--;
    m->counted = m->hears = false;
}

static void replaced_arrived(struct mail *mail, struct loop *l)
{
    struct plat_member *m = container_of(mail, struct plat_member, mail);
    (void)l;
    if (m->session != NULL)
        plat_session_replaced(m->session);
    plat_member_unref(m);
}

/* Whoever had this client_id hears nothing more, and stays connected. */
static void member_replace(struct plat_register *reg, struct plat_member *old)
{
    member_uncount(reg, old);
    old->mail.deliver = replaced_arrived;
    atomic_fetch_add(&old->refs, 1);
    loop_post(old->loop, &old->mail);
}

static bool join(struct plat_register *reg, struct plat_member *m, struct str tenant)
{
    struct map_node *old = m->client_id.n > 0 ? map_find(&reg->members, m->node.key) : NULL;
    if (old == NULL && reg->counted >= reg->counted_max)
        return false;
    struct plat_tenant *t = tenant_get(reg, tenant);
    if (t == NULL)
        return false;
    if (old != NULL)
        member_replace(reg, container_of(old, struct plat_member, node));
    if (m->client_id.n == 0)
        member_name(reg, m);
    if (!map_add(&reg->members, &m->node))
        return false;
    plat_client_from_id(m->client_id, m->client);
    m->tenant = t;
    m->counted = true;
    t->refs++;
    t->member_count++;
    t->connection_count++;
    reg->counted++;
    list_add(&t->members, &m->link);
    return true;
}

bool plat_register_join(struct plat_register *reg, struct plat_member *m, struct str tenant)
{
    pthread_mutex_lock(&reg->mutex);
    bool ok = join(reg, m, tenant);
    pthread_mutex_unlock(&reg->mutex);
    return ok;
}

void plat_register_hear(struct plat_register *reg, struct plat_member *m)
{
    pthread_mutex_lock(&reg->mutex);
    if (m->counted && !m->hears) {
        m->hears = true;
        hears_count(m, 1);
        if (m->kind == PLAT_LOGS)
            list_add(&m->tenant->logs, &m->of_logs);
    }
    pthread_mutex_unlock(&reg->mutex);
}

void plat_register_leave(struct plat_register *reg, struct plat_member *m)
{
    pthread_mutex_lock(&reg->mutex);
    if (m->counted)
        member_uncount(reg, m);
    if (m->tenant != NULL)
        m->tenant->refs--;
    m->tenant = NULL;
    pthread_mutex_unlock(&reg->mutex);
    m->session = NULL;
}

/* ---- a session's projects ---- */

static enum plat_change subscribe(struct plat_member *m, struct str project)
{
    if (map_find(&m->projects, project) != NULL)
        return CHANGE_NONE;
    struct plat_own *own =
        m->projects.count < PLAT_PROJECTS_MAX ? calloc(1, sizeof(*own) + project.n) : NULL;
    if (own == NULL)
        return CHANGE_REFUSED;
    memcpy((char *)(own + 1), project.p, project.n);
    own->node.key = (struct str){(char *)(own + 1), project.n};
    if (m->counted)
        own->project = project_enter(m->tenant, project);
    hears_count(m, (uint32_t)-1);
    bool ok = (own->project != NULL || !m->counted) && map_add(&m->projects, &own->node);
    hears_count(m, 1);
    if (ok)
        return CHANGE_DONE;
    if (own->project != NULL)
        project_exit(m->tenant, own->project);
    free(own);
    return CHANGE_REFUSED;
}

enum plat_change plat_register_subscribe(struct plat_register *reg, struct plat_member *m,
                                         struct str project)
{
    pthread_mutex_lock(&reg->mutex);
    enum plat_change c = subscribe(m, project);
    pthread_mutex_unlock(&reg->mutex);
    return c;
}

enum plat_change plat_register_unsubscribe(struct plat_register *reg, struct plat_member *m,
                                           struct str project)
{
    pthread_mutex_lock(&reg->mutex);
    struct map_node *n = map_find(&m->projects, project);
    if (n != NULL) {
        struct plat_own *own = container_of(n, struct plat_own, node);
        hears_count(m, (uint32_t)-1);
        if (own->project != NULL)
            project_exit(m->tenant, own->project);
        own_free(m, own);
        hears_count(m, 1);
    }
    pthread_mutex_unlock(&reg->mutex);
    return n != NULL ? CHANGE_DONE : CHANGE_NONE;
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
        const struct plat_project *p = project_find(t, ev->project);
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
    struct plat_tenant *t = tenant_get(reg, ev->tenant);
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
    struct plat_tenant *t = tenant_find(reg, tenant);
    uint32_t n = t != NULL ? t->member_count : 0;
    pthread_mutex_unlock(&reg->mutex);
    return n;
}

uint32_t plat_register_subscribers(struct plat_register *reg, struct str tenant, struct str project)
{
    pthread_mutex_lock(&reg->mutex);
    struct plat_tenant *t = tenant_find(reg, tenant);
    struct plat_project *p = t != NULL ? project_find(t, project) : NULL;
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
    const struct plat_tenant *t = tenant_find(reg, tenant);
    put_stats(&w, t != NULL ? t : &nobody);
    pthread_mutex_unlock(&reg->mutex);
    size_t n = iso_time_ms(reg->started_ms, started);
    json_put_string(json_key(&w, STR("started_at")), (struct str){started, n});
    json_close_object(&w);
    return json_done(&w);
}

/* ---- birth ---- */

bool plat_register_init(struct plat_register *reg, uint32_t counted_max)
{
    if (pthread_mutex_init(&reg->mutex, NULL) != 0)
        return false;
    map_init(&reg->tenants, SIZE_MAX);
    map_init(&reg->members, SIZE_MAX);
    reg->counted_max = counted_max;
    reg->started_ms = clock_wall_ms();
    return true;
}

void plat_register_fini(struct plat_register *reg)
{
    for (struct map_node *n = map_first(&reg->tenants), *next; n != NULL; n = next) {
        next = map_next(&reg->tenants, n);
        struct plat_tenant *t = container_of(n, struct plat_tenant, node);
        for (struct map_node *p = map_first(&t->projects), *after; p != NULL; p = after) {
            after = map_next(&t->projects, p);
            map_remove(&t->projects, p);
            free(container_of(p, struct plat_project, node));
        }
        tenant_free(reg, t);
    }
    map_fini(&reg->tenants);
    map_fini(&reg->members);
    pthread_mutex_destroy(&reg->mutex);
}
