/*
 * main.c - where the process begins.
 *
 * Always true: a peer that has gone is an error of send(), never a signal.
 */
#include <signal.h>

#include "app/cli.h"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return cli_run(argc, argv);
}
