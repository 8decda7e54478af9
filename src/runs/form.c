/*
 * form.c - bodies of requests as values for rows.
 *
 * Why it exists: every row has its table of fields, and what is wrong with one is said in the same
 * words everywhere. Fields that a table does not name are passed over: a row that was read may be
 * sent back as it is.
 */
#include "runs/form.h"

#include "base/date.h"
#include "base/json.h"

#include <string.h>

/* What JavaScript counts exactly; of times, the end of the year 9999. */
static const int64_t NUMBER_MAX = (int64_t)1 << 53, TIME_MAX = 253402300799999;

static bool wrong(struct buf *why, const struct form_field *f, const char *what)
{
    if (why->len == 0)
        (void)buf_add_format(why, "%s: %s", f->name, what);
    return false;
}

/* ---- words ---- */

bool form_is_word(struct str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_eq(s, str_from(*words)))
            return true;
    }
    return false;
}

void form_words_write(const char *const *words, struct buf *out)
{
    (void)buf_add(out, STR("must be one of "));
    for (size_t i = 0; words[i] != NULL; i++)
        (void)buf_add_format(out, "%s%s", i > 0 ? ", " : "", words[i]);
}

/* ---- values; each consumes the value whatever it is ---- */

/* Characters are counted, as people do. */
static size_t char_count(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

struct reading {
    struct json *j;
    const struct form_field *field;
    struct form_value *value;
    char **room;
    struct buf *why;
};

static bool string_read(const struct reading *rd, const char *what)
{
    struct str raw;
    if (json_peek(rd->j) != JSON_STRING) {
        json_skip(rd->j);
        return wrong(rd->why, rd->field, what);
    }
    if (!json_read_string_raw(rd->j, &raw))
        return false;
    if (!json_string_decode(raw, *rd->room, raw.n, &rd->value->s))
        return wrong(rd->why, rd->field, "has half a surrogate pair");
    if (rd->value->s.p == *rd->room)
        *rd->room += rd->value->s.n;
    if (rd->value->s.n > 0 && memchr(rd->value->s.p, '\0', rd->value->s.n) != NULL)
        return wrong(rd->why, rd->field, "must not hold the character U+0000");
    return true;
}

static bool too_long(const struct reading *rd, const char *unit)
{
    if (rd->why->len == 0)
        (void)buf_add_format(rd->why, "%s: is longer than %u %s", rd->field->name, rd->field->max,
                             unit);
    return false;
}

static bool text_read(const struct reading *rd)
{
    if (!string_read(rd, "must be a string"))
        return false;
    struct str s = rd->value->s;
    if (rd->field->kind == FORM_TEXT)
        return s.n <= rd->field->max || too_long(rd, "bytes");
    if (s.n == 0)
        return wrong(rd->why, rd->field, "must not be empty");
    return char_count(s) <= rd->field->max || too_long(rd, "characters");
}

static bool word_read(const struct reading *rd)
{
    char at[256];
    struct buf what = buf_on(at, sizeof(at) - 1);
    form_words_write(rd->field->words, &what);
    at[what.len] = '\0';
    return string_read(rd, at) &&
           (form_is_word(rd->value->s, rd->field->words) || wrong(rd->why, rd->field, at));
}

static bool integer_read(const struct reading *rd, const char *what)
{
    struct str raw;
    struct json number;
    if (json_peek(rd->j) != JSON_NUMBER) {
        json_skip(rd->j);
        return wrong(rd->why, rd->field, what);
    }
    if (!json_read_raw(rd->j, &raw))
        return false;
    json_init(&number, raw);
    return (json_read_i64(&number, &rd->value->i) && rd->value->i >= 0 &&
            rd->value->i <= NUMBER_MAX) ||
           wrong(rd->why, rd->field, what);
}

static bool time_read(const struct reading *rd)
{
    static const char *const what = "must be a time such as 2025-11-02T22:59:18.123Z";
    struct date d;
    if (json_peek(rd->j) == JSON_NUMBER)
        return integer_read(rd, what) &&
               (rd->value->i <= TIME_MAX || wrong(rd->why, rd->field, what));
    if (!string_read(rd, what))
        return false;
    if (!date_parse(rd->value->s, &d) || d.at_ms < 0)
        return wrong(rd->why, rd->field, what);
    rd->value->i = d.at_ms;
    return true;
}

static bool span_read(const struct reading *rd)
{
    static const char *const what = "must be a duration such as \"10m\", or seconds";
    uint64_t ms;
    if (json_peek(rd->j) == JSON_NUMBER) {
        if (!integer_read(rd, what))
            return false;
        if (rd->value->i > TIME_MAX / 1000)
            return wrong(rd->why, rd->field, what);
        rd->value->i *= 1000;
    } else {
        if (!string_read(rd, what))
            return false;
        if (!str_to_duration_ms(rd->value->s, &ms) || ms > (uint64_t)TIME_MAX)
            return wrong(rd->why, rd->field, what);
        rd->value->i = (int64_t)ms;
    }
    return rd->value->i > 0 || wrong(rd->why, rd->field, "must be more than nothing");
}

/* As its exact text. */
static bool raw_read(const struct reading *rd, bool fits, const char *what)
{
    if (!fits) {
        json_skip(rd->j);
        return wrong(rd->why, rd->field, what);
    }
    return json_read_raw(rd->j, &rd->value->s) &&
           (rd->value->s.n <= rd->field->max || too_long(rd, "bytes"));
}

static bool value_read(const struct reading *rd)
{
    enum json_type type = json_peek(rd->j);
    switch (rd->field->kind) {
    case FORM_TEXT:
    case FORM_LINE:
        return text_read(rd);
    case FORM_WORD:
        return word_read(rd);
    case FORM_NUMBER:
        return integer_read(rd, "must be an integer from 0");
    case FORM_AMOUNT:
        return raw_read(rd, type == JSON_NUMBER, "must be a number");
    case FORM_SCALAR:
        return raw_read(rd, type == JSON_NUMBER || type == JSON_STRING,
                        "must be a string or a number");
    case FORM_TIME:
        return time_read(rd);
    case FORM_SPAN:
        return span_read(rd);
    case FORM_OBJECT:
        return raw_read(rd, type == JSON_OBJECT, "must be an object");
    }
    return false;
}

static void field_read(const struct reading *rd)
{
    *rd->value = (struct form_value){0};
    if (json_peek(rd->j) == JSON_NULL) {
        json_read_null(rd->j);
        rd->value->given = rd->value->is_null = rd->field->nullable;
        return;
    }
    rd->value->given = value_read(rd);
}

bool form_read(struct str body, const struct form_field *fields, size_t count,
               struct form_value *ret, char *room, struct buf *why)
{
    struct json j;
    struct str key;
    memset(ret, 0, count * sizeof(*ret));
    json_init(&j, body.n > 0 ? body : STR("{}"));
    if (json_peek(&j) != JSON_OBJECT) {
        (void)buf_add(why, STR("the body must be a JSON object"));
        return false;
    }
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        size_t i = 0;
        while (i < count && !json_key_is(key, str_from(fields[i].name)))
            i++;
        if (i < count)
            field_read(&(struct reading){&j, &fields[i], &ret[i], &room, why});
    }
    if (!json_end(&j)) {
        buf_clear(why);
        (void)buf_add(why, STR("the body is not JSON: "));
        (void)json_error_write(&j, why);
        return false;
    }
    return why->len == 0;
}
