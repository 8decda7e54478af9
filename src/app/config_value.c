/*
 * config_value.c - from a word that somebody wrote to the field that it sets.
 *
 * Why it exists: file, environment and flags must accept the same words and refuse the same ones.
 *
 * Always true: a word that is refused leaves its field as it was, and the complaint says what would
 * have been accepted.
 */
#include "app/config_priv.h"

#include "base/json.h"

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

static bool write_in_units(struct buf *out, uint64_t v, const char *const *names,
                           const uint64_t *factors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v >= factors[i] && v % factors[i] == 0)
            return buf_add_u64(out, v / factors[i]) && buf_add(out, str_from(names[i]));
    }
    return buf_add_u64(out, v);
}

static bool write_duration(struct buf *out, uint64_t ms)
{
    static const char *const names[] = {"d", "h", "m", "s", "ms"};
    static const uint64_t factors[] = {86400000, 3600000, 60000, 1000, 1};
    return write_in_units(out, ms, names, factors, sizeof(names) / sizeof(names[0]));
}

static bool write_bytes(struct buf *out, uint64_t bytes)
{
    static const char *const names[] = {"GiB", "MiB", "KiB"};
    static const uint64_t factors[] = {1 << 30, 1 << 20, 1 << 10};
    return write_in_units(out, bytes, names, factors, sizeof(names) / sizeof(names[0]));
}

bool number_write(struct buf *out, enum key_type type, uint64_t v)
{
    if (type == KEY_DURATION)
        return write_duration(out, v);
    return type == KEY_BYTES ? write_bytes(out, v) : buf_add_u64(out, v);
}

static bool number_parse(enum key_type type, struct str text, uint64_t *ret)
{
    if (type == KEY_DURATION)
        return str_to_duration_ms(text, ret);
    return type == KEY_BYTES ? str_to_bytes(text, ret) : integer_parse(text, ret);
}

static const char *number_wanted(enum key_type type)
{
    if (type == KEY_DURATION)
        return "a duration; write it as 500ms, 25s, 1h30m or 7d";
    return type == KEY_BYTES ? "a size; write it as 65536, 64KiB or 1MiB" : "a whole number";
}

static bool set_number(struct loader *l, const struct config_key *k, void *field, struct str text)
{
    uint64_t v;
    if (!number_parse(k->type, text, &v))
        return loader_complain(l, "\"%.*s\" is not %s", STR_FMT(shown(text)),
                               number_wanted(k->type));
    if (v >= k->least && v <= k->most) {
        put_number(k, field, v);
        return true;
    }
    struct buf least, most;
    buf_init(&least, NUMBER_TEXT_MAX);
    buf_init(&most, NUMBER_TEXT_MAX);
    (void)number_write(&least, k->type, k->least);
    (void)number_write(&most, k->type, k->most);
    loader_complain(l, "%.*s is not allowed: from %.*s to %.*s", STR_FMT(shown(text)),
                    STR_FMT(buf_str(&least)), STR_FMT(buf_str(&most)));
    buf_fini(&least);
    buf_fini(&most);
    return false;
}

/* The table's limits are whole numbers from 0 on. */
static bool set_fraction(struct loader *l, const struct config_key *k, double *field,
                         struct str text)
{
    struct json j;
    double v = -1;
    json_init(&j, text);
    if (text.n > 0 && (!json_read_double(&j, &v) || !json_end(&j)))
        return loader_complain(l, "\"%.*s\" is not a number", STR_FMT(shown(text)));
    if (text.n > 0 && (v < (double)k->least || v > (double)k->most))
        return loader_complain(l, "%.*s is not allowed: from %llu to %llu", STR_FMT(shown(text)),
                               (unsigned long long)k->least, (unsigned long long)k->most);
    *field = v;
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
    case KEY_DURATION:
    case KEY_BYTES:
        return set_number(l, k, field, text);
    case KEY_NUMBER:
        return set_fraction(l, k, field, text);
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
