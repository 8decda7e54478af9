/*
 * backup.c - copies and checks an embedded database beside the server that uses it.
 *
 * Always true: the copy is of one moment, and whole: everything that was acknowledged before is in
 * it. Who goes back to it has seen what came later, so it says of itself that it was not ended
 * cleanly: its streams go on in another epoch. A file that is there already is not overwritten, and
 * one that could not be finished does not stay.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 4096, WAIT_MS = 10000 };

static sqlite3 *open_source(struct str url, struct buf *ret_why)
{
    char name[NAME_MAX_BYTES];
    struct buf b = buf_on(name, sizeof(name));
    sqlite3 *db = NULL;
    if (!str_starts(url, STR("sqlite:"))) {
        buf_add(ret_why,
                STR("only an embedded database (sqlite:FILE) can be copied and checked so; "
                    "a database server has tools of its own\n"));
        return NULL;
    }
    struct str file = str_skip(url, sizeof("sqlite:") - 1);
    if (str_starts(file, STR("//")))
        file = str_skip(file, 2);
    if (!buf_add(&b, file) || !buf_add_char(&b, '\0')) {
        buf_add(ret_why, STR("the name of the database's file is too long\n"));
        return NULL;
    }
    int code = sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(db, WAIT_MS);
        return db;
    }
    buf_add_format(ret_why, "%s: %s\n", name, sqlite3_errmsg(db));
    sqlite3_close(db);
    return NULL;
}

static bool copy(sqlite3 *from, const char *file, struct buf *ret_why)
{
    sqlite3 *to = NULL;
    int code = sqlite3_open_v2(file, &to, SQLITE_OPEN_READWRITE, NULL);
    sqlite3_backup *b = code == SQLITE_OK ? sqlite3_backup_init(to, "main", from, "main") : NULL;
    if (b != NULL) { // in one step: of one moment, and a writer does not make it begin anew
        code = sqlite3_backup_step(b, -1);
        int end = sqlite3_backup_finish(b);
        code = code == SQLITE_DONE ? end : code;
    } else if (code == SQLITE_OK) {
        code = sqlite3_errcode(to);
    }
    if (code == SQLITE_OK) // one of an older version has no such column, and says it nevertheless
        code = sqlite3_exec(to, "UPDATE recado_checkpoint SET clean = 0", NULL, NULL, NULL);
    if (code == SQLITE_ERROR)
        code = SQLITE_OK;
    if (code != SQLITE_OK)
        buf_add_format(ret_why, "%s: %s\n", file, sqlite3_errstr(code));
    return sqlite3_close(to) == SQLITE_OK && code == SQLITE_OK;
}

bool store_backup(struct str url, const char *file, struct buf *ret_why)
{
    sqlite3 *from = open_source(url, ret_why);
    if (from == NULL)
        return false;
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    if (!ok) {
        buf_add_format(ret_why, "%s: %s\n", file, strerror(errno));
    } else {
        close(fd);
        ok = copy(from, file, ret_why);
    }
    if (fd >= 0 && !ok)
        unlink(file);
    sqlite3_close(from);
    return ok;
}

bool store_check(struct str url, struct buf *ret_why)
{
    sqlite3 *db = open_source(url, ret_why);
    sqlite3_stmt *s = NULL;
    bool ok = db != NULL;
    if (db == NULL)
        return false;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(20)", -1, &s, NULL) != SQLITE_OK)
        ok = false;
    int code = SQLITE_DONE;
    while (ok && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        if (strcmp(text, "ok") == 0)
            continue;
        ok = false;
        buf_add_format(ret_why, "%s\n", text);
    }
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        buf_add_format(ret_why, "%s\n", sqlite3_errmsg(db));
    ok = ok && code == SQLITE_DONE;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return ok;
}
