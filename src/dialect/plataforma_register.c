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

#include <stdlib.h>

/* ---- projects ---- */

struct plat_project *plat_project_find(const struct plat_tenant *t, struct str id)
{
    struct map_node *n = map_find(&t->projects, id);
    return n != NULL ? container_of(n, struct plat_project, node) : NULL;
}

static struct plat_project *project_enter(struct plat_tenant *t, struct str id)
{
    struct plat_project *p = plat_project_find(t, id);
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

struct plat_tenant *plat_tenant_find(const struct plat_register *reg, struct str name)
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

struct plat_tenant *plat_tenant_get(struct plat_register *reg, struct str name)
{
    struct plat_tenant *t = plat_tenant_find(reg, name);
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
    struct plat_tenant *t = plat_tenant_get(reg, tenant);
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

/* ---- birth ---- */

bool plat_register_init(struct plat_register *reg, uint32_t counted_max)
{
    *reg = (struct plat_register){.counted_max = counted_max, .started_ms = clock_wall_ms()};
    map_init(&reg->tenants, SIZE_MAX);
    map_init(&reg->members, SIZE_MAX);
    return pthread_mutex_init(&reg->mutex, NULL) == 0;
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
