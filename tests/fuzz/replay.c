/*
 * replay.c - runs a fuzz target over kept inputs, without a fuzzer.
 *
 * Each argument is a folder. Every file in it is given to the target whole and, when it is small,
 * cut off at every length, from a heap block of exactly that size. A folder that does not exist is
 * passed over; no input at all is a failure, since such a test could not fail.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIXES_MAX = 2048, INPUT_MAX = 1 << 20 };

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static bool run_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return false;
    for (size_t cut = 0; n <= PREFIXES_MAX && cut < n; cut++)
        run_copy(bytes, cut);
    run_copy(bytes, n);
    return true;
}

/* Returns how many files were run; a file that cannot be read ends the program. */
static size_t run_folder(const char *folder)
{
    char path[4096];
    size_t count = 0;
    DIR *d = opendir(folder);
    if (d == NULL)
        return 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (!run_file(path)) {
            fprintf(stderr, "cannot read %s\n", path);
            exit(1);
        }
        count++;
    }
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        count += run_folder(argv[i]);
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}
