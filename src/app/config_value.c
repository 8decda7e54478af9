/*
 * config_value.c - from a word that somebody wrote to the field that it sets.
 *
 * Why it exists: file, environment and flags must accept the same words and refuse the same ones.
 *
 * Always true: a word that is refused leaves its field as it was, and the complaint says what would
 * have been accepted.
 */
#include "app/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { NUMBER_TEXT_MAX = 32, QUOTED_MAX = 80 };

/* Of a wrong value, what fits a line. */
static struct str shown(struct str text)
{
    return text.n > QUOTED_MAX ? (struct str){text.p, QUOTED_MAX} : text;
}

static void put_number(const struct config_key *k, void *field, uint64_t v)
{
    if (k->size == sizeof(uint64_t)) {
        memcpy(field, &v, sizeof(v));
    } else {
        uint32_t narrow = (uint32_t)v; // the table's limits are those of the field
        memcpy(field, &narrow, sizeof(narrow));
    }
}

/* 1_000_000 may be written so. */
static bool integer_parse(struct str text, uint64_t *ret)
{
    char digits[NUMBER_TEXT_MAX];
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '_' && n > 0)
            continue;
        if (n == sizeof(digits))
            return false;
        digits[n++] = text.p[i];
    }
    return str_to_u64((struct str){digits, n}, ret);
}

static bool set_integer(struct loader *l, const struct config_key *k, void *field, struct str text)
{
    uint64_t v;
    if (!integer_parse(text, &v))
        return loader_complain(l, "\"%.*s\" is not a whole number", STR_FMT(shown(text)));
    if (v < k->least || v > k->most)
        return loader_complain(l, "%.*s is not between %llu and %llu", STR_FMT(shown(text)),
                               (unsigned long long)k->least, (unsigned long long)k->most);
    put_number(k, field, v);
    return true;
}

static bool set_duration(struct loader *l, const struct config_key *k, void *field, struct str text)
{
    uint64_t v;
    if (!str_to_duration_ms(text, &v))
        return loader_complain(l, "\"%.*s\" is not a duration; write it as 500ms, 25s, 1h30m or 7d",
                               STR_FMT(shown(text)));
    if (v < k->least || v > k->most)
        return loader_complain(l, "%.*s is not between %llu ms and %llu s", STR_FMT(shown(text)),
                               (unsigned long long)k->least, (unsigned long long)k->most / 1000);
    put_number(k, field, v);
    return true;
}

static bool set_bytes(struct loader *l, const struct config_key *k, void *field, struct str text)
{
    uint64_t v;
    if (!str_to_bytes(text, &v))
        return loader_complain(l, "\"%.*s\" is not a size; write it as 65536, 64KiB or 1MiB",
                               STR_FMT(shown(text)));
    if (v < k->least || v > k->most)
        return loader_complain(l, "%.*s is not between %llu and %llu bytes", STR_FMT(shown(text)),
                               (unsigned long long)k->least, (unsigned long long)k->most);
    put_number(k, field, v);
    return true;
}

static bool set_bool(struct loader *l, void *field, struct str text)
{
    bool *b = field;
    if (str_eq_nocase(text, STR("true")) || str_eq_nocase(text, STR("yes")) ||
        str_eq_nocase(text, STR("on")) || str_eq(text, STR("1")))
        *b = true;
    else if (str_eq_nocase(text, STR("false")) || str_eq_nocase(text, STR("no")) ||
             str_eq_nocase(text, STR("off")) || str_eq(text, STR("0")))
        *b = false;
    else
        return loader_complain(l, "\"%.*s\" is neither true nor false", STR_FMT(shown(text)));
    return true;
}

static bool set_choice(struct loader *l, const struct config_key *k, void *field, struct str text)
{
    struct str words = k->choices;
    for (int i = 0; words.n > 0; i++) {
        if (!str_eq(str_cut(&words, '|'), text))
            continue;
        memcpy(field, &i, sizeof(i));
        return true;
    }
    return loader_complain(l, "\"%.*s\" is none of %.*s", STR_FMT(shown(text)),
                           STR_FMT(k->choices));
}

static bool fd_read(int fd, struct buf *out)
{
    for (;;) {
        if (!buf_reserve(out, 1)) {
            errno = EFBIG;
            return false;
        }
        ssize_t n = read(fd, out->p + out->len, out->cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        out->len += (size_t)n;
    }
}

bool file_read(struct loader *l, struct str name, struct buf *out)
{
    char *z = str_dup(name);
    int fd = z ? open(z, O_RDONLY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fd_read(fd, out);
    int e = errno;
    if (fd >= 0)
        close(fd);
    free(z);
    return ok || loader_complain(l, "cannot read %.*s: %s", STR_FMT(shown(name)), strerror(e));
}

static struct str without_newline(struct str s)
{
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static bool set_string(struct loader *l, struct str *field, struct str text)
{
    return config_copy(l->config, text, field) || loader_complain(l, "out of memory");
}

static bool set_from_file(struct loader *l, struct str *field, struct str name)
{
    struct buf text;
    buf_init(&text, CONFIG_SECRET_FILE_MAX);
    bool ok = file_read(l, name, &text) && set_string(l, field, without_newline(buf_str(&text)));
    buf_fini(&text);
    return ok;
}

static bool set_secret(struct loader *l, struct str *field, struct str text)
{
    if (str_starts(text, STR("file:")))
        return set_from_file(l, field, str_skip(text, 5));
    return set_string(l, field, text);
}

static bool set_pem(struct loader *l, struct str *field, struct str text)
{
    if (text.n == 0 || str_starts(text, STR("-----BEGIN")))
        return set_string(l, field, text);
    return set_from_file(l, field, str_starts(text, STR("file:")) ? str_skip(text, 5) : text);
}

static bool set_listeners(struct loader *l, struct config_listeners *field, const struct str *items,
                          size_t count)
{
    struct config_listener *made = config_alloc(l->config, count * sizeof(*made));
    if (made == NULL)
        return loader_complain(l, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (!values_default(l, SCOPE_LISTENER, &made[i]) ||
            !set_string(l, &made[i].address, items[i]))
            return false;
        made[i].line = l->line;
    }
    *field = (struct config_listeners){made, count};
    return true;
}

bool value_set_list(struct loader *l, const struct config_key *k, void *base,
                    const struct str *items, size_t count)
{
    void *field = (char *)base + k->offset;
    size_t most = k->type == KEY_LISTENERS ? CONFIG_LISTENERS_MAX : CONFIG_LIST_MAX;
    if (count > most)
        return loader_complain(l, "more than %zu entries", most);
    if (k->type == KEY_LISTENERS)
        return set_listeners(l, field, items, count);
    struct str *made = config_alloc(l->config, count * sizeof(*made));
    if (made == NULL)
        return loader_complain(l, "out of memory");
    for (size_t i = 0; i < count; i++) {
        bool ok = k->type == KEY_SECRET_LIST ? set_secret(l, &made[i], items[i])
                                             : set_string(l, &made[i], items[i]);
        if (!ok)
            return false;
    }
    *(struct str_list *)field = (struct str_list){made, count};
    return true;
}

/* "a, b": as a variable, a flag or a lazy line of YAML writes a list. */
static bool set_comma_list(struct loader *l, const struct config_key *k, void *base,
                           struct str text)
{
    struct str items[CONFIG_LISTENERS_MAX];
    size_t n = 0;
    while (text.n > 0) {
        struct str item = str_trim(str_cut(&text, ','));
        if (item.n == 0)
            continue;
        if (n == sizeof(items) / sizeof(items[0]))
            return loader_complain(l, "more than %zu entries between commas", n);
        items[n++] = item;
    }
    return value_set_list(l, k, base, items, n);
}

bool value_set(struct loader *l, const struct config_key *k, void *base, struct str text)
{
    void *field = (char *)base + k->offset;
    switch (k->type) {
    case KEY_STRING:
    case KEY_URL:
        return set_string(l, field, text);
    case KEY_SECRET:
        return set_secret(l, field, text);
    case KEY_PEM:
        return set_pem(l, field, text);
    case KEY_BOOL:
        return set_bool(l, field, text);
    case KEY_CHOICE:
        return set_choice(l, k, field, text);
    case KEY_INT:
        return set_integer(l, k, field, text);
    case KEY_DURATION:
        return set_duration(l, k, field, text);
    case KEY_BYTES:
        return set_bytes(l, k, field, text);
    case KEY_LIST:
    case KEY_SECRET_LIST:
    case KEY_LISTENERS:
        return set_comma_list(l, k, base, text);
    case KEY_NAMESPACES:
    case KEY_ENDPOINTS:
        break;
    }
    return text.n == 0 || loader_complain(l, "a mapping is wanted here");
}

bool values_default(struct loader *l, enum key_scope scope, void *base)
{
    bool ok = true;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->scope == scope)
            ok = value_set(l, k, base, str_from(k->value)) && ok;
    }
    return ok;
}
