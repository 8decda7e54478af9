/*
 * config_yaml.c - the file: a YAML document walked along the table of keys.
 *
 * Why it exists: docs/why/yaml.md. In short: people need the line of a wrong key, of all of them.
 *
 * Always true: a node is visited for the key that it sets, so the depth of the walk is the table's
 * and not the document's; aliases cannot multiply it.
 */
#include "app/config_priv.h"

#include <stdlib.h>
#include <yaml.h>

enum { PAIRS_MAX = 256 }; // of one mapping; there may be more namespaces

struct walk {
    struct loader *l;
    yaml_document_t *doc;
};

static yaml_node_t *node_at(struct walk *w, int id)
{
    return yaml_document_get_node(w->doc, id);
}

static struct str node_text(const yaml_node_t *n)
{
    return (struct str){(const char *)n->data.scalar.value, n->data.scalar.length};
}

/* A variable's value has lines, but nobody counts them. */
static unsigned line_of(const struct loader *l, yaml_mark_t mark)
{
    return l->origin == ORIGIN_FILE ? (unsigned)mark.line + 1 : 0;
}

static void go_to(struct walk *w, const yaml_node_t *n)
{
    w->l->line = line_of(w->l, n->start_mark);
}

static bool node_is_null(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct str s = node_text(n);
    return s.n == 0 || str_eq(s, STR("~")) || str_eq(s, STR("null"));
}

static bool node_is_plain_text(struct walk *w, const yaml_node_t *n)
{
    if (n->type == YAML_SCALAR_NODE)
        return memchr(n->data.scalar.value, '\0', n->data.scalar.length) == NULL ||
               loader_complain(w->l, "a zero byte in the text");
    return loader_complain(w->l, "one value is wanted here, not a %s",
                           n->type == YAML_MAPPING_NODE ? "mapping" : "list");
}

static bool node_is_mapping(struct walk *w, const yaml_node_t *n, int most)
{
    if (n->type != YAML_MAPPING_NODE)
        return loader_complain(w->l, "a mapping (key: value) is wanted here");
    if (n->data.mapping.pairs.top - n->data.mapping.pairs.start > most)
        return loader_complain(w->l, "more than %d keys", most);
    return true;
}

static bool key_came_before(struct walk *w, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
    struct str key = node_text(node_at(w, pair->key));
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *k = node_at(w, p->key);
        if (k->type == YAML_SCALAR_NODE && str_eq(node_text(k), key))
            return true;
    }
    return false;
}

/* Whether the pair's key can be used; *ret is its text. */
static bool pair_key(struct walk *w, const yaml_node_t *map, const yaml_node_pair_t *pair,
                     struct str *ret)
{
    const yaml_node_t *key = node_at(w, pair->key);
    go_to(w, key);
    if (!node_is_plain_text(w, key))
        return false;
    *ret = node_text(key);
    if (key_came_before(w, map, pair))
        return loader_complain(w->l, "\"%.*s\" is there twice", STR_FMT(*ret));
    return true;
}

static void unknown_key(struct walk *w, enum key_scope scope, struct str section, struct str name)
{
    struct str like = key_suggest(scope, section, name.p); // libyaml ends its texts with a zero
    struct str hint = like.n ? STR("; did you mean ") : STR("; see recado config default");
    if (w->l->strict)
        loader_complain(w->l, "unknown key%.*s%.*s", STR_FMT(hint), STR_FMT(like));
    else
        loader_warn(w->l, "unknown key%.*s%.*s", STR_FMT(hint), STR_FMT(like));
}

static void walk_value(struct walk *w, const struct config_key *k, void *base, yaml_node_t *n);

/* One mapping of a scope: known keys are set, known sections entered, the rest complained about. */
static void walk_mapping(struct walk *w, yaml_node_t *map, enum key_scope scope, struct str section,
                         void *base)
{
    if (node_is_null(map) || !node_is_mapping(w, map, PAIRS_MAX))
        return;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        struct str name;
        if (!pair_key(w, map, p, &name))
            continue;
        size_t mark = path_push(w->l, name);
        const struct config_key *k = key_find(scope, section, name);
        yaml_node_t *value = node_at(w, p->value);
        if (k != NULL) {
            go_to(w, value);
            walk_value(w, k, base, value);
        } else if (section.n == 0 && key_has_section(scope, name)) {
            walk_mapping(w, value, scope, name, base);
        } else {
            unknown_key(w, scope, section, name);
        }
        path_pop(w->l, mark);
    }
}

static void index_push(struct walk *w, size_t i)
{
    struct loader *l = w->l;
    int n = snprintf(l->path + l->path_len, sizeof(l->path) - l->path_len, "[%zu]", i);
    if (n > 0 && (size_t)n < sizeof(l->path) - l->path_len)
        l->path_len += (size_t)n;
}

static size_t sequence_count(const yaml_node_t *n)
{
    return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

static void walk_list(struct walk *w, const struct config_key *k, void *base, yaml_node_t *n)
{
    struct str items[CONFIG_LIST_MAX];
    size_t count = sequence_count(n);
    if (count > CONFIG_LIST_MAX) {
        loader_complain(w->l, "more than %d entries", CONFIG_LIST_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *item = node_at(w, n->data.sequence.items.start[i]);
        size_t mark = w->l->path_len;
        index_push(w, i);
        go_to(w, item);
        bool ok = node_is_plain_text(w, item);
        path_pop(w->l, mark);
        if (!ok)
            return;
        items[i] = node_text(item);
    }
    value_set_list(w->l, k, base, items, count);
}

/* Entry i of a list of mappings, into base. */
static void walk_entry(struct walk *w, yaml_node_t *item, size_t i, enum key_scope scope,
                       void *base)
{
    size_t mark = w->l->path_len;
    index_push(w, i);
    go_to(w, item);
    if (values_default(w->l, scope, base))
        walk_mapping(w, item, scope, STR_NONE, base);
    path_pop(w->l, mark);
}

static void *entries_alloc(struct walk *w, yaml_node_t *n, size_t most, size_t size)
{
    size_t count = sequence_count(n);
    void *made = count <= most ? config_alloc(w->l->config, count * size) : NULL;
    if (count > most)
        loader_complain(w->l, "more than %zu entries", most);
    else if (made == NULL)
        loader_complain(w->l, "out of memory");
    return made;
}

static void walk_listeners(struct walk *w, struct config_listeners *field, yaml_node_t *n)
{
    struct config_listener *made = entries_alloc(w, n, CONFIG_LISTENERS_MAX, sizeof(*made));
    if (made == NULL)
        return;
    for (size_t i = 0; i < sequence_count(n); i++) {
        yaml_node_t *item = node_at(w, n->data.sequence.items.start[i]);
        made[i].line = line_of(w->l, item->start_mark);
        if (item->type != YAML_SCALAR_NODE) {
            walk_entry(w, item, i, SCOPE_LISTENER, &made[i]);
            continue;
        }
        go_to(w, item);
        values_default(w->l, SCOPE_LISTENER, &made[i]);
        if (!config_copy(w->l->config, node_text(item), &made[i].address))
            loader_complain(w->l, "out of memory");
    }
    *field = (struct config_listeners){made, sequence_count(n)};
}

static void walk_endpoints(struct walk *w, struct config_endpoints *field, yaml_node_t *n)
{
    if (n->type != YAML_SEQUENCE_NODE) {
        loader_complain(w->l, "a list of {path, dialect, ...} is wanted here");
        return;
    }
    struct config_endpoint *made = entries_alloc(w, n, CONFIG_ENDPOINTS_MAX, sizeof(*made));
    if (made == NULL)
        return;
    for (size_t i = 0; i < sequence_count(n); i++) {
        yaml_node_t *item = node_at(w, n->data.sequence.items.start[i]);
        made[i].line = line_of(w->l, item->start_mark);
        walk_entry(w, item, i, SCOPE_ENDPOINT, &made[i]);
    }
    *field = (struct config_endpoints){made, sequence_count(n)};
}

static struct namespace_draft *draft_add(struct walk *w, struct str name)
{
    struct loader *l = w->l;
    if (str_eq(name, STR("default")))
        name = STR(""); // the words for channels without a colon
    for (size_t i = 0; i < l->draft_count; i++) {
        if (str_eq(l->drafts[i].name, name)) {
            loader_complain(l, "default and \"\" are the same namespace");
            return NULL;
        }
    }
    if (l->draft_count == CONFIG_NAMESPACES_MAX) {
        loader_complain(l, "more than %d namespaces", CONFIG_NAMESPACES_MAX);
        return NULL;
    }
    struct namespace_draft *d = &l->drafts[l->draft_count++];
    *d = (struct namespace_draft){.more.line = l->line};
    if (config_copy(l->config, name, &d->name) && namespace_default(l, d))
        return d;
    loader_complain(l, "out of memory");
    return NULL;
}

static void walk_namespaces(struct walk *w, yaml_node_t *n)
{
    if (!node_is_mapping(w, n, CONFIG_NAMESPACES_MAX))
        return;
    w->l->draft_count = 0;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        struct str name;
        if (!pair_key(w, n, p, &name))
            continue;
        size_t mark = path_push(w->l, name.n ? name : STR("\"\""));
        struct namespace_draft *d = draft_add(w, name);
        if (d != NULL)
            walk_mapping(w, node_at(w, p->value), SCOPE_NAMESPACE, STR_NONE, d);
        path_pop(w->l, mark);
    }
}

static void walk_value(struct walk *w, const struct config_key *k, void *base, yaml_node_t *n)
{
    bool many = n->type == YAML_SEQUENCE_NODE;
    if (k->scope == SCOPE_CONFIG) {
        w->l->config->origins[k - config_keys] = (unsigned char)w->l->origin;
        w->l->key_lines[k - config_keys] = w->l->line;
    }
    if (node_is_null(n))
        return;
    if (k->type == KEY_NAMESPACES)
        walk_namespaces(w, n);
    else if (k->type == KEY_ENDPOINTS)
        walk_endpoints(w, (void *)((char *)base + k->offset), n);
    else if (k->type == KEY_LISTENERS && many)
        walk_listeners(w, (void *)((char *)base + k->offset), n);
    else if (key_is_list(k) && many)
        walk_list(w, k, base, n);
    else if (node_is_plain_text(w, n))
        value_set(w->l, k, base, node_text(n));
}

/* libyaml has no better word for a tab than for any other character. */
static bool line_begins_with_tab(struct str text, unsigned line)
{
    struct str at = STR_NONE;
    for (unsigned i = 0; i < line; i++)
        at = str_cut(&text, '\n');
    while (at.n > 0 && at.p[0] == ' ')
        at = str_skip(at, 1);
    return at.n > 0 && at.p[0] == '\t';
}

static void complain_of_syntax(struct loader *l, const yaml_parser_t *parser, struct str text)
{
    bool known = parser->error == YAML_SCANNER_ERROR || parser->error == YAML_PARSER_ERROR ||
                 parser->error == YAML_COMPOSER_ERROR;
    l->line = known ? line_of(l, parser->problem_mark) : 0;
    if (known && line_begins_with_tab(text, (unsigned)parser->problem_mark.line + 1))
        loader_complain(l, "not YAML: lines are indented with spaces, not with tabs");
    else
        loader_complain(l, "not YAML: %s", parser->problem ? parser->problem : "unreadable");
}

static void yaml_walk(struct loader *l, struct str text, const struct config_key *only)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    unsigned line = l->line;
    if (!yaml_parser_initialize(&parser)) {
        loader_complain(l, "out of memory");
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    if (!yaml_parser_load(&parser, &doc)) {
        complain_of_syntax(l, &parser, text);
        l->line = line;
        yaml_parser_delete(&parser);
        return;
    }
    struct walk w = {l, &doc};
    yaml_node_t *root = yaml_document_get_root_node(&doc); // NULL: an empty document
    if (root != NULL && only != NULL)
        walk_value(&w, only, l->config, root);
    else if (root != NULL)
        walk_mapping(&w, root, SCOPE_CONFIG, STR_NONE, l->config);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    l->line = line;
}

void yaml_load(struct loader *l, struct str text)
{
    yaml_walk(l, text, NULL);
}

void yaml_load_value(struct loader *l, const struct config_key *k, struct str text)
{
    yaml_walk(l, text, k);
}
