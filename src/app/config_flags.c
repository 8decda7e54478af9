/*
 * config_flags.c - the configuration's keys as flags of the command line.
 *
 * Always true: the last flag of a key wins; of a list all of them together are the value.
 */
#include "app/cli.h"
#include "app/config_priv.h"

#include <stdio.h>

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
        config_set_text(l, k, str_from(f->value));
    } else if (!flag_came_before(source, i)) {
        struct buf all;
        buf_init(&all, CONFIG_FILE_MAX_BYTES);
        flag_collect(source, i, &all);
        config_set_text(l, k, buf_str(&all));
        buf_fini(&all);
    }
    path_pop(l, mark);
}

void config_load_flags(struct loader *l, const struct config_source *source)
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

/* ---- a flag that is none ---- */

enum { FLAG_TEXT_MAX = 64, FLAGS_MAX = 512 };

/* Who leaves out the section means the key of that name, where there is one. */
static const char *key_named(struct str name)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].scope == SCOPE_CONFIG && flag_is(name, config_keys[i].name))
            return config_keys[i].path.p;
    }
    return NULL;
}

static const char *flag_nearest(struct str name)
{
    const char *names[FLAGS_MAX] = {"config", "help"};
    char text[FLAG_TEXT_MAX];
    size_t n = 2;
    const char *whole = key_named(name);
    if (whole != NULL)
        return whole;
    for (size_t i = 0; i < sizeof(flag_aliases) / sizeof(flag_aliases[0]); i++)
        names[n++] = flag_aliases[i].flag.p;
    for (size_t i = 0; i < config_key_count && n < FLAGS_MAX - 1; i++) {
        if (config_keys[i].scope == SCOPE_CONFIG)
            names[n++] = config_keys[i].path.p;
    }
    snprintf(text, sizeof(text), "%.*s", STR_FMT(name));
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '-' ? '_' : *p;
    return cli_nearest(text, names);
}

bool config_flag_explain(const char *arg, struct buf *out)
{
    struct str name = str_from(arg);
    if (!str_starts(name, STR("--")) || name.n == 2)
        return false;
    struct str rest = str_skip(name, 2);
    name = str_cut(&rest, '=');
    if (name.n >= FLAG_TEXT_MAX)
        name.n = FLAG_TEXT_MAX - 1;
    const char *like = flag_nearest(name);
    (void)(buf_add(out, STR("there is no --")) && buf_add(out, name) &&
           buf_add(out, like != NULL ? STR("; did you mean --") : STR("; see recado config doc")) &&
           buf_add(out, str_from(like)) && buf_add(out, like != NULL ? STR("?") : STR_NONE));
    return true;
}
