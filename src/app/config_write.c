/*
 * config_write.c - the values that hold, as a file that would set them.
 *
 * Why it exists: with three sources, people ask what came out.
 *
 * Always true: a secret is never written.
 */
#include "app/config_priv.h"

#include "base/json.h"

/* ---- values ---- */

static uint64_t number_at(const struct config_key *k, const void *field)
{
    uint64_t wide;
    uint32_t narrow;
    if (k->size == sizeof(wide)) {
        memcpy(&wide, field, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, field, sizeof(narrow));
    return narrow;
}

/* mysql://user:***@host/db */
static bool write_url(struct buf *out, struct str url)
{
    size_t at = str_find(url, STR("@"));
    size_t scheme = str_find(url, STR("://"));
    size_t user = scheme < url.n ? scheme + 3 : url.n;
    size_t colon = user + str_find(str_skip(url, user), STR(":"));
    struct buf masked;
    if (at == url.n || user >= at || colon >= at)
        return json_write_string(out, url);
    buf_init(&masked, url.n + 8);
    bool ok = buf_add(&masked, (struct str){url.p, colon + 1}) && buf_add(&masked, STR("***")) &&
              buf_add(&masked, str_skip(url, at)) && json_write_string(out, buf_str(&masked));
    buf_fini(&masked);
    return ok;
}

static bool write_list(struct buf *out, const struct str_list *list, bool secret)
{
    bool ok = buf_add_char(out, '[');
    for (size_t i = 0; i < list->count && ok; i++) {
        ok = (i == 0 || buf_add(out, STR(", "))) &&
             json_write_string(out, secret ? STR("***") : list->items[i]);
    }
    return ok && buf_add_char(out, ']');
}

static bool write_choice(struct buf *out, struct str words, int value)
{
    for (int i = 0; i < value; i++)
        (void)str_cut(&words, '|');
    return buf_add(out, str_cut(&words, '|'));
}

static bool write_listeners(struct buf *out, const struct config_listeners *list)
{
    bool ok = buf_add_char(out, '[');
    for (size_t i = 0; i < list->count && ok; i++) {
        const struct config_listener *at = &list->items[i];
        ok = (i == 0 || buf_add(out, STR(", "))) && buf_add(out, STR("{address: ")) &&
             json_write_string(out, at->address);
        if (ok && at->tls.cert.n > 0)
            ok = buf_add(out, STR(", tls: {cert: ")) && json_write_string(out, at->tls.cert) &&
                 buf_add(out, STR(", key: ")) && json_write_string(out, at->tls.key) &&
                 buf_add_char(out, '}');
        if (ok && at->plain)
            ok = buf_add(out, STR(", plain: true"));
        ok = ok && buf_add_char(out, '}');
    }
    return ok && buf_add_char(out, ']');
}

static bool write_value(struct buf *out, const struct config_key *k, const void *base)
{
    const void *field = (const char *)base + k->offset;
    switch (k->type) {
    case KEY_STRING:
        return json_write_string(out, *(const struct str *)field);
    case KEY_URL:
        return write_url(out, *(const struct str *)field);
    case KEY_SECRET:
    case KEY_PEM:
        return json_write_string(out, ((const struct str *)field)->n ? STR("***") : STR(""));
    case KEY_BOOL:
        return buf_add(out, *(const bool *)field ? STR("true") : STR("false"));
    case KEY_CHOICE:
        return write_choice(out, k->choices, *(const int *)field);
    case KEY_INT:
    case KEY_DURATION:
    case KEY_BYTES:
        return number_write(out, k->type, number_at(k, field));
    case KEY_NUMBER:
        return *(const double *)field < 0 ? buf_add(out, STR("\"\""))
                                          : json_write_double(out, *(const double *)field);
    case KEY_LIST:
    case KEY_SECRET_LIST:
        return write_list(out, field, k->type == KEY_SECRET_LIST);
    case KEY_LISTENERS:
        return write_listeners(out, field);
    case KEY_NAMESPACES:
    case KEY_ENDPOINTS:
        break;
    }
    return true;
}

/* ---- the effective configuration ---- */

static const char *origin_text(enum origin o)
{
    static const char *const texts[] = {"", "  # file", "  # environment", "  # command line"};
    return texts[o];
}

static bool write_keys_of(struct buf *out, enum key_scope scope, struct str section,
                          const void *base, const char *indent, const unsigned char *origins)
{
    bool ok = true;
    for (size_t i = 0; i < config_key_count && ok; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope != scope || key_is_table(k) || !str_eq(k->section, section))
            continue;
        ok = buf_add_format(out, "%s%.*s: ", indent, STR_FMT(k->name)) &&
             write_value(out, k, base) &&
             buf_add(out, str_from(origins ? origin_text(origins[i]) : "")) &&
             buf_add_char(out, '\n');
    }
    return ok;
}

static bool write_namespaces(struct buf *out, const struct config *c)
{
    bool ok = buf_add(out, STR("namespaces:\n"));
    for (size_t i = 0; i < c->policy.namespace_count && ok; i++) {
        struct namespace_draft d = {.options = c->policy.namespaces[i].options,
                                    .more = c->namespaces[i]};
        ok = buf_add(out, STR("  ")) && json_write_string(out, c->policy.namespaces[i].name) &&
             buf_add(out, STR(":\n")) &&
             write_keys_of(out, SCOPE_NAMESPACE, STR_NONE, &d, "    ", NULL);
    }
    return ok;
}

static bool write_endpoints(struct buf *out, const struct config *c)
{
    bool ok = buf_add(out, c->endpoints.count ? STR("endpoints:\n") : STR("endpoints: []\n"));
    for (size_t i = 0; i < c->endpoints.count && ok; i++) {
        size_t mark = out->len;
        ok = write_keys_of(out, SCOPE_ENDPOINT, STR_NONE, &c->endpoints.items[i], "    ", NULL);
        if (ok)
            out->p[mark + 2] = '-'; // the entry's first line
    }
    return ok;
}

bool config_write_effective(const struct config *c, struct buf *out)
{
    bool ok = write_keys_of(out, SCOPE_CONFIG, STR_NONE, c, "", c->origins);
    for (size_t i = 0; i < config_key_count && ok; i++) {
        if (key_begins_section(&config_keys[i]))
            ok = buf_add_format(out, "%.*s:\n", STR_FMT(config_keys[i].section)) &&
                 write_keys_of(out, SCOPE_CONFIG, config_keys[i].section, c, "  ", c->origins);
    }
    return ok && write_namespaces(out, c) && write_endpoints(out, c);
}
