/* json.h - JSON without a tree: a pull reader over complete bytes and a writer into a buffer.
 *
 * The reader accepts exactly RFC 8259 in valid UTF-8, nested at most JSON_DEPTH_MAX deep. A caller
 * walks the text once, and a value it does not read is checked and skipped:
 *
 *     json_init(&j, text);
 *     json_object_begin(&j);
 *     while (json_object_next(&j, &key)) {
 *         if (json_key_is(key, STR("offset")))
 *             json_read_u64(&j, &offset);
 *         else if (json_key_is(key, STR("data")))
 *             json_read_raw(&j, &data);
 *     }
 *     if (!json_end(&j))
 *         ... j.error says what, json_error_offset() where; nothing has been acted on yet
 *
 * Thread:  the owner's.
 * Memory:  nothing is allocated; what the reader hands out are pieces of the text.
 * Failure: the first error stays: from then on every call returns false. Outputs are untouched by
 *          a call that returns false. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 64 };

enum json_type {
    JSON_NONE, // nothing that could start a value, or an error
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY,
};

/* Where the reader stands in the innermost object or array. */
enum json_place {
    JSON_AT_FIRST, // behind { or [
    JSON_AT_VALUE, // a value is due
    JSON_AT_NEXT,  // behind a value
};

struct json {
    const char *p, *end, *start;
    const char *value;    // where the value read last begins
    const char *error;    // NULL: none so far
    const char *error_at; // the byte the error is about
    unsigned depth;
    enum json_place place;
};

void json_init(struct json *j, struct str text);

/* What the next value is, by its first byte; consumes nothing but white space. */
enum json_type json_peek(struct json *j);

/* Enters; then next is called until it returns false, which leaves again. */
bool json_object_begin(struct json *j);
bool json_array_begin(struct json *j);
/* The key is a raw string: compare with json_key_is() or decode it. */
bool json_object_next(struct json *j, struct str *ret_key);
bool json_array_next(struct json *j);

/* Each reads one value of its type; another type is an error. Integers are written without
 * fraction and exponent and fit the type; a double that would be infinite is an error. */
bool json_read_null(struct json *j);
bool json_read_bool(struct json *j, bool *ret);
bool json_read_u64(struct json *j, uint64_t *ret);
bool json_read_i64(struct json *j, int64_t *ret);
bool json_read_double(struct json *j, double *ret);
/* The body between the quotes, escapes as they were written. */
bool json_read_string_raw(struct json *j, struct str *ret);
/* Decoded: a piece of the text when it has no escapes, else in the cap bytes at `at`. A string
 * that does not fit or has half a surrogate pair is an error. */
bool json_read_string(struct json *j, char *at, size_t cap, struct str *ret);
/* Any value: its exact bytes, checked, without the white space around it. */
bool json_read_raw(struct json *j, struct str *ret);
bool json_skip(struct json *j);

/* No error, and only white space is left. */
bool json_end(struct json *j);
/* No error, and another value follows: for texts that are a row of values, one a line. */
bool json_more(struct json *j);

/* For what only the caller can judge: makes `what` (a constant) the error, at the value read last.
 * Returns false. */
static inline bool json_fail(struct json *j, const char *what)
{
    if (j->error == NULL) {
        j->error = what;
        j->error_at = j->value;
    }
    return false;
}

size_t json_error_offset(const struct json *j);
/* "expected a string at byte 17". */
bool json_error_write(const struct json *j, struct buf *out);

bool json_valid(struct str text);
/* Without the white space around it. */
struct str json_trim(struct str text);
/* The first value of this key in an object's text, unread parts unchecked; false: none. */
bool json_find(struct str object, struct str key, struct str *ret_raw);

/* Raw strings: as they stand between quotes in a checked text. A decoded one is never longer. */
bool json_string_decode(struct str raw, char *at, size_t cap, struct str *ret);
bool json_string_decode_to(struct str raw, struct buf *out);
bool json_string_is_escaped(struct str raw, struct str want);

/* want is plain: no backslash, no quote, no control character. */
static inline bool json_key_is(struct str raw, struct str want)
{
    // An escape is longer than what it stands for: of equal length only the same bytes are equal.
    if (raw.n == want.n)
        return memcmp(raw.p, want.p, want.n) == 0;
    return raw.n > want.n && json_string_is_escaped(raw, want);
}

/* Single values into a buffer. A string's invalid UTF-8 comes out as U+FFFD, so that the text is
 * always JSON; doubles are the shortest digits that read back the same, null when not finite. */
bool json_write_string(struct buf *out, struct str s);
/* The most that json_write_string() appends: every byte as an escape, and the quotes. */
static inline size_t json_string_bytes_max(struct str s)
{
    return s.n * 6 + 2;
}
bool json_write_i64(struct buf *out, int64_t v);
bool json_write_double(struct buf *out, double v);

/* Puts the commas. Errors wait for json_done(); {"result":{"offset":1}} is
 *
 *     json_writer_init(&w, &out);
 *     json_open_object(&w);
 *     json_open_object(json_key(&w, STR("result")));
 *     json_put_u64(json_key(&w, STR("offset")), 1);
 *     json_close_object(&w);
 *     json_close_object(&w);
 *     if (!json_done(&w)) ... */
struct json_writer {
    struct buf *out;
    size_t start;   // out->len at birth
    unsigned depth; // open objects and arrays
    bool comma;     // one is due before the next key or element
    bool failed;
};

void json_writer_init(struct json_writer *w, struct buf *out);
/* Returns w: the value is put into it. */
struct json_writer *json_key(struct json_writer *w, struct str key);
void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_put_string(struct json_writer *w, struct str s);
void json_put_u64(struct json_writer *w, uint64_t v);
void json_put_i64(struct json_writer *w, int64_t v);
void json_put_double(struct json_writer *w, double v);
void json_put_bool(struct json_writer *w, bool v);
void json_put_null(struct json_writer *w);
/* A checked value, byte for byte. */
void json_put_raw(struct json_writer *w, struct str value);
/* All fitted; otherwise the buffer is as it was. Everything opened must be closed. */
bool json_done(struct json_writer *w);

#endif
