/*
 * sql_mariadb.c - MariaDB and MySQL, through MariaDB's connector.
 *
 * Always true: a statement is prepared once per connection; a connection that was lost takes them
 * along, and they are prepared again.
 */
#include "store/sql_priv.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 5, IO_TIMEOUT_S = 20, CHARSET_BINARY = 63, IDLE_TOO_LONG = 4031 };

struct prepared {
    const char *text; // the caller's: the address is the key
    MYSQL_STMT *stmt;
};

struct mariadb {
    struct sql sql;
    MYSQL *conn; // NULL: lost
    bool in_transaction;
    bool claims; // the database, with every connection anew
    struct sql_address address;
    struct prepared prepared[SQL_STATEMENTS_MAX];
    size_t prepared_count;
};

static struct mariadb *mariadb_of(struct sql *db)
{
    return (struct mariadb *)db;
}

/* ---- results ---- */

static enum sql_result result_of(struct mariadb *m, unsigned code, const char *why)
{
    if (code == 0)
        return SQL_OK;
    sql_fail(&m->sql, why);
    switch (code) {
    case ER_DUP_ENTRY:
    case ER_NO_REFERENCED_ROW_2:
    case ER_ROW_IS_REFERENCED_2:
        return SQL_CONSTRAINT;
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
        return SQL_AGAIN;
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
        return SQL_FULL;
    case ER_NOT_KEYFILE:
    case ER_CRASHED_ON_USAGE:
        return SQL_CORRUPT;
    case ER_SERVER_SHUTDOWN:
    case ER_CON_COUNT_ERROR:
    case ER_CONNECTION_KILLED:
    case IDLE_TOO_LONG:
        return SQL_DOWN;
    default:
        return code >= CR_MIN_ERROR && code <= 2999 ? SQL_DOWN : SQL_FAILED;
    }
}

static enum sql_result conn_result(struct mariadb *m)
{
    return result_of(m, mysql_errno(m->conn), mysql_error(m->conn));
}

/* ---- connections ---- */

static void disconnect(struct mariadb *m)
{
    for (size_t i = 0; i < m->prepared_count; i++)
        mysql_stmt_close(m->prepared[i].stmt);
    m->prepared_count = 0;
    if (m->conn != NULL)
        mysql_close(m->conn);
    m->conn = NULL;
}

static enum sql_result connect_now(struct mariadb *m)
{
    const struct sql_address *a = &m->address;
    unsigned connect_s = CONNECT_TIMEOUT_S, io_s = IO_TIMEOUT_S;
    m->conn = mysql_init(NULL);
    if (m->conn == NULL)
        return SQL_DOWN;
    mysql_options(m->conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(m->conn, MYSQL_OPT_READ_TIMEOUT, &io_s);
    mysql_options(m->conn, MYSQL_OPT_WRITE_TIMEOUT, &io_s);
    mysql_options(m->conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(m->conn, MYSQL_INIT_COMMAND, "SET SESSION sql_mode = 'STRICT_ALL_TABLES'");
    mysql_options(m->conn, MYSQL_INIT_COMMAND,
                  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    // "localhost" would mean a socket file, whatever the port.
    const char *host = strcmp(a->host, "localhost") == 0 ? "127.0.0.1" : a->host;
    if (mysql_real_connect(m->conn, host, a->user, a->password, a->database,
                           a->port > 0 ? a->port : 3306, NULL,
                           CLIENT_MULTI_STATEMENTS | CLIENT_FOUND_ROWS) != NULL)
        return SQL_OK;
    enum sql_result r = conn_result(m);
    disconnect(m);
    return r;
}

/* The server lets go of it with the connection; of one that was lost it may not know yet. */
static bool claim(struct sql *db)
{
    struct mariadb *m = mariadb_of(db);
    m->claims = true;
    if (m->conn == NULL ||
        mysql_query(m->conn, "SELECT GET_LOCK(CONCAT('recado:', DATABASE()), 10)") != 0) {
        sql_fail(db, m->conn != NULL ? mysql_error(m->conn) : "the connection was lost");
        return false;
    }
    MYSQL_RES *res = mysql_store_result(m->conn);
    MYSQL_ROW row = res != NULL ? mysql_fetch_row(res) : NULL;
    bool ok = row != NULL && row[0] != NULL && row[0][0] == '1';
    mysql_free_result(res);
    if (!ok)
        sql_fail(db, "another Recado uses it");
    return ok;
}

static enum sql_result reconnect(struct mariadb *m)
{
    if (m->conn != NULL)
        return SQL_OK;
    if (!m->in_transaction) {
        enum sql_result r = connect_now(m);
        if (r == SQL_OK && m->claims && !claim(&m->sql)) {
            disconnect(m);
            r = SQL_DOWN;
        }
        return r;
    }
    sql_fail(&m->sql, "the connection was lost");
    return SQL_DOWN;
}

/* What failed because the server is gone leaves no connection behind. */
static enum sql_result settle(struct mariadb *m, enum sql_result r)
{
    if (r == SQL_DOWN)
        disconnect(m);
    return r;
}

static void mariadb_close(struct sql *db)
{
    disconnect(mariadb_of(db));
    free(db);
}

static struct sql *mariadb_open(struct str url, enum sql_result *ret, struct buf *ret_why)
{
    struct mariadb *m = calloc(1, sizeof(*m));
    const char *why;
    *ret = SQL_FAILED;
    if (m == NULL)
        return NULL;
    m->sql.driver = &sql_mariadb;
    if (!sql_address_parse(url, &m->address, &why)) {
        buf_add_format(ret_why, "store: the address of the database: %s\n", why);
        free(m);
        return NULL;
    }
    *ret = connect_now(m);
    if (*ret == SQL_OK)
        return &m->sql;
    buf_add_format(ret_why, "store: MariaDB at %s: %s\n", m->address.host, m->sql.why);
    mariadb_close(&m->sql);
    return NULL;
}

/* ---- statements ---- */

static enum sql_result prepared_get(struct mariadb *m, const char *text, MYSQL_STMT **ret)
{
    for (size_t i = 0; i < m->prepared_count; i++) {
        if (m->prepared[i].text == text) {
            *ret = m->prepared[i].stmt;
            return SQL_OK;
        }
    }
    MYSQL_STMT *s = m->prepared_count < SQL_STATEMENTS_MAX ? mysql_stmt_init(m->conn) : NULL;
    if (s == NULL) {
        sql_fail(&m->sql, "too many statements, or no memory");
        return SQL_FAILED;
    }
    my_bool update = 1; // the longest value of each column is wanted
    mysql_stmt_attr_set(s, STMT_ATTR_UPDATE_MAX_LENGTH, &update);
    if (mysql_stmt_prepare(s, text, strlen(text)) != 0) {
        enum sql_result r = result_of(m, mysql_stmt_errno(s), mysql_stmt_error(s));
        mysql_stmt_close(s);
        return r;
    }
    m->prepared[m->prepared_count++] = (struct prepared){text, s};
    *ret = s;
    return SQL_OK;
}

struct bound {
    MYSQL_BIND binds[SQL_PARAMS_MAX];
    unsigned long lengths[SQL_PARAMS_MAX];
    my_bool nulls[SQL_PARAMS_MAX];
    long long numbers[SQL_PARAMS_MAX];
    double reals[SQL_PARAMS_MAX];
};

static void bind_params(struct bound *b, const struct sql_value *params, size_t count)
{
    static const enum enum_field_types types[] = {[SQL_NULL] = MYSQL_TYPE_NULL,
                                                  [SQL_INT] = MYSQL_TYPE_LONGLONG,
                                                  [SQL_REAL] = MYSQL_TYPE_DOUBLE,
                                                  [SQL_TEXT] = MYSQL_TYPE_STRING,
                                                  [SQL_BLOB] = MYSQL_TYPE_BLOB};
    memset(b->binds, 0, sizeof(b->binds));
    for (size_t i = 0; i < count; i++) {
        const struct sql_value *v = &params[i];
        MYSQL_BIND *to = &b->binds[i];
        to->buffer_type = types[v->type];
        b->lengths[i] = v->s.n;
        b->numbers[i] = v->i;
        b->reals[i] = v->d;
        to->length = &b->lengths[i];
        to->buffer_length = v->s.n;
        to->buffer = v->type == SQL_INT    ? (void *)&b->numbers[i]
                     : v->type == SQL_REAL ? (void *)&b->reals[i]
                     : v->s.p != NULL      ? (void *)(uintptr_t)v->s.p
                                           : (void *)(uintptr_t) ""; // empty is not NULL
    }
}

static bool is_number(const MYSQL_FIELD *f)
{
    switch (f->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONGLONG:
        return true;
    default:
        return false;
    }
}

static struct sql_value column(const struct bound *b, const MYSQL_FIELD *f, unsigned at)
{
    const MYSQL_BIND *from = &b->binds[at];
    if (b->nulls[at])
        return (struct sql_value){.type = SQL_NULL};
    if (from->buffer_type == MYSQL_TYPE_LONGLONG)
        return sql_int(b->numbers[at]);
    if (from->buffer_type == MYSQL_TYPE_DOUBLE)
        return (struct sql_value){.type = SQL_REAL, .d = b->reals[at]};
    struct str s = {from->buffer, b->lengths[at]};
    return f->charsetnr == CHARSET_BINARY ? sql_blob(s) : sql_text(s);
}

/* One block for the strings of a row: each column as long as its longest value. */
static char *bind_columns(struct bound *b, const MYSQL_FIELD *fields, unsigned count)
{
    size_t need = 1;
    memset(b->binds, 0, sizeof(b->binds));
    for (unsigned i = 0; i < count; i++)
        need += fields[i].max_length;
    char *block = malloc(need);
    char *at = block;
    for (unsigned i = 0; block != NULL && i < count; i++) {
        MYSQL_BIND *to = &b->binds[i];
        bool real = fields[i].type == MYSQL_TYPE_DOUBLE || fields[i].type == MYSQL_TYPE_FLOAT ||
                    fields[i].type == MYSQL_TYPE_NEWDECIMAL;
        to->is_null = &b->nulls[i];
        to->length = &b->lengths[i];
        to->buffer_type = is_number(&fields[i]) ? MYSQL_TYPE_LONGLONG
                          : real                ? MYSQL_TYPE_DOUBLE
                                                : MYSQL_TYPE_BLOB;
        to->buffer = is_number(&fields[i]) ? (void *)&b->numbers[i]
                     : real                ? (void *)&b->reals[i]
                                           : at;
        to->buffer_length = fields[i].max_length;
        at += fields[i].max_length;
    }
    return block;
}

static enum sql_result give_rows(struct mariadb *m, MYSQL_STMT *s, sql_row_fn *row, void *ctx)
{
    struct bound b;
    struct sql_value values[SQL_PARAMS_MAX];
    MYSQL_RES *meta = mysql_stmt_result_metadata(s);
    if (meta == NULL)
        return SQL_OK; // no rows by its nature
    if (mysql_stmt_store_result(s) != 0) {
        mysql_free_result(meta);
        return result_of(m, mysql_stmt_errno(s), mysql_stmt_error(s));
    }
    MYSQL_RES *stored = mysql_stmt_result_metadata(s); // with the lengths
    unsigned count = mysql_num_fields(stored);
    const MYSQL_FIELD *fields = mysql_fetch_fields(stored);
    char *block = count <= SQL_PARAMS_MAX ? bind_columns(&b, fields, count) : NULL;
    enum sql_result r =
        block != NULL && mysql_stmt_bind_result(s, b.binds) == 0 ? SQL_OK : SQL_FAILED;
    while (r == SQL_OK && row != NULL && mysql_stmt_fetch(s) == 0) {
        for (unsigned i = 0; i < count; i++)
            values[i] = column(&b, &fields[i], i);
        if (!row(ctx, values, count))
            break;
    }
    free(block);
    mysql_stmt_free_result(s);
    mysql_free_result(stored);
    mysql_free_result(meta);
    return r;
}

static enum sql_result run(struct sql *db, const char *text, const struct sql_value *params,
                           size_t count, sql_row_fn *row, void *ctx)
{
    struct mariadb *m = mariadb_of(db);
    struct bound b;
    MYSQL_STMT *s = NULL;
    enum sql_result r = reconnect(m);
    if (r == SQL_OK)
        r = prepared_get(m, text, &s);
    if (r != SQL_OK)
        return settle(m, r);
    bind_params(&b, params, count);
    if ((count > 0 && mysql_stmt_bind_param(s, b.binds) != 0) || mysql_stmt_execute(s) != 0)
        return settle(m, result_of(m, mysql_stmt_errno(s), mysql_stmt_error(s)));
    db->changes = (int64_t)mysql_stmt_affected_rows(s);
    return settle(m, give_rows(m, s, row, ctx));
}

static enum sql_result script(struct sql *db, const char *text)
{
    struct mariadb *m = mariadb_of(db);
    enum sql_result r = reconnect(m);
    if (r != SQL_OK)
        return r;
    int more = mysql_real_query(m->conn, text, strlen(text)) != 0 ? 1 : 0;
    while (more == 0) {
        MYSQL_RES *res = mysql_store_result(m->conn);
        if (res != NULL)
            mysql_free_result(res);
        more = mysql_next_result(m->conn); // 0: another one, -1: none, > 0: it failed
    }
    return more > 0 ? settle(m, conn_result(m)) : SQL_OK;
}

static enum sql_result begin_with(struct sql *db, const char *text)
{
    enum sql_result r = script(db, text);
    mariadb_of(db)->in_transaction = r == SQL_OK;
    return r;
}

static enum sql_result begin(struct sql *db)
{
    return begin_with(db, "BEGIN");
}

/* The level is that of this transaction alone. Both go out in one text. */
static enum sql_result begin_read(struct sql *db)
{
    return begin_with(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
                          "START TRANSACTION READ ONLY");
}

/* A commit whose answer was lost may have happened: it is found out by trying again. */
static enum sql_result commit(struct sql *db)
{
    enum sql_result r = script(db, "COMMIT");
    mariadb_of(db)->in_transaction = false;
    return r;
}

static void rollback(struct sql *db)
{
    struct mariadb *m = mariadb_of(db);
    m->in_transaction = false;
    if (m->conn != NULL)
        (void)script(db, "ROLLBACK");
}

const struct sql_driver sql_mariadb = {
    .kind = SQL_MARIADB,
    .scheme = "mysql://",
    .open = mariadb_open,
    .close = mariadb_close,
    .run = run,
    .script = script,
    .begin = begin,
    .begin_read = begin_read,
    .commit = commit,
    .rollback = rollback,
    .claim = claim,
    .words = {.blob = "LONGBLOB",
              .text = "LONGTEXT",
              .key = "VARBINARY(512)",
              .suffix = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
};
