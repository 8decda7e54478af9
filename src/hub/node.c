/*
 * node.c - the hubs of all loops: birth, death, keys and figures.
 */
#include "hub/priv.h"

#include "base/random.h"

enum { KEY_MAX = 64 * 1024, SCRATCH_MAX = 64 << 20 };

static struct hub *hub_create(struct node *node, struct loop *loop)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL)
        return NULL;
    hub->node = node;
    hub->loop = loop;
    map_init(&hub->channels, SIZE_MAX); // the policy's limits may change: looked up at each
    map_init(&hub->fanouts, SIZE_MAX);
    map_init(&hub->patterns, SIZE_MAX);
    map_init(&hub->users, SIZE_MAX);
    map_init(&hub->records, SIZE_MAX);
    list_init(&hub->sessions);
    buf_init(&hub->key, KEY_MAX);
    buf_init(&hub->scratch, SCRATCH_MAX);
    return hub;
}

static void hub_destroy(struct hub *hub)
{
    struct map_node *next;
    for (struct map_node *n = map_first(&hub->channels); n != NULL; n = next) {
        next = map_next(&hub->channels, n);
        channel_destroy(container_of(n, struct channel, node));
    }
    for (struct map_node *n = map_first(&hub->patterns); n != NULL; n = next) {
        next = map_next(&hub->patterns, n);
        map_remove(&hub->patterns, n);
        free((void *)(uintptr_t)n->key.p);
        free(container_of(n, struct pattern, node));
    }
    map_fini(&hub->channels);
    map_fini(&hub->fanouts);
    map_fini(&hub->patterns);
    map_fini(&hub->users);
    map_fini(&hub->records);
    buf_fini(&hub->key);
    buf_fini(&hub->scratch);
    free(hub);
}

struct node *node_create(struct loop *const *loops, unsigned count, const struct policy *policy,
                         uint32_t sessions_max)
{
    MUST(count > 0 && count <= HUB_LOOPS_MAX);
    struct node *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    n->count = count;
    n->seed = random_u64();
    n->sessions_max = sessions_max;
    atomic_init(&n->policy, policy);
    for (unsigned i = 0; i < count; i++) {
        n->hubs[i] = hub_create(n, loops[i]);
        if (n->hubs[i] == NULL) {
            node_destroy(&n);
            return NULL;
        }
    }
    return n;
}

void node_destroy(struct node **np)
{
    struct node *n = *np;
    *np = NULL;
    if (n == NULL)
        return;
    for (unsigned i = 0; i < n->count && n->hubs[i] != NULL; i++)
        hub_destroy(n->hubs[i]);
    free(n);
}

struct hub *node_hub(struct node *n, unsigned loop_index)
{
    MUST(loop_index < n->count);
    return n->hubs[loop_index];
}

unsigned node_loop_count(const struct node *n)
{
    return n->count;
}

void node_set_store(struct node *n, struct store *store)
{
    n->store = store;
}

void node_set_witness(struct node *n, node_witness_fn *saw, void *ctx)
{
    n->witness = saw;
    n->witness_ctx = ctx;
}

bool node_can_store(const struct node *n)
{
    enum store_health h = n->store != NULL ? store_health(n->store) : STORE_OK;
    return h == STORE_OK || h == STORE_BUSY;
}

bool node_read_store(const struct node *n, struct node_store_stats *ret)
{
    struct store_state s;
    if (n->store == NULL)
        return false;
    store_read_state(n->store, &s);
    *ret = (struct node_store_stats){
        .commits = s.commits,
        .events = s.events,
        .events_bytes = s.events_bytes,
        .failures = s.failures,
        .reads = s.reads,
        .waiting_bytes = s.waiting_bytes,
        .streams = s.streams,
        .commit_ns = s.commit_ns,
        .usable = node_can_store(n),
    };
    return true;
}

void node_set_policy(struct node *n, const struct policy *policy)
{
    atomic_store_explicit(&n->policy, policy, memory_order_release);
}

void hub_set_outflow(struct hub *hub, struct outflow *o)
{
    hub->outflow = o;
    o->log_bytes_max = hub_rules(hub)->feeds_bytes_max;
}

struct outflow *hub_outflow(const struct hub *hub)
{
    return hub->outflow;
}

struct loop *hub_loop(const struct hub *hub)
{
    return hub->loop;
}

const struct policy *hub_policy(const struct hub *hub)
{
    return hub_rules(hub);
}

/* ---- keys ---- */

struct str hub_key(struct hub *hub, struct str tenant, struct str name)
{
    buf_clear(&hub->key);
    MUST(buf_add(&hub->key, tenant) && buf_add_char(&hub->key, '\0') && buf_add(&hub->key, name));
    return buf_str(&hub->key);
}

bool hub_key_ok(struct str tenant, struct str name)
{
    return tenant.n + name.n < KEY_MAX - 3 &&
           (tenant.n == 0 || memchr(tenant.p, '\0', tenant.n) == NULL);
}

struct str hub_namespace_key(struct hub *hub, struct str tenant, struct str ns)
{
    hub_key(hub, tenant, ns);
    MUST(buf_add(&hub->key, STR(":*")));
    return buf_str(&hub->key);
}

char *key_copy(struct str key)
{
    return str_dup(key);
}

struct str key_tenant(struct str key)
{
    return str_cut(&key, '\0');
}

struct str key_name(struct str key)
{
    str_cut(&key, '\0');
    return key;
}

struct hub *hub_home(struct hub *hub, struct str key)
{
    struct node *n = hub->node;
    return n->count == 1 ? hub : n->hubs[str_hash(key, n->seed) % n->count];
}

unsigned hub_home_loop(struct hub *hub, struct str tenant, struct str channel)
{
    return loop_index(hub_home(hub, hub_key(hub, tenant, channel))->loop);
}

/* ---- figures ---- */

static void add_counters(struct hub_stats *to, const struct hub_counters *c)
{
#define ADD(field) to->field += atomic_load_explicit(&c->field, memory_order_relaxed)
    ADD(sessions);
    ADD(users);
    ADD(channels);
    ADD(subscriptions);
    ADD(publishes);
    ADD(publish_bytes);
    ADD(joins);
    ADD(leaves);
    ADD(recovered);
    ADD(not_recovered);
    ADD(resyncs);
    ADD(overruns);
    ADD(duplicates);
    ADD(refused);
    ADD(records);
    ADD(record_appends);
#undef ADD
}

void node_read_stats(const struct node *n, struct hub_stats *ret)
{
    *ret = (struct hub_stats){0};
    for (unsigned i = 0; i < n->count; i++)
        add_counters(ret, &n->hubs[i]->counters);
}

static void add_dialect(struct dialect_count *ret, size_t max, size_t *count, const char *name,
                        uint64_t sessions)
{
    for (size_t i = 0; i < *count; i++) {
        if (str_eq(str_from(ret[i].dialect), str_from(name))) {
            ret[i].sessions += sessions;
            return;
        }
    }
    if (*count < max)
        ret[(*count)++] = (struct dialect_count){name, sessions};
}

size_t node_read_dialects(const struct node *n, struct dialect_count *ret, size_t max)
{
    size_t count = 0;
    for (unsigned i = 0; i < n->count; i++) {
        for (int k = 0; k < DIALECTS_MAX; k++) {
            const struct dialect_slot *slot = &n->hubs[i]->dialects[k];
            const char *name = atomic_load_explicit(&slot->name, memory_order_acquire);
            if (name != NULL)
                add_dialect(ret, max, &count, name,
                            atomic_load_explicit(&slot->sessions, memory_order_relaxed));
        }
    }
    return count;
}
