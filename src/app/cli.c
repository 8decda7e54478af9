/*
 * cli.c - finds the command that is meant.
 *
 * Always true: what is not understood is named, with the nearest that would be, and ends with
 * CLI_WRONG; nothing has been done then.
 */
#include "app/cli.h"

#include <errno.h>
#include <stdio.h>

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", "run the server", cli_serve},
    {"publish", "publish events to a channel", cli_publish},
    {"subscribe", "follow channels and print their events", cli_subscribe},
    {"token", "make and check tokens for clients", cli_token},
    {"config", "check, print and explain the configuration", cli_config},
    {"store", "copy and check the embedded database", cli_store},
    {"bench", "put load on any WebSocket server and measure it", cli_bench},
    {"version", "print the version", cli_version},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *f)
{
    fputs("Recado moves events from back ends to every connected client, at once and in order.\n"
          "\n"
          "usage: recado COMMAND [options]\n"
          "\n",
          f);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "try it, in three terminals:\n"
          "  recado serve\n"
          "  recado subscribe --channel news\n"
          "  recado publish --channel news '{\"text\":\"hello\"}'\n"
          "\n"
          "`recado COMMAND --help` shows the options of a command, with examples.\n",
          f);
}

static int run_named(const char *name, int argc, char **argv)
{
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc, argv);
        names[i] = commands[i].name;
    }
    const char *near = cli_nearest(name, names);
    fprintf(stderr, "recado: unknown command '%s'", name);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near);
    fputs("\nTry: recado --help\n", stderr);
    return CLI_WRONG;
}

/* recado help COMMAND is recado COMMAND --help. */
static int run_help(int argc, char **argv)
{
    char help[] = "--help";
    if (argc < 2) {
        print_help(stdout);
        return CLI_DONE;
    }
    char *asked[] = {argv[1], help, NULL};
    return run_named(argv[1], 2, asked);
}

/* Output that was lost is a failure, whatever the command thinks; a reader that has seen enough
 * (head, say) needs no telling. */
static int check_output(int code)
{
    errno = 0;
    bool ok = fflush(stdout) == 0 && !ferror(stdout);
    if (ok || code != CLI_DONE)
        return code;
    if (errno != EPIPE)
        fputs("recado: standard output cannot be written\n", stderr);
    return CLI_FAILED;
}

int cli_run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CLI_WRONG;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return check_output(run_help(argc - 1, argv + 1));
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    return check_output(run_named(name, argc - 1, argv + 1));
}
