/*
 * cli_options.c - reads options by a table, and says what is wrong in words.
 *
 * Always true: after CLI_REFUSED a reason stands on standard error that names the option.
 */
#include "app/cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { REASON_MAX = 2048 };

static void print_reason(const struct cli_spec *spec, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void print_reason(const struct cli_spec *spec, const char *format, va_list args)
{
    fflush(stdout);
    fprintf(stderr, "recado %s: ", spec->command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_refuse(const struct cli_spec *spec, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_reason(spec, format, args);
    va_end(args);
    fprintf(stderr, "Try: recado %s --help\n", spec->command);
    return CLI_WRONG;
}

int cli_fail(const struct cli_spec *spec, const char *format, ...)
{
    char text[REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "recado %s: ", spec->command);
    cli_write_safe(stderr, str_from(text)); // what servers say may be in it
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_parsed_exit(enum cli_parsed p)
{
    return p == CLI_HELPED ? CLI_DONE : CLI_WRONG;
}

/* ---- the nearest name ---- */

enum { NEAR_LEN_MAX = 32 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* How many letters must be changed, added or removed. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NEAR_LEN_MAX + 1];
    size_t an = strlen(a), bn = strlen(b);
    if (an > NEAR_LEN_MAX || bn > NEAR_LEN_MAX)
        return NEAR_LEN_MAX;
    for (unsigned j = 0; j <= bn; j++)
        row[j] = j;
    for (unsigned i = 1; i <= an; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= bn; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[bn];
}

const char *cli_nearest(const char *text, const char *const *names)
{
    const char *best = NULL;
    size_t n = strlen(text);
    unsigned least_so_far = n < 4 ? 2 : 3; // two or three wrong letters are another word
    for (; *names != NULL; names++) {
        unsigned d = n >= 2 && strncmp(text, *names, n) == 0 ? 0 : distance(text, *names);
        if (d < least_so_far) {
            least_so_far = d;
            best = *names;
        }
    }
    return best;
}

/* ---- parsing ---- */

static bool read_duration(struct str s, uint64_t *ret)
{
    uint64_t seconds;
    if (!str_to_u64(s, &seconds))
        return str_to_duration_ms(s, ret);
    if (seconds > UINT64_MAX / 1000)
        return false;
    *ret = seconds * 1000;
    return true;
}

static bool add_to_list(struct cli_list *list, const char *value)
{
    if (list->count == CLI_LIST_MAX)
        return false;
    list->items[list->count++] = value;
    return true;
}

/* What the value should have been; NULL: it is good and stored. */
static const char *store(const struct cli_option *o, const char *value)
{
    struct str s = str_from(value);
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->at = true;
        return NULL;
    case CLI_TEXT:
        *(const char **)o->at = value;
        return NULL;
    case CLI_LIST:
        return add_to_list(o->at, value) ? NULL : "given less often";
    case CLI_U64:
        return str_to_u64(s, o->at) ? NULL : "a whole number";
    case CLI_DURATION:
        return read_duration(s, o->at) ? NULL : "a duration such as 500ms, 25s or 1h";
    case CLI_BYTES:
        return str_to_bytes(s, o->at) ? NULL : "a size such as 512, 64KiB or 1MiB";
    }
    return "known";
}

static const struct cli_option *find_long(const struct cli_option *o, struct str name)
{
    for (; o->name != NULL; o++)
        if (str_eq(str_from(o->name), name))
            return o;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *o, char letter)
{
    for (; o->name != NULL; o++)
        if (o->letter != 0 && o->letter == letter)
            return o;
    return NULL;
}

static enum cli_parsed refuse_unknown(const struct cli_spec *spec, const char *arg, struct str name)
{
    const char *names[CLI_LIST_MAX + 1];
    char text[NEAR_LEN_MAX + 1];
    unsigned n = 0;
    for (const struct cli_option *o = spec->options; o->name != NULL && n < CLI_LIST_MAX; o++)
        names[n++] = o->name;
    names[n] = NULL;
    snprintf(text, sizeof(text), "%.*s", STR_FMT(name));
    const char *near = cli_nearest(text, names);
    if (near != NULL)
        cli_refuse(spec, "unknown option %s; did you mean --%s?", arg, near);
    else
        cli_refuse(spec, "unknown option %s", arg);
    return CLI_REFUSED;
}

static enum cli_parsed take_value(const struct cli_spec *spec, const struct cli_option *o,
                                  const char *value)
{
    if (value == NULL && o->kind != CLI_FLAG) {
        cli_refuse(spec, "--%s wants a value", o->name);
        return CLI_REFUSED;
    }
    const char *wanted = store(o, value);
    if (wanted == NULL)
        return CLI_GO;
    cli_refuse(spec, "--%s: '%s' should be %s", o->name, value, wanted);
    return CLI_REFUSED;
}

/* One option at argv[*at], which moves to its last word. */
static enum cli_parsed take_option(const struct cli_spec *spec, int argc, char **argv, int *at)
{
    const char *arg = argv[*at];
    bool is_long = arg[1] == '-';
    struct str value = str_from(is_long ? arg + 2 : arg + 1);
    bool joined = is_long && memchr(value.p, '=', value.n) != NULL;
    struct str name = is_long ? str_cut(&value, '=') : value;
    if (str_eq(name, STR("help")) || strcmp(arg, "-h") == 0) {
        fputs(spec->help, stdout);
        return CLI_HELPED;
    }
    const struct cli_option *o = is_long       ? find_long(spec->options, name)
                                 : name.n == 1 ? find_letter(spec->options, name.p[0])
                                               : NULL;
    if (o == NULL)
        return refuse_unknown(spec, arg, name);
    if (joined && o->kind == CLI_FLAG) {
        cli_refuse(spec, "--%s takes no value", o->name);
        return CLI_REFUSED;
    }
    if (joined)
        return take_value(spec, o, value.n > 0 ? value.p : "");
    if (o->kind == CLI_FLAG)
        return take_value(spec, o, NULL);
    if (*at + 1 >= argc)
        return take_value(spec, o, NULL);
    return take_value(spec, o, argv[++*at]);
}

enum cli_parsed cli_parse(const struct cli_spec *spec, int argc, char **argv,
                          struct cli_list *ret_rest)
{
    bool options = true;
    ret_rest->count = 0;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            enum cli_parsed p = take_option(spec, argc, argv, &i);
            if (p != CLI_GO)
                return p;
        } else if (!add_to_list(ret_rest, argv[i])) {
            cli_refuse(spec, "more than %d arguments", CLI_LIST_MAX);
            return CLI_REFUSED;
        }
    }
    return CLI_GO;
}
