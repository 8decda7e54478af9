/*
 * severity.c - the words that make an output an error or a warning.
 *
 * Why it exists: dashboards colour by it, and the application's own search is the measure: a word
 * counts wherever it stands, inside another one too.
 */
#include "schedule/severity.h"

/* In UTF-8, small letters. */
static const struct str error_words[] = {
    {"cr\xc3\xadtico", 8}, {"erro", 4},     {"falha", 5}, {"failed", 6},
    {"error", 5},          {"critical", 8}, {"fatal", 5}, {"exception", 9},
};
static const struct str warning_words[] = {
    {"alerta", 6},   {"aten\xc3\xa7\xc3\xa3o", 9}, {"warning", 7}, {"aviso", 5},
    {"vulnerab", 8}, {"deprecated", 10},           {"caution", 7},
};

/* The byte at p as it is in small letters; of two-byte letters with an accent the second one. */
static unsigned char small_byte(const char *start, const char *p)
{
    unsigned char c = (unsigned char)*p;
    bool accented = p > start && (unsigned char)p[-1] == 0xc3;
    if (accented)
        return c >= 0x80 && c <= 0x9e && c != 0x97 ? c + 0x20
                                                   : c; // 0x97 is the multiplication sign
    return c >= 'A' && c <= 'Z' ? c + 0x20 : c;
}

static bool word_is_at(struct str text, size_t at, struct str word)
{
    if (word.n > text.n - at)
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (small_byte(text.p, text.p + at + i) != (unsigned char)word.p[i])
            return false;
    }
    return true;
}

static bool has_word(struct str text, const struct str *words, size_t count)
{
    for (size_t at = 0; at < text.n; at++) {
        for (size_t i = 0; i < count; i++) {
            if (word_is_at(text, at, words[i]))
                return true;
        }
    }
    return false;
}

struct str severity_of(struct str output)
{
    if (has_word(output, error_words, sizeof(error_words) / sizeof(error_words[0])))
        return STR("error");
    if (has_word(output, warning_words, sizeof(warning_words) / sizeof(warning_words[0])))
        return STR("warning");
    return STR("success");
}
