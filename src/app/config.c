/*
 * config.c - the configuration from all its sources, in their order.
 *
 * Why it exists: file < environment < flags is decided here and nowhere else.
 *
 * Always true: a config that config_load() gave out has every key set, to its default at least,
 * and no fault; whoever reads it checks nothing again.
 */
#include "app/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/config_priv.h"

enum { ENV_NAME_MAX = 128, COMPLAINT_MAX = 512 };

/* A config owns a chain of blocks. */
struct config_memory {
    struct config_memory *next;
    max_align_t bytes[];
};

void *config_alloc(struct config *c, size_t n)
{
    if (n > SIZE_MAX - sizeof(struct config_memory) - 1)
        return NULL;
    struct config_memory *m = calloc(1, sizeof(*m) + n + 1);
    if (m == NULL)
        return NULL;
    m->next = c->memory;
    c->memory = m;
    return m->bytes;
}

bool config_copy(struct config *c, struct str s, struct str *ret)
{
    char *p = config_alloc(c, s.n + 1);
    if (p == NULL)
        return false;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    *ret = (struct str){p, s.n};
    return true;
}

void config_destroy(struct config **cp)
{
    struct config *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    while (c->memory != NULL) {
        struct config_memory *m = c->memory;
        c->memory = m->next;
        free(m);
    }
    free(c);
}

static void message_add(struct loader *l, const char *kind, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void message_add(struct loader *l, const char *kind, const char *format, va_list args)
{
    char text[COMPLAINT_MAX];
    vsnprintf(text, sizeof(text), format, args);
    (void)buf_add_format(l->messages, "%s%.*s", kind, STR_FMT(l->place));
    if (l->line > 0)
        (void)buf_add_format(l->messages, ":%u", l->line);
    if (l->path_len > 0)
        (void)buf_add_format(l->messages, ": %.*s", (int)l->path_len, l->path);
    (void)buf_add_format(l->messages, ": %s\n", text); // past the buffer's end only the count says
}

bool loader_complain(struct loader *l, const char *format, ...)
{
    va_list args;
    l->fault_count++;
    va_start(args, format);
    message_add(l, "", format, args);
    va_end(args);
    return false;
}

void loader_warn(struct loader *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_add(l, "warning: ", format, args);
    va_end(args);
}

size_t path_push(struct loader *l, struct str part)
{
    size_t before = l->path_len;
    size_t dot = before > 0;
    if (part.n + dot < sizeof(l->path) - before) {
        if (dot)
            l->path[l->path_len++] = '.';
        if (part.n > 0)
            memcpy(l->path + l->path_len, part.p, part.n);
        l->path_len += part.n;
    }
    return before;
}

void path_pop(struct loader *l, size_t len)
{
    l->path_len = len;
}

/* ---- the file ---- */

static void load_file(struct loader *l, const char *file)
{
    struct buf text;
    l->origin = ORIGIN_FILE;
    l->place = str_from(file);
    buf_init(&text, CONFIG_FILE_MAX_BYTES);
    if (file_read(l, str_from(file), &text))
        yaml_load(l, buf_str(&text));
    buf_fini(&text);
    l->line = 0;
}

/* ---- the environment ---- */

/* What deployments of the applications already set. Plain numbers there are seconds. */
static const struct {
    struct str env, section, name;
} env_inherited[] = {
    {{"WEBSOCKET_HEARTBEAT_INTERVAL", 28}, {"websocket", 9}, {"heartbeat_interval", 18}},
    {{"WEBSOCKET_TIMEOUT", 17}, {"websocket", 9}, {"heartbeat_timeout", 17}},
    {{"WEBSOCKET_MAX_CONNECTIONS", 25}, {"client", 6}, {"connections_max", 15}},
    {{"WEBSOCKET_MAX_MESSAGE_SIZE", 26}, {"websocket", 9}, {"message_max", 11}},
    {{"JWT_SECRET_KEY", 14}, {"auth", 4}, {"hmac_secret", 11}},
    {{"CORS_ORIGINS", 12}, {"auth", 4}, {"origins", 7}},
    {{"LM_STUDIO_URL", 13}, {"llm", 3}, {"url", 3}},
};

/* Of the client commands, and of where the file is. */
static const struct str env_not_keys[] = {
    {"RECADO_CONFIG", 13}, {"RECADO_SERVER", 13}, {"RECADO_API_KEY", 14},
    {"RECADO_TOKEN", 12},  {"RECADO_TENANT", 13},
};

/* NULL: not set. */
static const char *env_find(char *const *env, struct str name)
{
    for (; env != NULL && *env != NULL; env++) {
        struct str entry = str_from(*env);
        struct str key = str_cut(&entry, '=');
        if (str_eq(key, name))
            return *env + key.n + (strlen(*env) > key.n);
    }
    return NULL;
}

const char *config_file_default(char *const *env)
{
    const char *file = env_find(env, STR("RECADO_CONFIG"));
    return file != NULL && *file != '\0' ? file : NULL;
}

/* A value from outside the file; lists and tables may be YAML (and so JSON) as well. */
static void set_text(struct loader *l, const struct config_key *k, struct str text)
{
    bool table = k->type == KEY_NAMESPACES || k->type == KEY_ENDPOINTS;
    bool list = key_is_list(k) && text.n > 1 && text.p[0] == '[' && text.p[text.n - 1] == ']';
    l->config->origins[k - config_keys] = (unsigned char)l->origin;
    l->key_lines[k - config_keys] = 0;
    if (table || list)
        yaml_load_value(l, k, text);
    else
        value_set(l, k, l->config, text);
}

static void load_env_inherited(struct loader *l, char *const *env)
{
    for (size_t i = 0; i < sizeof(env_inherited) / sizeof(env_inherited[0]); i++) {
        const struct config_key *k =
            key_find(SCOPE_CONFIG, env_inherited[i].section, env_inherited[i].name);
        const char *value = env_find(env, env_inherited[i].env);
        char seconds[ENV_NAME_MAX];
        uint64_t number;
        if (value == NULL || *value == '\0')
            continue;
        if (k->type == KEY_DURATION && str_to_u64(str_from(value), &number)) {
            snprintf(seconds, sizeof(seconds), "%llus", (unsigned long long)number);
            value = seconds;
        }
        l->place = env_inherited[i].env;
        set_text(l, k, str_from(value));
    }
}

static void load_env_keys(struct loader *l, char *const *env)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        struct buf name;
        if (k->scope != SCOPE_CONFIG)
            continue;
        buf_init(&name, ENV_NAME_MAX);
        const char *value = key_write_env(k, &name) ? env_find(env, buf_str(&name)) : NULL;
        l->place = buf_str(&name);
        if (value != NULL)
            set_text(l, k, str_from(value));
        buf_fini(&name);
    }
}

static bool env_is_known(struct str name)
{
    bool known = false;
    for (size_t i = 0; i < sizeof(env_not_keys) / sizeof(env_not_keys[0]); i++)
        known |= str_eq(name, env_not_keys[i]);
    for (size_t i = 0; i < config_key_count && !known; i++) {
        struct buf text;
        buf_init(&text, ENV_NAME_MAX);
        known = config_keys[i].scope == SCOPE_CONFIG && key_write_env(&config_keys[i], &text) &&
                str_eq(buf_str(&text), name);
        buf_fini(&text);
    }
    return known;
}

/* A warning even when strict: other programs may use names that begin like ours. */
static void warn_of_unknown_env(struct loader *l, char *const *env)
{
    for (; env != NULL && *env != NULL; env++) {
        struct str entry = str_from(*env);
        l->place = str_cut(&entry, '=');
        if (str_starts(l->place, STR("RECADO_")) && !env_is_known(l->place))
            loader_warn(l, "unknown variable: no key has this name");
    }
}

static void load_env(struct loader *l, char *const *env)
{
    l->origin = ORIGIN_ENV;
    load_env_inherited(l, env);
    load_env_keys(l, env);
    warn_of_unknown_env(l, env);
}

/* ---- flags ---- */

static const struct {
    struct str flag, path;
} flag_aliases[] = {
    {{"data", 4}, {"data_dir", 8}},
    {{"insecure", 8}, {"auth.insecure", 13}},
};

/* --http.head-max is --http.head_max. */
static bool flag_is(struct str flag, struct str path)
{
    if (flag.n != path.n)
        return false;
    for (size_t i = 0; i < flag.n; i++) {
        if (flag.p[i] != path.p[i] && !(flag.p[i] == '-' && path.p[i] == '_'))
            return false;
    }
    return true;
}

static const struct config_key *flag_key(struct str flag)
{
    for (size_t i = 0; i < sizeof(flag_aliases) / sizeof(flag_aliases[0]); i++) {
        if (str_eq(flag, flag_aliases[i].flag))
            flag = flag_aliases[i].path;
    }
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].scope == SCOPE_CONFIG && flag_is(flag, config_keys[i].path))
            return &config_keys[i];
    }
    return NULL;
}

/* "--listen A --listen B" is a list of two: the values of one key, with commas. */
static void flag_collect(const struct config_source *source, size_t i, struct buf *out)
{
    struct str key = str_from(source->flags[i].key);
    for (; i < source->flag_count; i++) {
        if (!str_eq(str_from(source->flags[i].key), key) || source->flags[i].value == NULL)
            continue;
        if (out->len > 0)
            (void)buf_add_char(out, ',');
        (void)buf_add(out, str_from(source->flags[i].value));
    }
}

static bool flag_came_before(const struct config_source *source, size_t i)
{
    for (size_t before = 0; before < i; before++) {
        if (str_eq(str_from(source->flags[before].key), str_from(source->flags[i].key)))
            return true;
    }
    return false;
}

static void load_flag(struct loader *l, const struct config_source *source, size_t i)
{
    const struct config_flag *f = &source->flags[i];
    const struct config_key *k = flag_key(str_from(f->key));
    size_t mark = path_push(l, str_from(f->key));
    if (k == NULL) {
        loader_complain(l, "there is no such key");
    } else if (f->value == NULL) {
        loader_complain(l, "a value is missing");
    } else if (!key_is_list(k)) {
        set_text(l, k, str_from(f->value));
    } else if (!flag_came_before(source, i)) {
        struct buf all;
        buf_init(&all, CONFIG_FILE_MAX_BYTES);
        flag_collect(source, i, &all);
        set_text(l, k, buf_str(&all));
        buf_fini(&all);
    }
    path_pop(l, mark);
}

static void load_flags(struct loader *l, const struct config_source *source)
{
    l->origin = ORIGIN_FLAG;
    l->place = STR("command line");
    if (source->flag_count > CONFIG_FLAGS_MAX) {
        loader_complain(l, "more than %d settings", CONFIG_FLAGS_MAX);
        return;
    }
    for (size_t i = 0; i < source->flag_count; i++)
        load_flag(l, source, i);
}

bool config_flag_take(int argc, char **argv, int *i, struct config_flag *ret)
{
    struct str arg = str_from(argv[*i]);
    if (!str_starts(arg, STR("--")))
        return false;
    const char *equals = strchr(argv[*i], '=');
    struct str name = {arg.p + 2, (equals ? (size_t)(equals - arg.p) : arg.n) - 2};
    const struct config_key *k = flag_key(name);
    if (k == NULL)
        return false;
    ret->key = k->path.p;
    if (equals != NULL)
        ret->value = equals + 1;
    else if (k->type == KEY_BOOL)
        ret->value = "true";
    else
        ret->value = *i + 1 < argc ? argv[++*i] : NULL;
    ++*i;
    return true;
}

/* ---- all of it ---- */

static bool namespaces_finish(struct loader *l)
{
    struct config *c = l->config;
    size_t n = l->draft_count;
    struct namespace_options *options = config_alloc(c, n * sizeof(*options));
    c->namespaces = config_alloc(c, n * sizeof(*c->namespaces));
    if (options == NULL || c->namespaces == NULL)
        return loader_complain(l, "out of memory");
    for (size_t i = 0; i < n; i++) {
        options[i] = (struct namespace_options){l->drafts[i].name, l->drafts[i].options};
        c->namespaces[i] = l->drafts[i].more;
    }
    c->policy.namespaces = options;
    c->policy.namespace_count = n;
    return true;
}

static bool draft_exists(const struct loader *l, struct str name)
{
    for (size_t i = 0; i < l->draft_count; i++) {
        if (str_eq(l->drafts[i].name, name))
            return true;
    }
    return false;
}

/* The hub finds options for every channel: "" and "*" are always there. */
static void namespaces_complete(struct loader *l)
{
    const struct str always[] = {STR(""), STR("*")};
    for (size_t i = 0; i < 2; i++) {
        if (draft_exists(l, always[i]))
            continue;
        struct namespace_draft *d = &l->drafts[l->draft_count++];
        *d = (struct namespace_draft){.name = always[i]};
        values_default(l, SCOPE_NAMESPACE, d);
    }
}

static void load_sources(struct loader *l, const struct config_source *source)
{
    l->place = STR("defaults");
    values_default(l, SCOPE_CONFIG, l->config);
    if (source->file != NULL) {
        load_file(l, source->file);
        config_copy(l->config, str_from(source->file), &l->config->file);
    }
    load_env(l, source->env);
    load_flags(l, source);
    l->place = STR("configuration");
    namespaces_complete(l);
    if (namespaces_finish(l))
        config_judge(l);
}

static struct config *config_create(void)
{
    struct config *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->origins = config_alloc(c, config_key_count);
    if (c->origins == NULL || !config_copy(c, STR(""), &c->file))
        config_destroy(&c);
    return c;
}

bool config_load(const struct config_source *source, struct config **ret, struct buf *messages)
{
    struct loader l = {.config = config_create(), .messages = messages, .strict = source->strict};
    l.drafts = calloc(CONFIG_NAMESPACES_MAX + 2, sizeof(*l.drafts));
    l.key_lines = calloc(config_key_count, sizeof(*l.key_lines));
    if (l.config != NULL && l.drafts != NULL && l.key_lines != NULL)
        load_sources(&l, source);
    else
        loader_complain(&l, "out of memory");
    free(l.key_lines);
    free(l.drafts);
    if (l.fault_count > 0) {
        config_destroy(&l.config);
        return false;
    }
    *ret = l.config;
    return true;
}
