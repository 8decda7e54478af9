/*
 * json_fuzz.c - the JSON reader and writer against each other.
 *
 * A text is walked through the pull interface and written again. The walk must agree with
 * json_valid(), what was written must be valid and, walked again, come out the same.
 */
// links: base
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"

static void rewrite(struct json *j, struct json_writer *w);

static void check_double(double v)
{
    struct buf out;
    struct json j;
    double back = 0;
    buf_init(&out, 64);
    MUST(json_write_double(&out, v));
    json_init(&j, buf_str(&out));
    MUST(json_read_double(&j, &back) && json_end(&j));
    MUST(back == v && signbit(back) == signbit(v));
    buf_fini(&out);
}

static void rewrite_number(struct json *j, struct json_writer *w)
{
    struct json as_u64 = *j, as_i64 = *j, as_double = *j;
    struct str raw;
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    if (!json_read_raw(j, &raw))
        return;
    if (json_read_double(&as_double, &d))
        check_double(d);
    bool is_u64 = json_read_u64(&as_u64, &u), is_i64 = json_read_i64(&as_i64, &i);
    MUST(!(is_u64 && is_i64) || u == (uint64_t)i);
    if (is_u64)
        json_put_u64(w, u);
    else if (is_i64)
        json_put_i64(w, i);
    else
        json_put_raw(w, raw);
}

/* Decodes into a block of exactly the raw length, which is always enough. */
static void rewrite_string(struct json *j, struct json_writer *w)
{
    struct str raw, s;
    if (!json_read_string_raw(j, &raw))
        return;
    char *at = malloc(raw.n > 0 ? raw.n : 1);
    MUST(at != NULL);
    if (json_string_decode(raw, at, raw.n, &s)) {
        MUST(utf8_valid(s));
        if (memchr(s.p != NULL ? s.p : "", '\\', s.n) == NULL)
            MUST(json_string_is_escaped(raw, s));
        json_put_string(w, s);
    } else { // half a surrogate pair: only its raw form exists
        json_put_raw(w, (struct str){raw.p - 1, raw.n + 2});
    }
    free(at);
}

static void rewrite_object(struct json *j, struct json_writer *w)
{
    struct str key;
    char name[64];
    json_object_begin(j);
    json_open_object(w);
    while (json_object_next(j, &key)) {
        struct str decoded = STR("?");
        json_string_decode(key, name, sizeof(name), &decoded);
        json_key(w, decoded);
        rewrite(j, w);
    }
    json_close_object(w);
}

static void rewrite_array(struct json *j, struct json_writer *w)
{
    json_array_begin(j);
    json_open_array(w);
    while (json_array_next(j))
        rewrite(j, w);
    json_close_array(w);
}

/* As deep as the reader lets it. */
static void rewrite(struct json *j, struct json_writer *w)
{
    bool yes;
    switch (json_peek(j)) {
    case JSON_OBJECT:
        rewrite_object(j, w);
        break;
    case JSON_ARRAY:
        rewrite_array(j, w);
        break;
    case JSON_STRING:
        rewrite_string(j, w);
        break;
    case JSON_NUMBER:
        rewrite_number(j, w);
        break;
    case JSON_BOOL:
        if (json_read_bool(j, &yes))
            json_put_bool(w, yes);
        break;
    case JSON_NULL:
        if (json_read_null(j))
            json_put_null(w);
        break;
    case JSON_NONE:
        json_skip(j);
        break;
    }
}

static bool rewrite_text(struct str text, struct buf *out)
{
    struct json j;
    struct json_writer w;
    json_init(&j, text);
    json_writer_init(&w, out);
    rewrite(&j, &w);
    MUST(json_done(&w));
    bool ok = json_end(&j);
    MUST(ok == (j.error == NULL) && json_error_offset(&j) <= text.n);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf once, twice;
    buf_init(&once, 8 * size + 1024);
    buf_init(&twice, 8 * size + 1024);
    bool valid = rewrite_text(text, &once);
    MUST(valid == json_valid(text));
    if (valid) {
        MUST(utf8_valid(text));
        MUST(json_valid(buf_str(&once)));
        MUST(rewrite_text(buf_str(&once), &twice));
        MUST(str_eq(buf_str(&once), buf_str(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
