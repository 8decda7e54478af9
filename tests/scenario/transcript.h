/* transcript.h - names and what they stand for: $epoch, $client, $T.
 * Thread:  the program's one.
 * Memory:  bounded tables; texts are copied.
 * Failure: names_match() says no. */
#ifndef SCENARIO_TRANSCRIPT_H
#define SCENARIO_TRANSCRIPT_H

#include "base/buf.h"

enum { NAMES_MAX = 32, NAME_TEXT_MAX = 4096 };

struct names {
    size_t count;
    struct {
        char name[32];
        size_t n;
        char text[NAME_TEXT_MAX];
    } all[NAMES_MAX];
};

void names_set(struct names *names, struct str name, struct str text);
/* Replaces every $name that is known. */
void names_fill(const struct names *names, struct str text, struct buf *out);
/* Whether got is what was expected; keeps the words that new names stand for. */
bool names_match(struct names *names, struct str want, struct str got);

#endif
