/*
 * config_table.c - the table of keys, made from config.def, and how keys are found in it.
 *
 * Why it exists: everything that has to know which keys there are asks here.
 *
 * Always true: the table is constant, and its order is the order of people's files.
 */
#include "app/cli.h"
#include "app/config_priv.h"

enum { KEYS_MAX = 256 };

#define SCOPE_TYPE_CONFIG    struct config
#define SCOPE_TYPE_LISTENER  struct config_listener
#define SCOPE_TYPE_NAMESPACE struct namespace_draft
#define SCOPE_TYPE_ENDPOINT  struct config_endpoint

#define KIB    1024ull
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define MINUTE 60000ull
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define STRING              .type = KEY_STRING
#define URL                 .type = KEY_URL
#define SECRET              .type = KEY_SECRET
#define PEM                 .type = KEY_PEM
#define BOOL                .type = KEY_BOOL
#define CHOICE(words)       .type = KEY_CHOICE, .choices = {words, sizeof(words) - 1}
#define INT(low, high)      .type = KEY_INT, .least = low, .most = high
#define DURATION(low, high) .type = KEY_DURATION, .least = low, .most = high
#define BYTES(low, high)    .type = KEY_BYTES, .least = low, .most = high
#define NUMBER(low, high)   .type = KEY_NUMBER, .least = low, .most = high
#define LIST                .type = KEY_LIST
#define SECRET_LIST         .type = KEY_SECRET_LIST
#define LISTENERS           .type = KEY_LISTENERS
#define NAMESPACES          .type = KEY_NAMESPACES
#define ENDPOINTS           .type = KEY_ENDPOINTS

const struct config_key config_keys[] = {
#define KEY(in, part, word, kind, field, standard, text)                                           \
    {.scope = SCOPE_##in,                                                                          \
     kind,                                                                                         \
     .section = {part, sizeof(part) - 1},                                                          \
     .name = {word, sizeof(word) - 1}, /* without the dot when there is no section */              \
     .path = {&(part "." word)[sizeof(part) == 1],                                                 \
              sizeof(part "." word) - 1 - (sizeof(part) == 1)},                                    \
     .offset = offsetof(SCOPE_TYPE_##in, field),                                                   \
     .size = sizeof(((SCOPE_TYPE_##in *)0)->field),                                                \
     .value = standard,                                                                            \
     .doc = text},
#include "app/config.def"
#undef KEY
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);
_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= KEYS_MAX, "key_suggest() sees all");

const struct config_key *key_find(enum key_scope scope, struct str section, struct str name)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope == scope && str_eq(k->section, section) && str_eq(k->name, name))
            return k;
    }
    return NULL;
}

bool key_has_section(enum key_scope scope, struct str section)
{
    for (size_t i = 0; section.n > 0 && i < config_key_count; i++) {
        if (config_keys[i].scope == scope && str_eq(config_keys[i].section, section))
            return true;
    }
    return false;
}

struct str key_suggest(enum key_scope scope, struct str section, const char *name)
{
    const char *names[KEYS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < config_key_count && n < KEYS_MAX; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope == scope && str_eq(k->section, section))
            names[n++] = k->name.p;
        else if (k->scope == scope && section.n == 0)
            names[n++] = k->section.p;
    }
    names[n] = NULL;
    return str_from(cli_nearest(name, names));
}

static bool add_upper(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!buf_add_char(out, c >= 'a' && c <= 'z' ? (char)(c - 32) : c))
            return false;
    }
    return true;
}

bool key_write_env(const struct config_key *k, struct buf *out)
{
    return buf_add(out, STR("RECADO_")) && add_upper(out, k->section) &&
           (k->section.n == 0 || buf_add_char(out, '_')) && add_upper(out, k->name);
}

bool key_is_list(const struct config_key *k)
{
    return k->type == KEY_LIST || k->type == KEY_SECRET_LIST || k->type == KEY_LISTENERS;
}

bool key_is_table(const struct config_key *k)
{
    return k->type == KEY_NAMESPACES || k->type == KEY_ENDPOINTS;
}

bool key_begins_section(const struct config_key *k)
{
    if (k->scope != SCOPE_CONFIG || k->section.n == 0)
        return false;
    for (const struct config_key *before = config_keys; before < k; before++) {
        if (before->scope == SCOPE_CONFIG && str_eq(before->section, k->section))
            return false;
    }
    return true;
}
