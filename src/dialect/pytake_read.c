/*
 * pytake_read.c - conversations as pytake's clients name them.
 *
 * Why it exists: the application's own server is a Python program, and what it lets pass is what
 * Python's idioms let pass: an id is missing when it is false there, and well formed when
 * uuid.UUID() reads it.
 */
#include "dialect/pytake_priv.h"

#include "base/json.h"

enum { UUID_SPELLED_MAX = 256, UUID_DIGITS = 32 };

/* Removes every occurrence, as str.replace() does. */
static size_t remove_word(char *at, size_t n, struct str word)
{
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        if (str_starts((struct str){at + i, n - i}, word))
            i += word.n;
        else
            at[out++] = at[i++];
    }
    return out;
}

static bool is_brace(char c)
{
    return c == '{' || c == '}';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool pytake_id_ok(struct str id)
{
    char at[UUID_SPELLED_MAX];
    if (id.n == 0 || id.n > sizeof(at))
        return false;
    memcpy(at, id.p, id.n);
    size_t n = remove_word(at, id.n, STR("urn:"));
    n = remove_word(at, n, STR("uuid:"));
    struct str s = {at, n};
    while (s.n > 0 && is_brace(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_brace(s.p[s.n - 1]))
        s.n--;
    size_t digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_hex(s.p[i]) && s.p[i] != '-')
            return false;
        digits += is_hex(s.p[i]);
    }
    return digits == UUID_DIGITS;
}

/* What Python takes for false: null, false, zero, and what is empty. */
static bool is_false(struct str raw)
{
    struct json j;
    double number;
    struct str text;
    json_init(&j, raw);
    switch (json_peek(&j)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return raw.p[0] == 'f';
    case JSON_NUMBER:
        return json_read_double(&j, &number) && number == 0;
    case JSON_STRING:
        return json_read_string_raw(&j, &text) && text.n == 0;
    case JSON_ARRAY:
        return json_array_begin(&j) && !json_array_next(&j);
    default:
        return json_object_begin(&j) && !json_object_next(&j, &text);
    }
}

void pytake_conversation_read(struct str argument, char *at, size_t cap,
                              struct pytake_conversation *ret)
{
    struct json j;
    *ret = (struct pytake_conversation){.named = PYTAKE_BADLY};
    json_init(&j, argument);
    if (json_peek(&j) != JSON_OBJECT)
        return;
    if (!json_find(argument, STR("conversation_id"), &ret->raw) || is_false(ret->raw)) {
        ret->named = PYTAKE_NOTHING;
        return;
    }
    json_init(&j, ret->raw);
    bool is_text = json_read_string(&j, at, cap, &ret->id);
    ret->named = is_text ? PYTAKE_TEXT : PYTAKE_OTHER;
}
