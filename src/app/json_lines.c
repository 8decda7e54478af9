/*
 * json_lines.c - JSON values from a file.
 *
 * Why it exists: a line is published as soon as it has come, yet a value that somebody wrote over
 * several lines is understood too. Brackets are counted to see where a value ends; whether it is
 * JSON is for the reader to say.
 *
 * Always true between two calls: text holds the value handed out last, or nothing.
 */
#include "app/json_lines.h"

#include <stdlib.h>

#include "base/json.h"

void json_lines_init(struct json_lines *l, FILE *file)
{
    *l = (struct json_lines){.file = file};
    buf_init(&l->text, JSON_LINES_MAX);
}

void json_lines_fini(struct json_lines *l)
{
    buf_fini(&l->text);
    free(l->line);
    l->line = NULL;
}

static void count_brackets(struct json_lines *l, struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        if (l->escaped)
            l->escaped = false;
        else if (l->in_string && c == '\\')
            l->escaped = true;
        else if (c == '"')
            l->in_string = !l->in_string;
        else if (!l->in_string && (c == '{' || c == '['))
            l->depth++;
        else if (!l->in_string && (c == '}' || c == ']') && l->depth > 0)
            l->depth--;
    }
    l->in_string = l->escaped = false; // no string goes over the end of a line
}

static void describe(const struct json_lines *l, const struct json *j, char *ret_why, size_t size)
{
    uint64_t line = l->first_line;
    size_t at = json_error_offset(j), start = 0;
    for (size_t i = 0; i < at && i < l->text.len; i++) {
        if (l->text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    snprintf(ret_why, size, "line %llu, column %zu: %s", (unsigned long long)line, at - start + 1,
             j->error);
}

static enum json_lines_result check(struct json_lines *l, struct str *ret, char *ret_why,
                                    size_t size)
{
    struct json j;
    json_init(&j, buf_str(&l->text));
    if (json_read_raw(&j, ret) && json_end(&j)) {
        l->count++;
        return JSON_LINES_VALUE;
    }
    describe(l, &j, ret_why, size);
    return JSON_LINES_BAD;
}

static bool is_blank(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (strchr(" \t\r\n", line.p[i]) == NULL)
            return false;
    return true;
}

enum json_lines_result json_lines_next(struct json_lines *l, struct str *ret, char *ret_why,
                                       size_t why_size)
{
    ssize_t n;
    buf_clear(&l->text);
    l->depth = 0;
    while ((n = getline(&l->line, &l->line_size, l->file)) > 0) {
        struct str line = {l->line, (size_t)n};
        l->line_count++;
        if (l->text.len == 0 && is_blank(line))
            continue;
        if (l->text.len == 0)
            l->first_line = l->line_count;
        if (!buf_add(&l->text, line)) {
            snprintf(ret_why, why_size, "line %llu: the value is over %d MiB",
                     (unsigned long long)l->line_count, JSON_LINES_MAX >> 20);
            return JSON_LINES_BAD;
        }
        count_brackets(l, line);
        if (l->depth == 0)
            return check(l, ret, ret_why, why_size);
    }
    return l->text.len > 0 ? check(l, ret, ret_why, why_size) : JSON_LINES_END;
}
