/*
 * orquestrador_syntax.c - what the original's runtime says about text that is not JSON.
 *
 * Why it exists: the dialect's error frames carry the text of JavaScript's exception, and people
 * read it. The words and positions are those of Node 20; positions count UTF-16 units.
 */
#include "dialect/orquestrador_priv.h"

#include "base/utf8.h"

enum { DEPTH_MAX = 64, CONTEXT_UNITS = 10, CONTEXT_LEAST = 2 * CONTEXT_UNITS + 1 };
/* First bytes from here on begin what Latin-1 does not have. */
enum { LATIN1_END = 0xC4 };

struct scan {
    const char *p, *end, *start;
    const char *what;   // of the error; NULL: none yet
    bool positioned;    // it is followed by where
    bool token;         // it is about what stands at p
    uint64_t in_object; // one bit a level, the innermost is the lowest
    unsigned depth;
};

static bool fail_at(struct scan *s, const char *what)
{
    s->what = what;
    s->positioned = true;
    return false;
}

static bool fail(struct scan *s, const char *what)
{
    s->what = what;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What stands at p has no place there. */
static bool fail_token(struct scan *s)
{
    if (s->p == s->end)
        return fail(s, "Unexpected end of JSON input");
    if (*s->p == '"')
        return fail_at(s, "Unexpected string in JSON");
    if (is_digit(*s->p) || *s->p == '-')
        return fail_at(s, "Unexpected number in JSON");
    s->token = true;
    return fail(s, "Unexpected token '");
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool at(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

/* ---- values ---- */

static bool scan_literal(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->p++) {
        if (!at(s, *word))
            return fail_token(s);
    }
    return true;
}

static bool scan_digits(struct scan *s, const char *missing)
{
    if (s->p == s->end || !is_digit(*s->p))
        return fail_at(s, missing);
    while (s->p < s->end && is_digit(*s->p))
        s->p++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (at(s, '-'))
        s->p++;
    if (at(s, '0')) {
        s->p++;
        if (s->p < s->end && is_digit(*s->p))
            return fail_at(s, "Unexpected number in JSON");
    } else if (!scan_digits(s, "No number after minus sign in JSON")) {
        return false;
    }
    if (at(s, '.')) {
        s->p++;
        if (!scan_digits(s, "Unterminated fractional number in JSON"))
            return false;
    }
    if (at(s, 'e') || at(s, 'E')) {
        s->p++;
        if (at(s, '+') || at(s, '-'))
            s->p++;
        return scan_digits(s, "Exponent part is missing a number in JSON");
    }
    return true;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(struct scan *s)
{
    s->p++;
    if (s->p == s->end)
        return fail_token(s);
    if (*s->p != 'u') {
        if ((unsigned char)*s->p >= LATIN1_END)
            return fail_token(s);
        if (strchr("\"\\/bfnrt", *s->p) == NULL || *s->p == '\0')
            return fail_at(s, "Bad escaped character in JSON");
        s->p++;
        return true;
    }
    s->p++;
    for (int i = 0; i < 4; i++, s->p++) {
        if (s->p == s->end || !is_hex(*s->p))
            return fail_at(s, "Bad Unicode escape in JSON");
    }
    return true;
}

static bool scan_string(struct scan *s)
{
    s->p++;
    while (s->p < s->end && *s->p != '"') {
        if ((unsigned char)*s->p < 0x20)
            return fail_at(s, "Bad control character in string literal in JSON");
        if (*s->p != '\\')
            s->p++;
        else if (!scan_escape(s))
            return false;
    }
    if (s->p == s->end)
        return fail_at(s, "Unterminated string in JSON");
    s->p++;
    return true;
}

/* Reads the key and the colon; first: of its object. */
static bool scan_property(struct scan *s, bool first)
{
    skip_space(s);
    if (!at(s, '"'))
        return fail_at(s, first ? "Expected property name or '}' in JSON"
                                : "Expected double-quoted property name in JSON");
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (at(s, ':')) {
        s->p++;
        return true;
    }
    return first ? fail_at(s, "Expected ':' after property name in JSON") : fail_token(s);
}

/* ---- the whole ---- */

static bool enter(struct scan *s, bool object)
{
    if (s->depth == DEPTH_MAX)
        return fail(s, "nested too deeply for this server: at most 64 levels");
    s->depth++;
    s->in_object = s->in_object << 1 | object;
    s->p++;
    skip_space(s);
    return true;
}

static void leave(struct scan *s)
{
    s->depth--;
    s->in_object >>= 1;
    s->p++;
}

/* A value begins here. *ret_open: it is an object or array that is not empty, and its first value
 * is due. */
static bool scan_value(struct scan *s, bool *ret_open)
{
    *ret_open = false;
    skip_space(s);
    char c = s->p < s->end ? *s->p : '\0';
    if (c == '"')
        return scan_string(s);
    if (c == '-' || is_digit(c))
        return scan_number(s);
    if (c == 't' || c == 'f' || c == 'n')
        return scan_literal(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
    if (c != '{' && c != '[')
        return fail_token(s);
    if (!enter(s, c == '{'))
        return false;
    if (at(s, c == '{' ? '}' : ']')) {
        leave(s);
        return true;
    }
    *ret_open = true;
    return c == '[' || scan_property(s, true);
}

/* Behind a value: leaves what ends. *ret_more: another value is due. */
static bool scan_behind(struct scan *s, bool *ret_more)
{
    *ret_more = false;
    while (s->depth > 0) {
        bool object = s->in_object & 1;
        skip_space(s);
        if (at(s, ',')) {
            s->p++;
            *ret_more = true;
            return !object || scan_property(s, false);
        }
        if (!at(s, object ? '}' : ']'))
            return fail_at(s, object ? "Expected ',' or '}' after property value in JSON"
                                     : "Expected ',' or ']' after array element in JSON");
        leave(s);
    }
    skip_space(s);
    return s->p == s->end || fail_at(s, "Unexpected non-whitespace character after JSON");
}

static void scan_text(struct scan *s)
{
    bool more = true;
    while (more) {
        if (!scan_value(s, &more))
            return;
        if (!more && !scan_behind(s, &more))
            return;
    }
}

/* ---- the words ---- */

/* The next character: its bytes, and in *ret_units what it counts. */
static size_t step(const char *p, const char *end, unsigned *ret_units)
{
    size_t n = utf8_sequence(p, end);
    *ret_units = n == 4 ? 2 : 1;
    return n > 0 ? n : 1;
}

static size_t units_between(const char *p, const char *end)
{
    size_t count = 0;
    unsigned units;
    for (; p < end; count += units)
        p += step(p, end, &units);
    return count;
}

/* Units from..to of the text; half a pair is U+FFFD when it is sent. */
static bool add_units(struct buf *out, struct str text, size_t from, size_t to)
{
    const char *p = text.p, *end = text.p + text.n;
    unsigned units;
    for (size_t unit = 0; p < end && unit < to; unit += units) {
        size_t n = step(p, end, &units);
        struct str c = {p, n};
        p += n;
        if (unit + units <= from)
            continue;
        if (unit < from || unit + units > to)
            c = STR("\xEF\xBF\xBD");
        if (!buf_add(out, c))
            return false;
    }
    return true;
}

static bool is_special(struct str text)
{
    return str_eq(text, STR("NaN")) || str_eq(text, STR("Infinity")) ||
           str_eq(text, STR("undefined")) || str_eq(text, STR("[object Object]"));
}

/* The text around unit `where`, in quotes, with dots where it was cut (or may have been). */
static bool add_context(struct buf *out, struct str text, size_t where)
{
    size_t units = units_between(text.p, text.p + text.n);
    bool cut = units >= CONTEXT_LEAST, head = cut && where >= CONTEXT_UNITS;
    bool tail = cut && (!head || where < units - CONTEXT_UNITS);
    size_t from = head ? where - CONTEXT_UNITS : 0;
    size_t to = tail ? where + CONTEXT_UNITS : units;
    return (!head || buf_add(out, STR("..."))) && buf_add_char(out, '"') &&
           add_units(out, text, from, to) && buf_add_char(out, '"') &&
           (!tail || buf_add(out, STR("..."))) && buf_add(out, STR(" is not valid JSON"));
}

static bool add_token(struct buf *out, const struct scan *s, struct str text, size_t where)
{
    if (is_special(text))
        return buf_add_char(out, '"') && buf_add(out, text) &&
               buf_add(out, STR("\" is not valid JSON"));
    return buf_add(out, str_from(s->what)) && add_units(out, text, where, where + 1) &&
           buf_add(out, STR("', ")) && add_context(out, text, where);
}

bool orq_syntax_write(struct buf *out, struct str text)
{
    if (text.n == 0)
        text = STR(""); // that has an address
    struct scan s = {.p = text.p, .end = text.p + text.n, .start = text.p};
    if (!buf_add(out, STR("SyntaxError: ")))
        return false;
    scan_text(&s);
    if (s.what == NULL) // the reader is stricter than the original's
        return buf_add(out, STR("this server cannot read it"));
    size_t where = units_between(s.start, s.p);
    if (s.token)
        return add_token(out, &s, text, where);
    return buf_add(out, str_from(s.what)) &&
           (!s.positioned || (buf_add(out, STR(" at position ")) && buf_add_u64(out, where)));
}
