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

enum { COMPLAINT_MAX = 512 };

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

/* ---- the environment and flags ---- */

void config_set_text(struct loader *l, const struct config_key *k, struct str text)
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
        options[i].options.ack_memory = l->drafts[i].more.ack == ACK_MEMORY;
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

/* Conversations with a model are kept unless somebody says otherwise. */
bool namespace_default(struct loader *l, struct namespace_draft *d)
{
    if (!values_default(l, SCOPE_NAMESPACE, d))
        return false;
    if (str_eq(d->name, STR("chat"))) {
        d->options.history_count = 1000;
        d->options.history_bytes = 16 << 20;
        d->options.history_ttl_ms = 0;
        d->options.durable = true;
    }
    return true;
}

/* The hub finds options for every channel: "" and "*" are always there, and so is "chat". */
static void namespaces_complete(struct loader *l)
{
    const struct str always[] = {STR(""), STR("*"), STR("chat")};
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (draft_exists(l, always[i]))
            continue;
        struct namespace_draft *d = &l->drafts[l->draft_count++];
        *d = (struct namespace_draft){.name = always[i]};
        namespace_default(l, d);
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
    config_load_env(l, source->env);
    config_load_flags(l, source);
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
    l.drafts = calloc(CONFIG_NAMESPACES_MAX + 3, sizeof(*l.drafts));
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
