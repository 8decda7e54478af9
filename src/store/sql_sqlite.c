/*
 * sql_sqlite.c - the embedded database: one file with a write-ahead log.
 *
 * Always true:
 *   L1. a commit that said SQL_OK is on the disk: synchronous is FULL.
 *   L2. a file that is damaged, or not a database, is refused and never written to.
 */
#include "store/sql_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_TIMEOUT_MS = 5000,
    SQLITE_URL_MAX = 4096,
    VERIFY_BYTES_MAX = 64 << 20,
    INTERRUPT_STEPS = 10000 // of SQLite's machine, between two looks
};

struct prepared {
    const char *text; // the caller's: the address is the key
    sqlite3_stmt *stmt;
};

struct sqlite {
    struct sql sql;
    sqlite3 *handle;
    bool in_memory;
    atomic_bool interrupted;
    int claim_fd; // of FILE-lock; -1: not claimed
    struct prepared prepared[SQL_STATEMENTS_MAX];
    size_t prepared_count;
};

static struct sqlite *sqlite_of(struct sql *db)
{
    return (struct sqlite *)db;
}

static bool is_full(const struct sqlite *q)
{
    int why = q->handle != NULL ? sqlite3_system_errno(q->handle) : 0;
    return why == ENOSPC || why == EDQUOT;
}

static enum sql_result result_of(struct sqlite *q, int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
        return SQL_OK;
    sql_fail(&q->sql, q->handle != NULL ? sqlite3_errmsg(q->handle) : sqlite3_errstr(code));
    switch (code & 0xff) {
    case SQLITE_FULL:
        return SQL_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SQL_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SQL_AGAIN;
    case SQLITE_CONSTRAINT:
        return SQL_CONSTRAINT;
    case SQLITE_IOERR: // a full disk shows itself so as well, in the write-ahead log's index
        return code == SQLITE_IOERR_SHMSIZE || is_full(q) ? SQL_FULL : SQL_DOWN;
    case SQLITE_INTERRUPT:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return SQL_DOWN;
    default:
        return SQL_FAILED;
    }
}

static enum sql_result script(struct sql *db, const char *text)
{
    struct sqlite *q = sqlite_of(db);
    return result_of(q, sqlite3_exec(q->handle, text, NULL, NULL, NULL));
}

static void sqlite_close(struct sql *db)
{
    struct sqlite *q = sqlite_of(db);
    for (size_t i = 0; i < q->prepared_count; i++)
        sqlite3_finalize(q->prepared[i].stmt);
    sqlite3_close(q->handle);
    if (q->claim_fd >= 0)
        close(q->claim_fd);
    free(q);
}

/* ---- opening ---- */

static bool is_memory(struct str url)
{
    return str_starts(url, STR("memory"));
}

/* A name that several connections of this process share while one of them is open. */
static const char *memory_uri(struct str url, char *at, size_t cap)
{
    struct str name = str_skip(url, sizeof("memory") - 1);
    struct buf b = buf_on(at, cap);
    if (name.n > 0 && name.p[0] == ':')
        name = str_skip(name, 1);
    if (!buf_add(&b, STR("file:/recado-")) || !buf_add(&b, name) ||
        !buf_add(&b, STR("?vfs=memdb")) || !buf_add_char(&b, '\0'))
        return NULL;
    return at;
}

static const char *file_name(struct str url, char *at, size_t cap)
{
    struct str name = str_skip(url, sizeof("sqlite:") - 1);
    if (str_starts(name, STR("//")))
        name = str_skip(name, 2);
    struct buf b = buf_on(at, cap);
    return name.n > 0 && buf_add(&b, name) && buf_add_char(&b, '\0') ? at : NULL;
}

static int64_t number_of(struct sqlite *q, const char *text)
{
    sqlite3_stmt *s = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(q->handle, text, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static int64_t file_bytes(const char *name, const char *end)
{
    char at[SQLITE_URL_MAX + 8];
    struct stat st;
    snprintf(at, sizeof(at), "%s%s", name, end);
    return stat(at, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* One of which the end is missing; SQLite itself notices when it wants to read that. While there is
 * something in the log, the rest may be there. */
static enum sql_result check_length(struct sqlite *q)
{
    const char *name = sqlite3_db_filename(q->handle, "main");
    int64_t bytes = number_of(q, "PRAGMA page_count") * number_of(q, "PRAGMA page_size");
    if (q->in_memory || file_bytes(name, "-wal") > 0 || file_bytes(name, "") >= bytes)
        return SQL_OK;
    sql_fail(&q->sql, "it is damaged: its end is missing");
    return SQL_CORRUPT;
}

static enum sql_result verify(struct sql *db)
{
    struct sqlite *q = sqlite_of(db);
    const char *name = sqlite3_db_filename(q->handle, "main");
    sqlite3_stmt *s = NULL;
    if (q->in_memory || file_bytes(name, "") > VERIFY_BYTES_MAX)
        return SQL_OK;
    int code = sqlite3_prepare_v2(q->handle, "PRAGMA quick_check(1)", -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    enum sql_result r = result_of(q, code);
    const char *said = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : "ok";
    if (said == NULL || strcmp(said, "ok") != 0) {
        sql_fail(db, said != NULL ? said : "it is damaged");
        r = SQL_CORRUPT;
    }
    sqlite3_finalize(s);
    return r;
}

static enum sql_result sqlite_prepare_file(struct sqlite *q)
{
    enum sql_result r = script(&q->sql, "PRAGMA busy_timeout = 5000;"
                                        "PRAGMA foreign_keys = ON;"
                                        "PRAGMA temp_store = MEMORY;"
                                        "PRAGMA cache_size = -65536");
    if (r == SQL_OK && !q->in_memory) // the size of pages counts while the file is empty
        r = script(&q->sql, "PRAGMA page_size = 16384;"
                            "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA wal_autocheckpoint = 1000;"
                            "PRAGMA journal_size_limit = 67108864");
    if (r == SQL_OK) // reads the header: what is not a database shows itself here
        r = script(&q->sql, "SELECT count(*) FROM sqlite_master");
    return r == SQL_OK ? check_length(q) : r;
}

static void explain(struct sqlite *q, const char *file, enum sql_result r, struct buf *ret_why)
{
    buf_add_format(ret_why, "store: %s: %s%s\n", file, q->sql.why,
                   r == SQL_CORRUPT ? "; the file was left as it is: move it away, or restore a "
                                      "backup in its place"
                                    : "");
}

/* A new file is its owner's only, and SQLite gives what lies beside it the same rights. One that is
 * there is left alone: to close it here would end the locks of other connections. */
static void make_private(const char *name, bool in_memory)
{
    int fd = in_memory ? -1 : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

/* SQLite's own interrupt does nothing between two statements. */
static int is_interrupted(void *ctx)
{
    return atomic_load(&((struct sqlite *)ctx)->interrupted);
}

static void interrupt(struct sql *db)
{
    atomic_store(&sqlite_of(db)->interrupted, true);
}

static struct sql *sqlite_open(struct str url, enum sql_result *ret, struct buf *ret_why)
{
    char at[SQLITE_URL_MAX];
    bool in_memory = is_memory(url);
    const char *name = in_memory ? memory_uri(url, at, sizeof(at)) : file_name(url, at, sizeof(at));
    struct sqlite *q = calloc(1, sizeof(*q));
    *ret = SQL_FAILED;
    if (q == NULL || name == NULL) {
        buf_add(ret_why, STR("store: the name of the database's file is missing or too long\n"));
        free(q);
        return NULL;
    }
    q->sql.driver = &sql_sqlite;
    q->in_memory = in_memory;
    q->claim_fd = -1;
    make_private(name, in_memory);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                (in_memory ? SQLITE_OPEN_URI : 0);
    int code = sqlite3_open_v2(name, &q->handle, flags, NULL);
    *ret = result_of(q, code);
    if (*ret == SQL_OK)
        sqlite3_extended_result_codes(q->handle, 1);
    if (*ret == SQL_OK)
        *ret = sqlite_prepare_file(q);
    if (*ret == SQL_OK) {
        sqlite3_progress_handler(q->handle, INTERRUPT_STEPS, is_interrupted, q);
        return &q->sql;
    }
    explain(q, in_memory ? "memory" : name, *ret, ret_why);
    sqlite_close(&q->sql);
    return NULL;
}

/* ---- statements ---- */

static enum sql_result prepared_get(struct sqlite *q, const char *text, sqlite3_stmt **ret)
{
    for (size_t i = 0; i < q->prepared_count; i++) {
        if (q->prepared[i].text == text) {
            *ret = q->prepared[i].stmt;
            return SQL_OK;
        }
    }
    if (q->prepared_count == SQL_STATEMENTS_MAX) {
        sql_fail(&q->sql, "too many statements");
        return SQL_FAILED;
    }
    int code = sqlite3_prepare_v3(q->handle, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (code != SQLITE_OK)
        return result_of(q, code);
    q->prepared[q->prepared_count++] = (struct prepared){text, *ret};
    return SQL_OK;
}

/* The strings stay until the statement is reset: nothing is copied. */
static int bind(sqlite3_stmt *s, int at, const struct sql_value *v)
{
    switch (v->type) {
    case SQL_INT:
        return sqlite3_bind_int64(s, at, v->i);
    case SQL_REAL:
        return sqlite3_bind_double(s, at, v->d);
    case SQL_TEXT:
        return sqlite3_bind_text64(s, at, v->s.p != NULL ? v->s.p : "", v->s.n, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case SQL_BLOB:
        return sqlite3_bind_blob64(s, at, v->s.p != NULL ? v->s.p : "", v->s.n, SQLITE_STATIC);
    case SQL_NULL:
        break;
    }
    return sqlite3_bind_null(s, at);
}

static struct sql_value column(sqlite3_stmt *s, int at)
{
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        return sql_int(sqlite3_column_int64(s, at));
    case SQLITE_FLOAT:
        return (struct sql_value){.type = SQL_REAL, .d = sqlite3_column_double(s, at)};
    case SQLITE_TEXT: {
        const char *p = (const char *)sqlite3_column_text(s, at);
        return sql_text((struct str){p, (size_t)sqlite3_column_bytes(s, at)});
    }
    case SQLITE_BLOB: {
        const char *p = sqlite3_column_blob(s, at);
        return sql_blob((struct str){p, (size_t)sqlite3_column_bytes(s, at)});
    }
    default:
        return (struct sql_value){.type = SQL_NULL};
    }
}

static int step_all(sqlite3_stmt *s, sql_row_fn *row, void *ctx)
{
    struct sql_value values[SQL_PARAMS_MAX];
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        int count = sqlite3_column_count(s);
        if (row == NULL || count > SQL_PARAMS_MAX)
            continue;
        for (int i = 0; i < count; i++)
            values[i] = column(s, i);
        if (!row(ctx, values, (size_t)count))
            return SQLITE_DONE;
    }
    return code;
}

static enum sql_result run(struct sql *db, const char *text, const struct sql_value *params,
                           size_t count, sql_row_fn *row, void *ctx)
{
    struct sqlite *q = sqlite_of(db);
    sqlite3_stmt *s = NULL;
    enum sql_result r = prepared_get(q, text, &s);
    if (r != SQL_OK)
        return r;
    int code = SQLITE_OK;
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        code = bind(s, (int)i + 1, &params[i]);
    if (code == SQLITE_OK)
        code = step_all(s, row, ctx);
    r = result_of(q, code); // before the reset, which may change the text
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    if (r == SQL_OK)
        db->changes = sqlite3_changes64(q->handle);
    return r;
}

static enum sql_result begin(struct sql *db)
{
    return run(db, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL);
}

static enum sql_result begin_read(struct sql *db)
{
    return run(db, "BEGIN", NULL, 0, NULL, NULL);
}

static enum sql_result commit(struct sql *db)
{
    return run(db, "COMMIT", NULL, 0, NULL, NULL);
}

static void rollback(struct sql *db)
{
    struct sqlite *q = sqlite_of(db);
    if (sqlite3_get_autocommit(q->handle) == 0) // a full disk may have rolled back already
        (void)sqlite3_exec(q->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* A file beside it, which is locked for as long as the process lives: SQLite's own locks are taken
 * for moments only. */
static bool claim(struct sql *db)
{
    struct sqlite *q = sqlite_of(db);
    char name[SQLITE_URL_MAX + 8];
    if (q->in_memory || q->claim_fd >= 0)
        return true;
    snprintf(name, sizeof(name), "%s-lock", sqlite3_db_filename(q->handle, "main"));
    q->claim_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (q->claim_fd >= 0 && flock(q->claim_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    sql_fail(db, errno == EWOULDBLOCK ? "another Recado uses it" : strerror(errno));
    return false;
}

const struct sql_driver sql_sqlite = {
    .kind = SQL_SQLITE,
    .scheme = "sqlite:",
    .open = sqlite_open,
    .close = sqlite_close,
    .run = run,
    .script = script,
    .begin = begin,
    .begin_read = begin_read,
    .commit = commit,
    .rollback = rollback,
    .claim = claim,
    .verify = verify,
    .interrupt = interrupt,
    .words = {.blob = "BLOB", .text = "TEXT", .key = "TEXT", .suffix = ""},
};
