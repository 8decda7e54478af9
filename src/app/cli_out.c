/*
 * cli_out.c - output for people on a terminal, and for programs everywhere else.
 *
 * Always true: text that came from the network cannot move the cursor or start a line.
 */
#include "app/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct cli_out cli_out_choose(bool json_asked)
{
    bool people = isatty(STDOUT_FILENO) != 0;
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool dumb = term != NULL && strcmp(term, "dumb") == 0;
    return (struct cli_out){
        .json = json_asked || !people,
        .color = people && !json_asked && !dumb && (no_color == NULL || *no_color == '\0'),
    };
}

const char *cli_color(const struct cli_out *out, enum cli_color c)
{
    static const char *const sequences[CLI_COLOR_COUNT] = {
        [CLI_PLAIN] = "\033[0m", [CLI_DIM] = "\033[2m",    [CLI_BOLD] = "\033[1m",
        [CLI_RED] = "\033[31m",  [CLI_GREEN] = "\033[32m", [CLI_CYAN] = "\033[36m",
    };
    return out->color ? sequences[c] : "";
}

void cli_write_safe(FILE *f, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        unsigned char next = i + 1 < text.n ? (unsigned char)text.p[i + 1] : 0;
        if (c == '\n' || c == '\r' || c == '\t')
            putc(' ', f);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\x%02x", c);
        else if (c == 0xc2 && next >= 0x80 && next <= 0x9f) // the control characters above ASCII
            fprintf(f, "\\u%04x", text.p[++i] & 0xff);
        else
            putc(c, f);
    }
}

void cli_print_safe(struct str text)
{
    cli_write_safe(stdout, text);
}
