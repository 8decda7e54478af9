/* tidy.h - the house rules that a program can check; each breach is printed as file:line: what.
 * Thread:  one.
 * Memory:  a file at a time.
 * Failure: a file that cannot be read counts as a breach. */
#ifndef TIDY_TIDY_H
#define TIDY_TIDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { COLUMNS_MAX = 100, FUNCTION_LINES_MAX = 70, FILE_LINES_MAX = 600 };

struct tidy {
    FILE *out;    // where breaches are told
    char *layers; // text of layers.txt
    size_t breaches, files;
};

/* layers: text of layers.txt; borrowed. */
void tidy_init(struct tidy *t, FILE *out, char *layers);

/* path: relative to the root, "src/net/conn.c"; it decides which rules hold. text: the whole file,
 * ended by a zero byte. */
void tidy_check_text(struct tidy *t, const char *path, const char *text);

/* All C files below root/folder. */
void tidy_check_tree(struct tidy *t, const char *root, const char *folder);

/* The whole file in memory, or NULL. */
char *file_read(const char *path);

#endif
