/*
 * params.c - the fields of a command, read in one walk without allocating.
 *
 * Why it exists: a text that is not JSON and a field that is wrong are different faults with
 * different answers, so the walk goes on behind a wrong field to see the text's end.
 *
 * Always true: what p points to is a piece of the text, or in p->text.
 */
#include "api/api_priv.h"

#include <stddef.h>

bool params_fail(struct params *p, const char *field, const char *why)
{
    if (p->wrong == NULL) {
        p->wrong_field = field;
        p->wrong = why;
    }
    return false;
}

char *params_room(struct params *p, size_t n)
{
    if (n > sizeof(p->text) - p->text_used)
        return NULL;
    p->text_used += n;
    return p->text + p->text_used - n;
}

/* ---- single values; each consumes the value whatever it is ---- */

static bool wrong_type(struct json *j, struct params *p, const char *name, const char *why)
{
    json_skip(j);
    return params_fail(p, name, why);
}

static void read_string(struct json *j, const char *name, struct params *p, struct str *ret)
{
    struct str raw;
    if (json_peek(j) != JSON_STRING) {
        wrong_type(j, p, name, "must be a string");
        return;
    }
    if (!json_read_string_raw(j, &raw))
        return;
    if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL) {
        *ret = raw;
        return;
    }
    char *at = params_room(p, raw.n);
    if (at == NULL)
        params_fail(p, name, "is too long");
    else if (!json_string_decode(raw, at, raw.n, ret))
        params_fail(p, name, "has half a surrogate pair");
}

static void read_integer(struct json *j, const char *name, struct params *p, int64_t *ret)
{
    struct str raw;
    struct json number;
    if (json_peek(j) != JSON_NUMBER) {
        wrong_type(j, p, name, "must be an integer");
        return;
    }
    if (!json_read_raw(j, &raw))
        return;
    json_init(&number, raw);
    if (!json_read_i64(&number, ret))
        params_fail(p, name, "must be an integer");
}

static void read_bool(struct json *j, const char *name, struct params *p, bool *ret)
{
    if (json_peek(j) == JSON_BOOL)
        json_read_bool(j, ret);
    else
        wrong_type(j, p, name, "must be true or false");
}

/* An object or array whose members are all strings. */
static void read_strings(struct json *j, const struct field *f, struct params *p, struct str *ret)
{
    bool tags = f->kind == FIELD_TAGS;
    struct str raw, key, value;
    struct json members;
    if (json_peek(j) != (tags ? JSON_OBJECT : JSON_ARRAY)) {
        wrong_type(j, p, f->name, tags ? "must be an object" : "must be an array");
        return;
    }
    if (!json_read_raw(j, &raw))
        return;
    json_init(&members, raw);
    if (tags)
        json_object_begin(&members);
    else
        json_array_begin(&members);
    while (tags ? json_object_next(&members, &key) : json_array_next(&members)) {
        if (!json_read_string_raw(&members, &value)) {
            params_fail(p, f->name, "must hold strings only");
            return;
        }
    }
    *ret = raw;
}

static void read_position(struct json *j, const struct field *f, struct params *p,
                          struct stream_position *ret)
{
    struct str key, epoch = STR_NONE;
    int64_t offset = 0;
    if (json_peek(j) != JSON_OBJECT) {
        wrong_type(j, p, f->name, "must be an object with offset and epoch");
        return;
    }
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("offset")))
            read_integer(j, f->name, p, &offset);
        else if (json_key_is(key, STR("epoch")))
            read_string(j, f->name, p, &epoch);
    }
    if (offset < 0)
        params_fail(p, f->name, "offset must not be negative");
    ret->given = true;
    ret->at.offset = (uint64_t)offset;
    ret->unknown = !epoch_parse(epoch, &ret->at.epoch);
}

static void read_disconnect(struct json *j, const struct field *f, struct params *p)
{
    struct str key;
    if (json_peek(j) != JSON_OBJECT) {
        wrong_type(j, p, f->name, "must be an object with code and reason");
        return;
    }
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("code")))
            read_integer(j, f->name, p, &p->code);
        else if (json_key_is(key, STR("reason")))
            read_string(j, f->name, p, &p->reason);
    }
}

static void read_unsupported(struct json *j, const char *name, struct params *p)
{
    struct str raw;
    if (json_read_raw(j, &raw) && !str_eq(raw, STR("\"\"")) && !str_eq(raw, STR("0")) &&
        !str_eq(raw, STR("false")))
        params_fail(p, name, "is not supported");
}

static void field_read(struct json *j, const struct field *f, struct params *p)
{
    void *at = (char *)p + f->at;
    if (f->kind != FIELD_JSON && json_peek(j) == JSON_NULL) {
        json_read_null(j); // as if it were not there
        return;
    }
    switch (f->kind) {
    case FIELD_STRING:
        read_string(j, f->name, p, at);
        break;
    case FIELD_JSON:
        json_read_raw(j, at);
        break;
    case FIELD_TAGS:
    case FIELD_STRINGS:
        read_strings(j, f, p, at);
        break;
    case FIELD_ARRAY:
        if (json_peek(j) == JSON_ARRAY)
            json_read_raw(j, at);
        else
            wrong_type(j, p, f->name, "must be an array");
        break;
    case FIELD_BOOL:
        read_bool(j, f->name, p, at);
        break;
    case FIELD_INTEGER:
        read_integer(j, f->name, p, at);
        break;
    case FIELD_POSITION:
        read_position(j, f, p, at);
        break;
    case FIELD_DISCONNECT:
        read_disconnect(j, f, p);
        break;
    case FIELD_UNSUPPORTED:
        read_unsupported(j, f->name, p);
        break;
    }
}

bool api_params_read(struct json *j, const struct field *fields, struct params *p)
{
    struct str key;
    memset(p, 0, offsetof(struct params, text));
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        const struct field *f = fields;
        while (f->name != NULL && !json_key_is(key, str_from(f->name)))
            f++;
        if (f->name != NULL)
            field_read(j, f, p);
    }
    return j->error == NULL;
}
