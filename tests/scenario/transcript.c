/* Names in transcripts. */
#include "transcript.h"

#include "base/must.h"

#include <ctype.h>

static size_t name_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_'))
        n++;
    return n;
}

static size_t word_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_' || s.p[n] == '-'))
        n++;
    return n;
}

static bool names_find(const struct names *names, struct str name, struct str *ret)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!str_eq(str_from(names->all[i].name), name))
            continue;
        *ret = (struct str){names->all[i].text, names->all[i].n};
        return true;
    }
    return false;
}

void names_set(struct names *names, struct str name, struct str text)
{
    MUST(names->count < NAMES_MAX && name.n < 32 && text.n <= NAME_TEXT_MAX);
    size_t i = names->count++;
    memcpy(names->all[i].name, name.p, name.n);
    names->all[i].name[name.n] = '\0';
    names->all[i].n = text.n;
    memcpy(names->all[i].text, text.p, text.n);
}

void names_fill(const struct names *names, struct str text, struct buf *out)
{
    while (text.n > 0) {
        size_t n = text.p[0] == '$' ? name_length(str_skip(text, 1)) : 0;
        struct str value;
        if (n > 0 && names_find(names, (struct str){text.p + 1, n}, &value)) {
            MUST(buf_add(out, value));
            text = str_skip(text, n + 1);
        } else {
            MUST(buf_add_char(out, text.p[0]));
            text = str_skip(text, 1);
        }
    }
}

bool names_match(struct names *names, struct str want, struct str got)
{
    while (want.n > 0) {
        size_t n = want.p[0] == '$' ? name_length(str_skip(want, 1)) : 0;
        if (n == 0) {
            if (got.n == 0 || got.p[0] != want.p[0])
                return false;
            want = str_skip(want, 1);
            got = str_skip(got, 1);
            continue;
        }
        struct str name = {want.p + 1, n};
        struct str word = {got.p, word_length(got)};
        struct str value;
        bool known = names_find(names, name, &value);
        if (word.n == 0 || (known && !str_eq(word, value)))
            return false;
        if (!known && !str_eq(name, STR("_")))
            names_set(names, name, word);
        want = str_skip(want, n + 1);
        got = str_skip(got, word.n);
    }
    return got.n == 0;
}
