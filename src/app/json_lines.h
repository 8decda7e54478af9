/* json_lines.h - JSON values from a file, one a line; a value may also take several lines.
 * Thread:  the owner's.
 * Memory:  a value is JSON_LINES_MAX bytes at most and lives until the next call.
 * Failure: what is no JSON is described with its line and column. */
#ifndef APP_JSON_LINES_H
#define APP_JSON_LINES_H

#include <stdio.h>

#include "base/buf.h"

enum { JSON_LINES_MAX = 16 << 20 };

struct json_lines {
    FILE *file;
    struct buf text; // of the value being read
    char *line;      // of getline()
    size_t line_size;
    uint64_t line_count; // read so far
    uint64_t first_line; // of the value
    uint64_t count;      // values given
    /* How far the brackets of text are counted. */
    unsigned depth;
    bool in_string, escaped;
};

enum json_lines_result { JSON_LINES_VALUE, JSON_LINES_END, JSON_LINES_BAD };

void json_lines_init(struct json_lines *l, FILE *file);
void json_lines_fini(struct json_lines *l);
enum json_lines_result json_lines_next(struct json_lines *l, struct str *ret, char *ret_why,
                                       size_t why_size);

#endif
