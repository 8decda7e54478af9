/*
 * cli_config.c - recado config: what is set, what could be, and what is wrong with it.
 *
 * Always true: check is the stricter brother of serve: what it accepts, serve starts with.
 */
#include <stdio.h>

#include "app/cli.h"
#include "app/config.h"
#include "app/server.h"

extern char **environ;

enum { TEXT_MAX_BYTES = 4 * 1024 * 1024, REASON_MAX = 256 };

static const char help[] =
    "usage: recado config check   [-c FILE] [--KEY VALUE]...\n"
    "       recado config print   [-c FILE] [--KEY VALUE]...\n"
    "       recado config default\n"
    "       recado config doc\n"
    "\n"
    "  check    says what is wrong with the configuration: file, line and key\n"
    "  print    shows every value that holds and where it comes from; secrets are hidden\n"
    "  default  writes a file with every key, its default and what it does\n"
    "  doc      writes the same as a reference in Markdown\n"
    "\n"
    "Every key is a flag (--http.head_max=32KiB) and a variable (RECADO_HTTP_HEAD_MAX=32KiB).\n"
    "A flag wins over a variable, a variable over the file. RECADO_CONFIG names the file, too.\n"
    "\n"
    "examples:\n"
    "  recado config default > recado.yaml\n"
    "  recado config check -c recado.yaml\n"
    "  RECADO_LOG_LEVEL=debug recado config print -c recado.yaml --listen 127.0.0.1:9000\n";

static const struct cli_spec spec = {.command = "config", .help = help, .options = NULL};

/* What stands behind the verb: the file and the flags of keys. */
struct arguments {
    const char *file;
    struct config_flag flags[CONFIG_FLAGS_MAX];
    size_t flag_count;
};

static bool is_file_option(const char *arg)
{
    struct str s = str_from(arg);
    return str_eq(s, STR("-c")) || str_eq(s, STR("--config"));
}

static int refuse_argument(const char *arg)
{
    char at[REASON_MAX];
    struct buf why = buf_on(at, sizeof(at));
    if (config_flag_explain(arg, &why))
        return cli_refuse(&spec, "%.*s", STR_FMT(buf_str(&why)));
    return cli_refuse(&spec, "\"%s\": a file is given with -c, a key as --section.key VALUE", arg);
}

static int arguments_parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.file = config_file_default(environ)};
    for (int i = 0; i < argc;) {
        struct config_flag flag;
        if (ret->flag_count == CONFIG_FLAGS_MAX)
            return cli_refuse(&spec, "more than %d settings", CONFIG_FLAGS_MAX);
        if (is_file_option(argv[i]) && i + 1 < argc) {
            ret->file = argv[i + 1];
            i += 2;
        } else if (str_starts(str_from(argv[i]), STR("--config="))) {
            ret->file = argv[i++] + 9;
        } else if (config_flag_take(argc, argv, &i, &flag)) {
            ret->flags[ret->flag_count++] = flag;
        } else {
            return refuse_argument(argv[i]);
        }
    }
    return CLI_DONE;
}

static void print_messages(const struct buf *messages)
{
    fprintf(stderr, "%.*s", STR_FMT(buf_str(messages)));
}

static void print_promises(const struct buf *text)
{
    struct str rest = buf_str(text);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        fprintf(stderr, "warning: %.*s\n", STR_FMT(line));
    }
}

static int check(const struct config_source *source, bool print)
{
    struct config *c = NULL;
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool ok = config_load(source, &c, &text) && endpoints_check(c, &text);
    int code = ok ? CLI_DONE : CLI_WRONG;
    print_messages(&text);
    buf_clear(&text);
    if (ok)
        config_promises(c, &text);
    print_promises(&text);
    buf_clear(&text);
    if (code == CLI_DONE && print) {
        code = config_write_effective(c, &text) ? CLI_DONE : CLI_FAILED;
        printf("%.*s", STR_FMT(buf_str(&text)));
    } else if (code == CLI_DONE) {
        printf("%s: ok\n", source->file ? source->file : "configuration");
    }
    buf_fini(&text);
    config_destroy(&c);
    return code;
}

static int check_arguments(int argc, char **argv, bool print)
{
    struct arguments a;
    int code = arguments_parse(argc, argv, &a);
    if (code != CLI_DONE)
        return code;
    struct config_source source = {
        .file = a.file,
        .env = environ,
        .flags = a.flags,
        .flag_count = a.flag_count,
        .strict = !print,
    };
    return check(&source, print);
}

static int print_made(bool (*make)(struct buf *))
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool ok = make(&text);
    printf("%.*s", STR_FMT(buf_str(&text)));
    buf_fini(&text);
    return ok && fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

int cli_config(int argc, char **argv)
{
    static const char *const verbs[] = {"check", "print", "default", "doc", NULL};
    struct str verb = str_from(argc > 1 ? argv[1] : NULL);
    for (int i = 1; i < argc; i++) {
        if (str_eq(str_from(argv[i]), STR("--help")) || str_eq(str_from(argv[i]), STR("-h"))) {
            fputs(help, stdout);
            return CLI_DONE;
        }
    }
    if (str_eq(verb, STR("check")) || str_eq(verb, STR("print")))
        return check_arguments(argc - 2, argv + 2, str_eq(verb, STR("print")));
    if (argc > 2)
        return cli_refuse(&spec, "\"%s\" has no place here", argv[2]);
    if (str_eq(verb, STR("default")))
        return print_made(config_write_default);
    if (str_eq(verb, STR("doc")))
        return print_made(config_write_reference);
    if (verb.n == 0)
        return cli_refuse(&spec, "check, print, default or doc?");
    const char *like = cli_nearest(verb.p, verbs);
    return cli_refuse(&spec, "there is no \"%s\"%s%s", verb.p, like ? "; did you mean " : "",
                      like ? like : "");
}
