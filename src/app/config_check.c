/*
 * config_check.c - what no key can say alone: keys that need each other, and what is too dangerous
 * to be a default.
 *
 * Why it exists: a server that starts is one whose configuration makes sense as a whole.
 *
 * Always true: a rule complains about the key that a person has to change.
 */
#include <stdio.h>
#include <unistd.h>

#include "app/config_priv.h"
#include "cluster/redis.h"
#include "net/addr.h"

enum { SECRET_SHORT_BYTES = 32, PATH_TEXT_MAX = 128, EXPLANATION_MAX = 512 };

static const char NO_TOKEN_KEY[] = "no token could be checked: set auth.hmac_secret, "
                                   "auth.rsa_public_key or auth.ecdsa_public_key";

/* Points at the source of a key's value: its line in the file, or what else set it. */
static void point_at(struct loader *l, const char *path)
{
    static const char *const places[] = {"configuration", "", "environment", "command line"};
    for (size_t i = 0; i < config_key_count; i++) {
        enum origin o = l->config->origins[i];
        if (config_keys[i].scope != SCOPE_CONFIG || !str_eq(config_keys[i].path, str_from(path)))
            continue;
        l->line = l->key_lines[i];
        l->place = o == ORIGIN_FILE ? l->config->file : str_from(places[o]);
    }
}

static bool complain_at(struct loader *l, const char *path, const char *text)
{
    struct loader before = *l;
    point_at(l, path);
    size_t mark = path_push(l, str_from(path));
    loader_complain(l, "%s", text);
    path_pop(l, mark);
    l->place = before.place;
    l->line = before.line;
    return false;
}

/* Of entry i of a list: "endpoints[2].path". */
static bool complain_of_entry(struct loader *l, const char *list, size_t i, unsigned line,
                              const char *field, const char *text)
{
    char path[PATH_TEXT_MAX];
    struct loader before = *l;
    point_at(l, list);
    l->line = line;
    snprintf(path, sizeof(path), "%s[%zu]%s%s", list, i, *field ? "." : "", field);
    size_t mark = path_push(l, str_from(path));
    loader_complain(l, "%s", text);
    path_pop(l, mark);
    l->place = before.place;
    l->line = before.line;
    return false;
}

static void warn_at(struct loader *l, const char *path, const char *text)
{
    struct loader before = *l;
    point_at(l, path);
    size_t mark = path_push(l, str_from(path));
    loader_warn(l, "%s", text);
    path_pop(l, mark);
    l->place = before.place;
    l->line = before.line;
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

static void judge_listener(struct loader *l, const char *path, size_t i,
                           const struct config_listener *at)
{
    struct listen_addr parsed;
    const char *why = "";
    char text[EXPLANATION_MAX];
    if (at->address.n == 0) {
        complain_of_entry(l, path, i, at->line, "address", "an address is wanted");
    } else if (!listen_addr_parse(at->address, &parsed, &why)) {
        snprintf(text, sizeof(text), "\"%.*s\": %s", STR_FMT(at->address), why);
        complain_of_entry(l, path, i, at->line, "", text);
    }
    if (!tls_is_whole(&at->tls))
        complain_of_entry(l, path, i, at->line, "tls", "cert and key belong together");
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

static void refuse_open(struct loader *l, const char *path, size_t i,
                        const struct config_listener *open)
{
    const struct config *c = l->config;
    char text[EXPLANATION_MAX];
    const char *missing = "auth.hmac_secret and auth.api_keys";
    if (has_token_key(c))
        missing = "auth.api_keys";
    else if (c->auth.api_keys.count > 0)
        missing = "auth.hmac_secret (or a public key)";
    snprintf(text, sizeof(text),
             "%.*s can be reached from other machines: set %s first, or listen on 127.0.0.1, or "
             "allow it with --insecure",
             STR_FMT(open->address), missing);
    complain_of_entry(l, path, i, open->line, "", text);
}

static void judge_listeners(struct loader *l, const char *path, const struct config_listeners *list)
{
    const struct config *c = l->config;
    bool guarded = has_token_key(c) && c->auth.api_keys.count > 0;
    for (size_t i = 0; i < list->count; i++)
        judge_listener(l, path, i, &list->items[i]);
    const struct config_listener *open = find_open(list);
    if (open != NULL && !guarded && !c->auth.insecure)
        refuse_open(l, path, (size_t)(open - list->items), open);
}

static void judge_auth(struct loader *l)
{
    const struct config *c = l->config;
    if (c->auth.require_token == REQUIRE_YES && !has_token_key(c))
        complain_at(l, "auth.require_token", NO_TOKEN_KEY);
    if (c->auth.hmac_secret.n > 0 && c->auth.hmac_secret.n < SECRET_SHORT_BYTES)
        warn_at(l, "auth.hmac_secret", "shorter than 32 bytes: it can be guessed");
    if (c->auth.hmac_secret.n > 1024)
        complain_at(l, "auth.hmac_secret", "longer than 1024 bytes");
    for (size_t i = 0; i < c->auth.api_keys.count; i++) {
        if (c->auth.api_keys.items[i].n == 0)
            complain_at(l, "auth.api_keys", "a key is empty");
    }
    if (c->auth.default_tenant.n == 0)
        complain_at(l, "auth.default_tenant", "a tenant's name is not empty");
}

/* What is wrong with the list, or NULL. */
static const char *judge_origins(const struct str_list *origins)
{
    for (size_t i = 0; i < origins->count; i++) {
        struct str o = origins->items[i];
        bool ok = str_eq(o, STR("*")) || str_eq(o, STR("null")) || str_find(o, STR("://")) < o.n;
        if (!ok)
            return "an origin is \"*\" or like https://app.example";
        if (o.p[o.n - 1] == '/')
            return "an origin has no / at its end";
    }
    return NULL;
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
                                        {"postgresql://", 13}, {"memory", 6}};
    static const struct str clusters[] = {{"redis://", 8}, {"rediss://", 9}};
    static const struct str webs[] = {{"http://", 7}, {"https://", 8}};
    const struct config *c = l->config;
    if (c->store.n > 0 && !scheme_is(c->store, stores, sizeof(stores) / sizeof(stores[0])))
        complain_at(l, "store", "write it as sqlite:FILE, mysql://.., postgres://.. or memory");
    if (!str_eq(c->cluster, STR("local")) && !scheme_is(c->cluster, clusters, 2))
        complain_at(l, "cluster", "write it as local or redis://HOST:6379/0");
    struct redis_address redis;
    const char *why;
    if (c->bridge.redis.n > 0 && !redis_address_parse(c->bridge.redis, &redis, &why))
        complain_at(l, "bridge.redis", why);
    if (!str_eq(c->bridge.tenant, STR("*")) && !tenant_name_ok(c->bridge.tenant))
        complain_at(l, "bridge.tenant", "must be at most 255 bytes of printable UTF-8");
    const struct {
        const char *key;
        struct str url;
    } called[] = {{"llm.url", c->llm.url},
                  {"socketio.backend", c->dialects.socketio.backend},
                  {"conductor.backend", c->dialects.conductor.backend}};
    for (size_t i = 0; i < sizeof(called) / sizeof(called[0]); i++) {
        if (called[i].url.n > 0 && !scheme_is(called[i].url, webs, 2))
            complain_at(l, called[i].key, "write it as http://.. or https://..");
    }
}

/* What is wrong with it, or NULL. */
static const char *judge_tenant_from(struct config_endpoint *e)
{
    struct str from = e->tenant_from;
    e->tenant_query = (struct str){from.p + from.n, 0};
    if (str_starts(from, STR("query.")) && from.n > STR("query.").n) {
        e->tenant_query = str_skip(from, STR("query.").n);
        return NULL;
    }
    if (from.n == 0 || str_eq(from, STR("claim")) || str_eq(from, STR("fixed")))
        return NULL;
    return "write it as fixed, claim or query.NAME";
}

static bool path_came_before(const struct config_endpoints *list, size_t i)
{
    for (size_t before = 0; before < i; before++) {
        if (str_eq(list->items[before].path, list->items[i].path))
            return true;
    }
    return false;
}

static void judge_endpoint(struct loader *l, struct config_endpoints *list, size_t i)
{
    struct config_endpoint *e = &list->items[i];
    const char *tenant = judge_tenant_from(e), *origins = judge_origins(&e->origins);
    if (!str_starts(e->path, STR("/")))
        complain_of_entry(l, "endpoints", i, e->line, "path", "a path begins with /");
    else if (path_came_before(list, i))
        complain_of_entry(l, "endpoints", i, e->line, "path", "this path is there twice");
    if (e->dialect.n == 0)
        complain_of_entry(l, "endpoints", i, e->line, "dialect", "a dialect is wanted");
    if (e->auth == ENDPOINT_REQUIRED && !has_token_key(l->config))
        complain_of_entry(l, "endpoints", i, e->line, "auth", NO_TOKEN_KEY);
    if (tenant != NULL)
        complain_of_entry(l, "endpoints", i, e->line, "tenant_from", tenant);
    if (origins != NULL)
        complain_of_entry(l, "endpoints", i, e->line, "origins", origins);
}

static void judge_namespace(struct loader *l, const struct namespace_options *n)
{
    if (memchr(n->name.p, ':', n->name.n) != NULL)
        loader_complain(l, "a namespace's name has no colon");
    if (n->options.durable && n->options.history_count == 0)
        loader_complain(l, "durable needs a history");
    if (n->options.join_leave && !n->options.presence)
        loader_complain(l, "join_leave needs presence");
}

static void judge_namespaces(struct loader *l)
{
    const struct config *c = l->config;
    struct loader before = *l;
    point_at(l, "namespaces");
    for (size_t i = 0; i < c->policy.namespace_count; i++) {
        size_t mark = path_push(l, STR("namespaces"));
        path_push(l, c->policy.namespaces[i].name);
        l->line = c->namespaces[i].line;
        judge_namespace(l, &c->policy.namespaces[i]);
        path_pop(l, mark);
    }
    l->place = before.place;
    l->line = before.line;
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
    const char *origins = judge_origins(&c->auth.origins);
    if (c->listen.count == 0)
        complain_at(l, "listen", "an address is wanted");
    judge_listeners(l, "listen", &c->listen);
    judge_listeners(l, "internal_listen", &c->internal_listen);
    if (!tls_is_whole(&c->tls))
        complain_at(l, c->tls.cert.n ? "tls.cert" : "tls.key", "cert and key belong together");
    judge_auth(l);
    if (origins != NULL)
        complain_at(l, "auth.origins", origins);
    judge_urls(l);
    for (size_t i = 0; i < c->endpoints.count; i++)
        judge_endpoint(l, &c->endpoints, i);
    judge_namespaces(l);
    if (c->websocket.heartbeat_timeout_ms <= c->websocket.heartbeat_interval_ms)
        complain_at(l, "websocket.heartbeat_timeout",
                    "must be longer than websocket.heartbeat_interval");
    decide_log(c);
}

bool config_token_required(const struct config *c)
{
    if (c->auth.require_token != REQUIRE_AUTO)
        return c->auth.require_token == REQUIRE_YES;
    return has_token_key(c) && find_open(&c->listen) != NULL;
}
