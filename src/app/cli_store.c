/*
 * cli_store.c - recado store: a copy of the embedded database while it is in use, and whether it is
 * sound.
 *
 * Works on the file, beside the running server or without one.
 */
#include "app/cli.h"
#include "app/config.h"
#include "app/server.h"
#include "store/store.h"

extern char **environ;

enum { TEXT_MAX_BYTES = 1 << 20 };

static const char help[] =
    "usage: recado store backup [-c FILE] [--data DIR] TO\n"
    "       recado store check  [-c FILE] [--data DIR] [BACKUP]\n"
    "\n"
    "  backup   copies the embedded database to a new file, while the server runs: everything "
    "that\n"
    "           was acknowledged before is in it. To go back to it, stop the server and put it in\n"
    "           the place of recado.db, without the -wal and -shm files that lie beside that\n"
    "  check    reads all of it, or of a backup, and says what is wrong\n"
    "\n"
    "  -c, --config FILE   the server's configuration, which says where the database is\n"
    "      --data DIR      or where it keeps its files (recado-data)\n"
    "\n"
    "Database servers (mysql://, postgres://) are copied and checked with their own tools.\n"
    "\n"
    "examples:\n"
    "  recado store backup -c /etc/recado/recado.yaml /backup/recado-$(date +%F).db\n"
    "  recado store check\n"
    "  recado store check /backup/recado-2026-11-30.db\n";

static int fail_with(const struct cli_spec *spec, const struct buf *why)
{
    struct str text = buf_str(why), line = str_cut(&text, '\n');
    return cli_fail(spec, "%.*s", STR_FMT(line));
}

/* to: of a backup; or of: what is checked, NULL: the server's own database. */
static int work(const struct cli_spec *spec, const struct config_source *source, const char *to,
                const char *of)
{
    struct config *c = NULL;
    struct buf why, url;
    buf_init(&why, TEXT_MAX_BYTES);
    buf_init(&url, TEXT_MAX_BYTES);
    int code = CLI_DONE;
    if (!config_load(source, &c, &why)) {
        fprintf(stderr, "%.*s", STR_FMT(buf_str(&why)));
        code = CLI_WRONG;
    } else if (of != NULL ? !buf_add_format(&url, "sqlite:%s", of) : !storage_url(c, &url)) {
        code = cli_fail(spec, "out of memory");
    } else {
        buf_clear(&why);
        bool ok =
            to != NULL ? store_backup(buf_str(&url), to, &why) : store_check(buf_str(&url), &why);
        code = ok ? CLI_DONE : fail_with(spec, &why);
        if (ok)
            puts(to != NULL ? to : "ok");
    }
    config_destroy(&c);
    buf_fini(&url);
    buf_fini(&why);
    return code;
}

int cli_store(int argc, char **argv)
{
    const char *file = config_file_default(environ), *data = NULL;
    const struct cli_option options[] = {
        {"config", 'c', CLI_TEXT, &file}, {"data", 0, CLI_TEXT, &data}, {.name = NULL}};
    const struct cli_spec spec = {.command = "store", .help = help, .options = options};
    struct cli_list rest = {.count = 0};
    enum cli_parsed parsed = cli_parse(&spec, argc, argv, &rest);
    if (parsed != CLI_GO)
        return cli_parsed_exit(parsed);
    struct str verb = str_from(rest.count > 0 ? rest.items[0] : NULL);
    bool backup = str_eq(verb, STR("backup"));
    if (!backup && !str_eq(verb, STR("check")))
        return cli_refuse(&spec, "backup or check?");
    if (backup ? rest.count != 2 : rest.count > 2)
        return cli_refuse(&spec, backup ? "backup wants the name of one new file"
                                        : "check wants at most the name of one file");
    struct config_flag flag = {.key = "data_dir", .value = data};
    struct config_source source = {
        .file = file, .env = environ, .flags = &flag, .flag_count = data != NULL ? 1 : 0};
    const char *name = rest.count > 1 ? rest.items[1] : NULL;
    return work(&spec, &source, backup ? name : NULL, backup ? NULL : name);
}
