/* cli.h - the commands of the program, and what they share: options, output, refusals.
 * Thread:  the main one.
 * Memory:  options point into argv; nothing is kept.
 * Failure: a command returns the exit code: CLI_DONE, CLI_FAILED, or CLI_WRONG for usage. */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "base/str.h"

#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_WRONG = 2 };

/* argv[0] is the command's name. */
int cli_serve(int argc, char **argv);
int cli_publish(int argc, char **argv);
int cli_subscribe(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_store(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_version(int argc, char **argv);

/* Finds the command and runs it: all of main(). */
int cli_run(int argc, char **argv);

/* ---- options ---- */

enum { CLI_LIST_MAX = 64 };
struct cli_list {
    const char *items[CLI_LIST_MAX];
    unsigned count;
};

enum cli_kind {
    CLI_FLAG,     // bool: given or not
    CLI_TEXT,     // const char *: the last one wins
    CLI_LIST,     // struct cli_list: may be given several times
    CLI_U64,      // uint64_t
    CLI_DURATION, // uint64_t, milliseconds: 25s, 500ms, 1h; a bare number is seconds
    CLI_BYTES,    // uint64_t: 64KiB
};

struct cli_option {
    const char *name; // without the dashes; NULL ends the table
    char letter;      // 0: none
    enum cli_kind kind;
    void *at;
};

struct cli_spec {
    const char *command; // "publish", "token check"
    const char *help;
    const struct cli_option *options;
};

enum cli_parsed {
    CLI_GO,
    CLI_HELPED,  // the help was asked for and printed: end with CLI_DONE
    CLI_REFUSED, // what is wrong was printed: end with CLI_WRONG
};
/* --name VALUE, --name=VALUE, -n VALUE, -- ends the options. What is no option goes to ret_rest. */
enum cli_parsed cli_parse(const struct cli_spec *spec, int argc, char **argv,
                          struct cli_list *ret_rest);
/* CLI_DONE or CLI_WRONG for what is not CLI_GO. */
int cli_parsed_exit(enum cli_parsed p);

/* "recado publish: <text>" and where the help is; returns CLI_WRONG. */
int cli_refuse(const struct cli_spec *spec, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "recado publish: <text>"; returns CLI_FAILED. */
int cli_fail(const struct cli_spec *spec, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Which of the names (ends with NULL) is meant by text; NULL: none is near. */
const char *cli_nearest(const char *text, const char *const *names);

/* ---- output ---- */

struct cli_out {
    bool json;  // one object a line: asked for, or nobody is watching
    bool color; // people, and they did not say NO_COLOR
};
struct cli_out cli_out_choose(bool json_asked);

enum cli_color { CLI_PLAIN, CLI_DIM, CLI_BOLD, CLI_RED, CLI_GREEN, CLI_CYAN, CLI_COLOR_COUNT };
/* The escape sequence, or "" without colours. */
const char *cli_color(const struct cli_out *out, enum cli_color c);

/* Text from elsewhere, on one line and without what a terminal could obey. */
void cli_write_safe(FILE *f, struct str text);
void cli_print_safe(struct str text); // to standard output

#endif
