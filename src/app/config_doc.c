/*
 * config_doc.c - the table of keys as people read it: a file to begin with, a reference, the help
 * of the flags.
 *
 * Why it exists: documentation that is made from the table cannot be out of date.
 *
 * Always true: every key that can be configured is in each of the three.
 */
#include "app/config_priv.h"

#include "base/json.h"

enum { LINE_WIDTH = 96 };

/* ---- a file to begin with ---- */

static bool write_comment(struct buf *out, struct str text, const char *indent)
{
    size_t room = LINE_WIDTH - strlen(indent) - 2;
    bool ok = true;
    while (text.n > 0 && ok) {
        size_t n = text.n;
        if (n > room) {
            for (n = room; n > 0 && text.p[n] != ' ';)
                n--;
            n = n ? n : room;
        }
        ok = buf_add_format(out, "%s# %.*s\n", indent, (int)n, text.p);
        text = str_skip(text, n + (n < text.n));
    }
    return ok;
}

static bool default_needs_quotes(const struct config_key *k)
{
    return k->type == KEY_STRING || k->type == KEY_URL || k->type == KEY_SECRET ||
           k->type == KEY_PEM || *k->value == '\0';
}

static bool write_default_value(struct buf *out, const struct config_key *k)
{
    struct str value = str_from(k->value);
    if (key_is_list(k))
        return value.n == 0 ? buf_add(out, STR("[]"))
                            : buf_add_char(out, '[') && json_write_string(out, value) &&
                                  buf_add_char(out, ']');
    return default_needs_quotes(k) ? json_write_string(out, value) : buf_add(out, value);
}

static bool write_default_keys(struct buf *out, enum key_scope scope, struct str section,
                               const char *indent)
{
    bool ok = true;
    for (size_t i = 0; i < config_key_count && ok; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope != scope || key_is_table(k) || !str_eq(k->section, section))
            continue;
        ok = write_comment(out, str_from(k->doc), indent) &&
             buf_add_format(out, "%s#%.*s: ", indent, STR_FMT(k->name)) &&
             write_default_value(out, k) && buf_add_char(out, '\n');
    }
    return ok;
}

static bool write_default_tables(struct buf *out)
{
    return write_comment(out, str_from(key_find(SCOPE_CONFIG, STR_NONE, STR("namespaces"))->doc),
                         "") &&
           buf_add(out, STR("namespaces:\n  #\"*\":\n")) &&
           write_default_keys(out, SCOPE_NAMESPACE, STR_NONE, "    ") && buf_add_char(out, '\n') &&
           write_comment(out, str_from(key_find(SCOPE_CONFIG, STR_NONE, STR("endpoints"))->doc),
                         "") &&
           buf_add(out, STR("endpoints:\n"
                            "  #- {path: /echo, dialect: echo}\n"
                            "  #- {path: /ws/acme, dialect: native, tenant: acme}\n"));
}

bool config_write_default(struct buf *out)
{
    bool ok = buf_add(out, STR("# Recado's configuration: every key with its default. Take away "
                               "the # of what you change.\n\n")) &&
              write_default_keys(out, SCOPE_CONFIG, STR_NONE, "");
    for (size_t i = 0; i < config_key_count && ok; i++) {
        if (key_begins_section(&config_keys[i]))
            ok = buf_add_format(out, "\n%.*s:\n", STR_FMT(config_keys[i].section)) &&
                 write_default_keys(out, SCOPE_CONFIG, config_keys[i].section, "  ");
    }
    return ok && buf_add_char(out, '\n') && write_default_tables(out);
}

/* ---- the reference ---- */

static const char *type_name(const struct config_key *k)
{
    static const char *const names[] = {
        [KEY_STRING] = "text",
        [KEY_URL] = "URL",
        [KEY_SECRET] = "secret",
        [KEY_PEM] = "PEM text or file",
        [KEY_BOOL] = "true, false",
        [KEY_CHOICE] = "",
        [KEY_INT] = "",
        [KEY_DURATION] = "",
        [KEY_BYTES] = "",
        [KEY_NUMBER] = "",
        [KEY_LIST] = "list",
        [KEY_SECRET_LIST] = "list of secrets",
        [KEY_LISTENERS] = "list of addresses",
        [KEY_NAMESPACES] = "table",
        [KEY_ENDPOINTS] = "list of endpoints",
    };
    return names[k->type];
}

static bool write_allowed(struct buf *out, const struct config_key *k)
{
    struct str words = k->choices;
    bool ok = true;
    if (k->type == KEY_CHOICE) {
        while (words.n > 0 && ok) {
            ok = buf_add(out, str_cut(&words, '|')) && (words.n == 0 || buf_add(out, STR(", ")));
        }
        return ok;
    }
    if (*type_name(k) != '\0')
        return buf_add(out, str_from(type_name(k)));
    return number_write(out, k->type, k->least) && buf_add(out, STR(" to ")) &&
           number_write(out, k->type, k->most);
}

/* One row of a Markdown table; a bar in the text would end its cell. */
static bool write_row(struct buf *out, const struct config_key *k)
{
    bool ok = buf_add_format(out, "| `%.*s` | ", STR_FMT(k->path)) && write_allowed(out, k) &&
              buf_add(out, STR(" | "));
    if (ok && *k->value != '\0')
        ok = buf_add_format(out, "`%s`", k->value);
    ok = ok && buf_add_format(out, " | %s", k->doc);
    if (ok && k->scope == SCOPE_CONFIG)
        ok = buf_add(out, STR("<br>`")) && key_write_env(k, out) && buf_add_char(out, '`');
    return ok && buf_add(out, STR(" |\n"));
}

static bool write_rows(struct buf *out, enum key_scope scope, struct str section, bool all)
{
    bool ok = buf_add(out, STR("| key | allowed | default | what it does |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < config_key_count && ok; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope == scope && (all || str_eq(k->section, section)))
            ok = write_row(out, k);
    }
    return ok && buf_add_char(out, '\n');
}

bool config_write_reference(struct buf *out)
{
    static const struct str head = {
        "# Configuration\n\n"
        "Made by `recado config doc`. A key's value is its default, unless the file (`recado serve "
        "-c recado.yaml`) says otherwise, unless the environment does, unless a flag does. Every "
        "key is a variable, named below it, and a flag: `--http.head_max=32KiB`. Lists in a "
        "variable are separated by commas; tables are written as JSON. `recado config check` says "
        "what is wrong, with file, line and key; `recado config print` shows what holds.\n\n"
        "Durations are written `500ms`, `25s`, `1h30m`, `7d`; sizes `65536`, `64KiB`, `1MiB`. A "
        "secret may be `file:/path`, and is then what the file holds.\n\n"
        "Read as well, because deployments have them, below the variables named here: "
        "`WEBSOCKET_HEARTBEAT_INTERVAL` (`websocket.heartbeat_interval`, seconds), "
        "`WEBSOCKET_TIMEOUT` (`websocket.heartbeat_timeout`, seconds), "
        "`WEBSOCKET_MAX_CONNECTIONS` (`websocket.connections_max`), `WEBSOCKET_MAX_MESSAGE_SIZE` "
        "(`websocket.message_max`), `JWT_SECRET_KEY` (`auth.hmac_secret`), `CORS_ORIGINS` "
        "(`auth.origins`), `LM_STUDIO_URL` (`llm.url`).\n\n"
        "## The whole\n\n",
        0};
    bool ok = buf_add(out, str_from(head.p)) && write_rows(out, SCOPE_CONFIG, STR_NONE, false);
    for (size_t i = 0; i < config_key_count && ok; i++) {
        if (key_begins_section(&config_keys[i]))
            ok = buf_add_format(out, "## %.*s\n\n", STR_FMT(config_keys[i].section)) &&
                 write_rows(out, SCOPE_CONFIG, config_keys[i].section, false);
    }
    return ok && buf_add(out, STR("## An entry of listen\n\n")) &&
           write_rows(out, SCOPE_LISTENER, STR_NONE, true) &&
           buf_add(out, STR("## An entry of namespaces\n\n")) &&
           write_rows(out, SCOPE_NAMESPACE, STR_NONE, true) &&
           buf_add(out, STR("## An entry of endpoints\n\n")) &&
           write_rows(out, SCOPE_ENDPOINT, STR_NONE, true);
}

/* ---- the help of the flags ---- */

bool config_write_flags_help(struct buf *out)
{
    bool ok = true;
    for (size_t i = 0; i < config_key_count && ok; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope == SCOPE_CONFIG && !key_is_table(k))
            ok = buf_add_format(out, "  --%-38.*s %s\n", STR_FMT(k->path), k->doc);
    }
    return ok;
}
