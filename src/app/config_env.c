/*
 * config_env.c - the configuration's keys as environment variables.
 *
 * Always true: every key is RECADO_SECTION_KEY; the names that deployments already have for a few
 * of them come first, so that ours win.
 */
#include <stdio.h>

#include "app/config_priv.h"

enum { ENV_NAME_MAX = 128 };

/* What deployments of the applications already set. Plain numbers there are seconds. */
static const struct {
    struct str env, section, name;
} env_inherited[] = {
    {{"WEBSOCKET_HEARTBEAT_INTERVAL", 28}, {"websocket", 9}, {"heartbeat_interval", 18}},
    {{"WEBSOCKET_TIMEOUT", 17}, {"websocket", 9}, {"heartbeat_timeout", 17}},
    {{"WEBSOCKET_MAX_CONNECTIONS", 25}, {"websocket", 9}, {"connections_max", 15}},
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
        config_set_text(l, k, str_from(value));
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
            config_set_text(l, k, str_from(value));
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

void config_load_env(struct loader *l, char *const *env)
{
    l->origin = ORIGIN_ENV;
    load_env_inherited(l, env);
    load_env_keys(l, env);
    warn_of_unknown_env(l, env);
}
