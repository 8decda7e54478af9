/* form.h - what a body may say: a table of fields, read in one walk, and each wrong one named.
 * Thread:  any.
 * Memory:  values are pieces of the body or of the room that was given.
 * Failure: form_read() says false and writes what is wrong, and where. */
#ifndef RUNS_FORM_H
#define RUNS_FORM_H

#include "base/buf.h"

enum form_kind {
    FORM_TEXT,   // a string of at most max bytes
    FORM_LINE,   // one of at most max characters, and not empty
    FORM_WORD,   // one of words
    FORM_NUMBER, // an integer from 0
    FORM_AMOUNT, // any number, as its exact text
    FORM_SCALAR, // a string of at most max bytes or a number, as its exact text
    FORM_TIME,   // "2025-11-02", "2025-11-02T22:59:18.123Z" or with "+02:00"; or milliseconds
    FORM_SPAN,   // "10m", or seconds
    FORM_OBJECT  // as its exact text, at most max bytes
};

struct form_field {
    const char *name;
    enum form_kind kind;
    uint32_t max;
    const char *const *words; // ended by NULL
    bool nullable;            // null is a value; elsewhere it is as if the field were not there
};

struct form_value {
    bool given, is_null;
    struct str s;
    int64_t i;
};

/* ret: one for each field. room: at least as many bytes as the body, for decoded strings. why: may
 * be full. */
bool form_read(struct str body, const struct form_field *fields, size_t count,
               struct form_value *ret, char *room, struct buf *why);

bool form_is_word(struct str s, const char *const *words);
/* "must be one of pending, planning": for people. */
void form_words_write(const char *const *words, struct buf *out);

#endif
