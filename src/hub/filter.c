/*
 * filter.c - which publications of a channel a subscriber wants.
 *
 * Why it exists: a client that wants three event types of a busy channel should not be sent the
 * rest. A filter is asked on the subscriber's loop, once for each frame of the log, so it is an
 * array that is walked, and nothing is allocated after birth.
 *
 * Always true: the children of a node stand behind it, each followed by its own; skip is the index
 * behind the last of them.
 */
#include "hub/filter.h"

#include "base/json.h"

#include <stdlib.h>

enum { NODES_MAX = 128, DEPTH_MAX = 16, NUMBER_MAX = 64, TYPES_MAX = 1024 };

enum filter_op {
    OP_EQ,
    OP_NEQ,
    OP_IN,
    OP_NIN,
    OP_EX,
    OP_NEX,
    OP_SW,
    OP_EW,
    OP_CT,
    OP_LT,
    OP_LTE,
    OP_GT,
    OP_GTE,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_NONE
};
static const char *const op_names[OP_NONE] = {"eq", "neq", "in",  "nin", "ex",  "nex", "sw", "ew",
                                              "ct", "lt",  "lte", "gt",  "gte", "and", "or", "not"};

struct filter_node {
    uint16_t op;   // enum filter_op
    uint16_t skip; // index behind it and its children
    uint32_t val_count;
    struct str key;
    struct str val;
    const struct str *vals;
    double number; // of val, for comparisons by size
    bool has_number;
};

struct filter {
    struct filter_node *nodes;
    uint32_t node_count;
    filter_fn *wants; // instead of nodes; NULL: none
    void *ctx;
};

/* ---- making ---- */

struct maker {
    struct filter *filter;
    struct str *vals; // the next free one
    char *text;       // the next free byte for decoded strings
    uint32_t node_max;
    const char *why;
};

static bool fail(struct maker *m, const char *why)
{
    if (m->why == NULL)
        m->why = why;
    return false;
}

static enum filter_op op_find(struct str name)
{
    int op = 0;
    while (op < OP_NONE && !str_eq(name, str_from(op_names[op])))
        op++;
    return (enum filter_op)op;
}

/* Decoded into the filter's own text, which has room for all of the JSON. */
static bool read_text(struct maker *m, struct json *j, struct str *ret)
{
    struct str raw;
    if (!json_read_string_raw(j, &raw))
        return false;
    if (!json_string_decode(raw, m->text, raw.n, ret))
        return fail(m, "tf: a string has half a surrogate pair");
    if (ret->n > 0 && ret->p != m->text)
        memcpy(m->text, ret->p, ret->n);
    ret->p = m->text;
    m->text += ret->n;
    return true;
}

static bool read_vals(struct maker *m, struct json *j, struct filter_node *node)
{
    if (node->vals != NULL)
        return fail(m, "tf: vals is there twice");
    if (!json_array_begin(j))
        return false;
    node->vals = m->vals;
    while (json_array_next(j)) {
        if (!read_text(m, j, m->vals))
            return false;
        m->vals++;
        node->val_count++;
    }
    return j->error == NULL;
}

static bool to_number(struct str s, double *ret)
{
    struct json j;
    if (s.n == 0 || s.n > NUMBER_MAX || s.p[0] == ' ')
        return false;
    json_init(&j, s);
    return json_peek(&j) == JSON_NUMBER && json_read_double(&j, ret) && json_end(&j);
}

static bool check_leaf(struct maker *m, struct filter_node *node)
{
    if (node->key.n == 0)
        return fail(m, "tf: a comparison needs a key");
    bool by_list = node->op == OP_IN || node->op == OP_NIN;
    bool by_none = node->op == OP_EX || node->op == OP_NEX;
    if (by_list && (node->val_count == 0 || node->val.n > 0))
        return fail(m, "tf: in and nin need vals, and no val");
    if (by_none && (node->val_count > 0 || node->val.n > 0))
        return fail(m, "tf: ex and nex take neither val nor vals");
    if (!by_list && !by_none && (node->val.n == 0 || node->val_count > 0))
        return fail(m, "tf: this comparison needs val, and no vals");
    node->has_number = to_number(node->val, &node->number);
    return true;
}

static bool read_node(struct maker *m, struct json *j, unsigned depth);

static bool read_children(struct maker *m, struct json *j, unsigned depth, uint32_t *ret_count)
{
    if (!json_array_begin(j))
        return false;
    while (json_array_next(j)) {
        if (!read_node(m, j, depth + 1))
            return false;
        (*ret_count)++;
    }
    return j->error == NULL;
}

struct node_words {
    struct str op, cmp;
    uint32_t child_count;
};

static bool check_node(struct maker *m, struct filter_node *node, const struct node_words *w)
{
    node->op = (uint16_t)op_find(w->op.n > 0 ? w->op : w->cmp);
    bool joins = node->op >= OP_AND && node->op < OP_NONE;
    if (node->op == OP_NONE || joins != (w->op.n > 0))
        return fail(m, w->op.n > 0 ? "tf: op is none of and, or, not"
                                   : "tf: cmp is none of eq, neq, in, nin, ex, nex, sw, ew, ct, "
                                     "lt, lte, gt, gte");
    if (!joins)
        return w->child_count == 0 ? check_leaf(m, node) : fail(m, "tf: a comparison has no nodes");
    if (w->child_count == 0)
        return fail(m, "tf: and, or, not need nodes");
    if (node->op == OP_NOT && w->child_count != 1)
        return fail(m, "tf: not takes one node");
    return true;
}

static bool read_field(struct maker *m, struct json *j, struct str key, uint32_t at,
                       struct node_words *w, unsigned depth)
{
    struct filter_node *node = &m->filter->nodes[at];
    if (json_peek(j) == JSON_NULL)
        return json_skip(j);
    if (json_key_is(key, STR("op")))
        return read_text(m, j, &w->op);
    if (json_key_is(key, STR("cmp")))
        return read_text(m, j, &w->cmp);
    if (json_key_is(key, STR("key")))
        return read_text(m, j, &node->key);
    if (json_key_is(key, STR("val")))
        return read_text(m, j, &node->val);
    if (json_key_is(key, STR("vals")))
        return read_vals(m, j, node);
    if (json_key_is(key, STR("nodes")))
        return w->child_count == 0 ? read_children(m, j, depth, &w->child_count)
                                   : fail(m, "tf: nodes is there twice");
    return json_skip(j);
}

static bool read_node(struct maker *m, struct json *j, unsigned depth)
{
    struct node_words words = {0};
    struct str key;
    if (depth > DEPTH_MAX)
        return fail(m, "tf: nested too deep");
    if (m->filter->node_count == m->node_max)
        return fail(m, "tf: too many nodes");
    uint32_t at = m->filter->node_count++;
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        if (!read_field(m, j, key, at, &words, depth))
            return false;
    }
    if (j->error != NULL)
        return false;
    m->filter->nodes[at].skip = (uint16_t)m->filter->node_count;
    return check_node(m, &m->filter->nodes[at], &words);
}

static size_t count_of(struct str text, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == c;
    return n;
}

/* One block: the filter, its nodes, its lists, its text. */
static bool maker_init(struct maker *m, size_t node_count, size_t val_count, size_t text_bytes)
{
    size_t nodes_bytes = node_count * sizeof(struct filter_node);
    size_t vals_bytes = val_count * sizeof(struct str);
    struct filter *f = calloc(1, sizeof(struct filter) + nodes_bytes + vals_bytes + text_bytes);
    if (f == NULL)
        return false;
    f->nodes = (struct filter_node *)(f + 1);
    *m = (struct maker){
        .filter = f,
        .vals = (struct str *)(void *)((char *)f->nodes + nodes_bytes),
        .text = (char *)f->nodes + nodes_bytes + vals_bytes,
        .node_max = (uint32_t)node_count,
    };
    return true;
}

struct filter *filter_parse(struct str json, const char **ret_why)
{
    struct maker m;
    struct json j;
    size_t nodes = count_of(json, '{');
    if (nodes > NODES_MAX) {
        *ret_why = "tf: too many nodes";
        return NULL;
    }
    // No more nodes than braces, and no more strings than pairs of quotes.
    if (!maker_init(&m, nodes, count_of(json, '"') / 2 + 1, json.n)) {
        *ret_why = "out of memory";
        return NULL;
    }
    json_init(&j, json);
    if (read_node(&m, &j, 0) && json_end(&j))
        return m.filter;
    *ret_why = m.why != NULL ? m.why : "tf: not a filter in JSON";
    filter_destroy(&m.filter);
    return NULL;
}

struct filter *filter_types(const struct str *types, size_t count)
{
    struct maker m;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += types[i].n;
    if (count > TYPES_MAX || !maker_init(&m, 1, count, bytes))
        return NULL;
    struct filter_node *node = m.filter->nodes;
    *node = (struct filter_node){
        .op = OP_IN, .skip = 1, .key = STR("type"), .vals = m.vals, .val_count = (uint32_t)count};
    for (size_t i = 0; i < count; i++) {
        memcpy(m.text, types[i].p, types[i].n);
        m.vals[i] = (struct str){m.text, types[i].n};
        m.text += types[i].n;
    }
    m.filter->node_count = 1;
    return m.filter;
}

struct filter *filter_call(filter_fn *wants, void *ctx)
{
    struct filter *f = calloc(1, sizeof(*f));
    if (f != NULL)
        *f = (struct filter){.wants = wants, .ctx = ctx};
    return f;
}

void filter_destroy(struct filter **fp)
{
    free(*fp);
    *fp = NULL;
}

/* ---- asking ---- */

/* A tag is compared as it stands: a tag that was written with escapes is decoded first. */
static bool tag_find(const struct publication *p, struct str key, char at[256], struct str *ret)
{
    struct str raw;
    if (str_eq(key, STR("type")) && p->type.n > 0) {
        *ret = p->type;
        return true;
    }
    if (p->tags.n == 0 || !json_find(p->tags, key, &raw) || raw.n < 2 || raw.p[0] != '"')
        return false;
    *ret = (struct str){raw.p + 1, raw.n - 2};
    if (memchr(ret->p, '\\', ret->n) != NULL)
        return json_string_decode(*ret, at, 256, ret);
    return true;
}

static bool list_has(const struct filter_node *node, struct str tag)
{
    for (uint32_t i = 0; i < node->val_count; i++) {
        if (str_eq(node->vals[i], tag))
            return true;
    }
    return false;
}

static bool number_match(const struct filter_node *node, struct str tag)
{
    double v;
    if (!node->has_number || !to_number(tag, &v))
        return false;
    switch (node->op) {
    case OP_LT:
        return v < node->number;
    case OP_LTE:
        return v <= node->number;
    case OP_GT:
        return v > node->number;
    default:
        return v >= node->number;
    }
}

static bool leaf_match(const struct filter_node *node, const struct publication *p)
{
    char at[256];
    struct str tag = STR_NONE;
    bool has = tag_find(p, node->key, at, &tag);
    switch (node->op) {
    case OP_EQ:
        return has && str_eq(tag, node->val);
    case OP_NEQ:
        return !has || !str_eq(tag, node->val);
    case OP_IN:
        return has && list_has(node, tag);
    case OP_NIN:
        return !has || !list_has(node, tag);
    case OP_EX:
        return has;
    case OP_NEX:
        return !has;
    case OP_SW:
        return has && str_starts(tag, node->val);
    case OP_EW:
        return has && tag.n >= node->val.n && str_eq(str_skip(tag, tag.n - node->val.n), node->val);
    case OP_CT:
        return has && str_find(tag, node->val) < tag.n;
    default:
        return has && number_match(node, tag);
    }
}

static bool node_match(const struct filter *f, uint32_t at, const struct publication *p)
{
    const struct filter_node *node = &f->nodes[at];
    if (node->op < OP_AND)
        return leaf_match(node, p);
    if (node->op == OP_NOT)
        return !node_match(f, at + 1, p);
    bool all = node->op == OP_AND;
    for (uint32_t child = at + 1; child < node->skip; child = f->nodes[child].skip) {
        if (node_match(f, child, p) != all)
            return !all;
    }
    return all;
}

bool filter_match(const struct filter *f, const struct publication *p)
{
    return f->wants != NULL ? f->wants(f->ctx, p) : node_match(f, 0, p);
}
