/*
 * config_check.c - what no key can say alone: keys that need each other, and what is too dangerous
 * to be a default.
 *
 * Why it exists: a server that starts is one whose configuration makes sense as a whole.
 *
 * Always true: a rule complains about the key that a person has to change.
 */
#include <unistd.h>

#include "app/config_priv.h"
#include "net/addr.h"

enum { SECRET_SHORT_BYTES = 32 };

static bool complain_at(struct loader *l, unsigned line, const char *path, const char *text)
{
    size_t mark = path_push(l, str_from(path));
    unsigned before = l->line;
    l->line = line;
    loader_complain(l, "%s", text);
    l->line = before;
    path_pop(l, mark);
    return false;
}

static void warn_at(struct loader *l, const char *path, const char *text)
{
    size_t mark = path_push(l, str_from(path));
    loader_warn(l, "%s", text);
    path_pop(l, mark);
}

static bool has_token_key(const struct config *c)
{
    return c->auth.hmac_secret.n > 0 || c->auth.rsa_public_key.n > 0 ||
           c->auth.ecdsa_public_key.n > 0;
}

static bool tls_is_whole(const struct config_tls *t)
{
    return (t->cert.n > 0) == (t->key.n > 0);
}

static void judge_listener(struct loader *l, const char *path, const struct config_listener *at)
{
    struct listen_addr parsed;
    const char *why = "";
    if (at->address.n == 0)
        complain_at(l, at->line, path, "an entry has no address");
    else if (!listen_addr_parse(at->address, &parsed, &why))
        complain_at(l, at->line, path, why);
    if (!tls_is_whole(&at->tls))
        complain_at(l, at->line, path, "tls.cert and tls.key belong together");
}

static bool address_is_local(struct str address)
{
    struct listen_addr parsed;
    const char *why;
    return !listen_addr_parse(address, &parsed, &why) || listen_addr_is_loopback(&parsed);
}

/* The first address that other machines can reach, or NULL. */
static const struct config_listener *find_open(const struct config_listeners *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!address_is_local(list->items[i].address))
            return &list->items[i];
    }
    return NULL;
}

static void judge_listeners(struct loader *l, const char *path, const struct config_listeners *list)
{
    for (size_t i = 0; i < list->count; i++)
        judge_listener(l, path, &list->items[i]);
    const struct config_listener *open = find_open(list);
    const struct config *c = l->config;
    bool guarded = has_token_key(c) && c->auth.api_keys.count > 0;
    if (open == NULL || guarded || c->auth.insecure)
        return;
    size_t mark = path_push(l, str_from(path));
    unsigned before = l->line;
    l->line = open->line;
    loader_complain(l,
                    "%.*s can be reached from other machines, but %s not set; set %s, listen on "
                    "127.0.0.1, or allow it with --insecure",
                    STR_FMT(open->address),
                    has_token_key(c)             ? "auth.api_keys is"
                    : c->auth.api_keys.count > 0 ? "auth.hmac_secret is"
                                                 : "auth.hmac_secret and auth.api_keys are",
                    has_token_key(c)             ? "it"
                    : c->auth.api_keys.count > 0 ? "it (or a public key)"
                                                 : "both");
    l->line = before;
    path_pop(l, mark);
}

static void judge_auth(struct loader *l)
{
    const struct config *c = l->config;
    if (c->auth.require_token == REQUIRE_YES && !has_token_key(c))
        complain_at(l, 0, "auth.require_token",
                    "no token could be checked: set auth.hmac_secret, "
                    "auth.rsa_public_key or auth.ecdsa_public_key");
    if (c->auth.hmac_secret.n > 0 && c->auth.hmac_secret.n < SECRET_SHORT_BYTES)
        warn_at(l, "auth.hmac_secret", "shorter than 32 bytes: it can be guessed");
    if (c->auth.hmac_secret.n > 1024)
        complain_at(l, 0, "auth.hmac_secret", "longer than 1024 bytes");
    for (size_t i = 0; i < c->auth.api_keys.count; i++) {
        if (c->auth.api_keys.items[i].n == 0)
            complain_at(l, 0, "auth.api_keys", "a key is empty");
    }
    if (c->auth.default_tenant.n == 0)
        complain_at(l, 0, "auth.default_tenant", "a tenant's name is not empty");
}

static void judge_origins(struct loader *l, unsigned line, const char *path,
                          const struct str_list *origins)
{
    for (size_t i = 0; i < origins->count; i++) {
        struct str o = origins->items[i];
        bool ok = str_eq(o, STR("*")) || str_eq(o, STR("null")) || str_find(o, STR("://")) < o.n;
        if (!ok)
            complain_at(l, line, path, "an origin is \"*\" or like https://app.example");
        else if (o.n > 1 && o.p[o.n - 1] == '/')
            complain_at(l, line, path, "an origin has no / at its end");
    }
}

static bool scheme_is(struct str url, const struct str *schemes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_starts(url, schemes[i]))
            return true;
    }
    return false;
}

static void judge_urls(struct loader *l)
{
    static const struct str stores[] = {{"sqlite:", 7},        {"mysql://", 8},
                                        {"mariadb://", 10},    {"postgres://", 11},
                                        {"postgresql://", 13}, {"memory:", 7}};
    static const struct str clusters[] = {{"redis://", 8}, {"rediss://", 9}};
    static const struct str webs[] = {{"http://", 7}, {"https://", 8}};
    const struct config *c = l->config;
    if (c->store.n > 0 && !scheme_is(c->store, stores, sizeof(stores) / sizeof(stores[0])))
        complain_at(l, 0, "store", "write it as sqlite:FILE, mysql://.., postgres://.. or memory:");
    if (!str_eq(c->cluster, STR("local")) && !scheme_is(c->cluster, clusters, 2))
        complain_at(l, 0, "cluster", "write it as local or redis://HOST:6379/0");
    if (c->llm_url.n > 0 && !scheme_is(c->llm_url, webs, 2))
        complain_at(l, 0, "llm.url", "write it as http://.. or https://..");
}

static void judge_tenant_from(struct loader *l, struct config_endpoint *e)
{
    static const struct str query = {"query.", 6};
    e->tenant_query = str_skip(e->tenant_from, e->tenant_from.n);
    if (str_starts(e->tenant_from, query) && e->tenant_from.n > query.n)
        e->tenant_query = str_skip(e->tenant_from, query.n);
    else if (e->tenant_from.n > 0 && !str_eq(e->tenant_from, STR("claim")) &&
             !str_eq(e->tenant_from, STR("fixed")))
        complain_at(l, e->line, "endpoints", "tenant_from is fixed, claim or query.NAME");
}

static void judge_endpoints(struct loader *l)
{
    struct config_endpoints *list = &l->config->endpoints;
    for (size_t i = 0; i < list->count; i++) {
        struct config_endpoint *e = &list->items[i];
        if (!str_starts(e->path, STR("/")))
            complain_at(l, e->line, "endpoints", "a path is wanted, beginning with /");
        if (e->dialect.n == 0)
            complain_at(l, e->line, "endpoints", "a dialect is wanted");
        judge_tenant_from(l, e);
        judge_origins(l, e->line, "endpoints", &e->origins);
        for (size_t before = 0; before < i; before++) {
            if (str_eq(list->items[before].path, e->path))
                complain_at(l, e->line, "endpoints", "this path is there twice");
        }
    }
}

static void judge_namespaces(struct loader *l)
{
    const struct config *c = l->config;
    for (size_t i = 0; i < c->policy.namespace_count; i++) {
        const struct namespace_options *n = &c->policy.namespaces[i];
        unsigned line = c->namespaces[i].line;
        if (memchr(n->name.p, ':', n->name.n) != NULL)
            complain_at(l, line, "namespaces", "a namespace's name has no colon");
        if (n->options.durable && n->options.history_count == 0)
            complain_at(l, line, "namespaces", "durable needs a history");
        if (n->options.join_leave && !n->options.presence)
            complain_at(l, line, "namespaces", "join_leave needs presence");
    }
}

static void decide_log(struct config *c)
{
    enum { FORMAT_AUTO, FORMAT_TEXT, FORMAT_JSON };
    c->log.json =
        c->log.format == FORMAT_JSON || (c->log.format == FORMAT_AUTO && !isatty(STDERR_FILENO));
}

void config_judge(struct loader *l)
{
    struct config *c = l->config;
    if (c->listen.count == 0)
        complain_at(l, 0, "listen", "an address is wanted");
    judge_listeners(l, "listen", &c->listen);
    judge_listeners(l, "internal_listen", &c->internal_listen);
    if (!tls_is_whole(&c->tls))
        complain_at(l, 0, "tls", "cert and key belong together");
    judge_auth(l);
    judge_origins(l, 0, "auth.origins", &c->auth.origins);
    judge_urls(l);
    judge_endpoints(l);
    judge_namespaces(l);
    if (c->websocket.heartbeat_timeout_ms <= c->websocket.heartbeat_interval_ms)
        complain_at(l, 0, "websocket.heartbeat_timeout", "must be longer than heartbeat_interval");
    decide_log(c);
}

bool config_token_required(const struct config *c)
{
    if (c->auth.require_token != REQUIRE_AUTO)
        return c->auth.require_token == REQUIRE_YES;
    return has_token_key(c) && find_open(&c->listen) != NULL;
}
