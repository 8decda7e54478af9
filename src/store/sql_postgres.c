/*
 * sql_postgres.c - PostgreSQL, through libpq.
 *
 * Always true: a statement is prepared once per connection; a connection that was lost takes them
 * along, and they are prepared again.
 */
#include "store/sql_priv.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    STATEMENT_MAX = 4096,
    NUMBER_MAX = 32,
    IO_TIMEOUT_MS = 20000,
    CLAIM_TRIES = 100,
    CLAIM_WAIT_MS = 100
};
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

struct postgres {
    struct sql sql;
    PGconn *conn;
    bool in_transaction;
    bool claims;                              // the database, with every connection anew
    const char *prepared[SQL_STATEMENTS_MAX]; // the callers' texts; the index is the name
    size_t prepared_count;
};

static struct postgres *postgres_of(struct sql *db)
{
    return (struct postgres *)db;
}

/* ---- results ---- */

static bool state_begins(const char *state, const char *head)
{
    return state != NULL && strncmp(state, head, strlen(head)) == 0;
}

static enum sql_result result_of(struct postgres *p, const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return SQL_OK;
    const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *why = res != NULL ? PQresultErrorMessage(res) : PQerrorMessage(p->conn);
    sql_fail(&p->sql, why);
    if (PQstatus(p->conn) != CONNECTION_OK || state_begins(state, "08") ||
        state_begins(state, "57P"))
        return SQL_DOWN;
    if (state_begins(state, "53100"))
        return SQL_FULL;
    if (state_begins(state, "23"))
        return SQL_CONSTRAINT;
    if (state_begins(state, "40") || state_begins(state, "55P03"))
        return SQL_AGAIN;
    if (state_begins(state, "XX001") || state_begins(state, "XX002"))
        return SQL_CORRUPT;
    return SQL_FAILED;
}

static enum sql_result take(struct postgres *p, PGresult *res)
{
    enum sql_result r = result_of(p, res);
    PQclear(res);
    return r;
}

/* ---- waiting ---- */

/* A server that is there and never answers would keep a thread for ever. */
static bool wait_for_answer(struct postgres *p)
{
    while (PQisBusy(p->conn)) {
        struct pollfd fd = {.fd = PQsocket(p->conn), .events = POLLIN};
        int n = poll(&fd, 1, IO_TIMEOUT_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            shutdown(fd.fd, SHUT_RDWR); // the connection is lost, and libpq will notice
            return PQconsumeInput(p->conn) == 1 && !PQisBusy(p->conn);
        }
        if (PQconsumeInput(p->conn) == 0)
            return false;
    }
    return true;
}

/* Of what was sent: the last answer, or the first that says it failed; NULL: the connection is
 * lost. */
static PGresult *answer(struct postgres *p, bool sent)
{
    PGresult *last = NULL, *next;
    while (sent && wait_for_answer(p) && (next = PQgetResult(p->conn)) != NULL) {
        ExecStatusType s = last != NULL ? PQresultStatus(last) : PGRES_COMMAND_OK;
        if (s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK) {
            PQclear(last);
            last = next;
        } else {
            PQclear(next);
        }
    }
    if (PQstatus(p->conn) == CONNECTION_OK)
        return last;
    PQclear(last);
    return NULL;
}

static PGresult *execute(struct postgres *p, const char *text)
{
    return answer(p, PQsendQuery(p->conn, text) == 1);
}

/* ---- connections ---- */

static enum sql_result settings(struct postgres *p)
{
    p->prepared_count = 0;
    return take(p, execute(p, "SET client_encoding = 'UTF8';"
                              "SET default_transaction_isolation = 'read committed'"));
}

/* The server lets go of it with the connection; of one that was lost it may not know yet. */
static bool claim(struct sql *db)
{
    struct postgres *p = postgres_of(db);
    p->claims = true;
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        PGresult *res = execute(p, "SELECT pg_try_advisory_lock(hashtext('recado'), 0)");
        enum sql_result r = result_of(p, res);
        bool ok = r == SQL_OK && PQntuples(res) == 1 && PQgetvalue(res, 0, 0)[0] == 't';
        PQclear(res);
        if (ok || r != SQL_OK)
            return ok;
        (void)poll(NULL, 0, CLAIM_WAIT_MS);
    }
    sql_fail(db, "another Recado uses it");
    return false;
}

static enum sql_result reconnect(struct postgres *p)
{
    if (PQstatus(p->conn) == CONNECTION_OK)
        return SQL_OK;
    if (p->in_transaction) {
        sql_fail(&p->sql, "the connection was lost");
        return SQL_DOWN;
    }
    PQreset(p->conn);
    if (PQstatus(p->conn) != CONNECTION_OK) {
        sql_fail(&p->sql, PQerrorMessage(p->conn));
        return SQL_DOWN;
    }
    enum sql_result r = settings(p);
    if (r == SQL_OK && p->claims && !claim(&p->sql)) {
        shutdown(PQsocket(p->conn), SHUT_RDWR); // not without it
        (void)PQconsumeInput(p->conn);
        r = SQL_DOWN;
    }
    return r;
}

static void postgres_close(struct sql *db)
{
    PQfinish(postgres_of(db)->conn);
    free(db);
}

static void ignore_notice(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static struct sql *postgres_open(struct str url, enum sql_result *ret, struct buf *ret_why)
{
    struct sql_address a;
    const char *why;
    char port[NUMBER_MAX];
    *ret = SQL_FAILED;
    if (!sql_address_parse(url, &a, &why)) {
        buf_add_format(ret_why, "store: the address of the database: %s\n", why);
        return NULL;
    }
    snprintf(port, sizeof(port), "%u", a.port > 0 ? a.port : 5432);
    const char *const names[] = {"host",
                                 "port",
                                 "user",
                                 "password",
                                 "dbname",
                                 "connect_timeout",
                                 "tcp_user_timeout",
                                 "application_name",
                                 NULL};
    const char *const values[] = {a.host, port,    a.user,   a.password, a.database,
                                  "5",    "10000", "recado", NULL};
    struct postgres *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->sql.driver = &sql_postgres;
    p->conn = PQconnectdbParams(names, values, 0);
    if (p->conn != NULL) // what exists already is no news
        PQsetNoticeProcessor(p->conn, ignore_notice, NULL);
    *ret = SQL_DOWN;
    if (p->conn != NULL && PQstatus(p->conn) == CONNECTION_OK)
        *ret = settings(p);
    if (*ret == SQL_OK)
        return &p->sql;
    buf_add_format(ret_why, "store: PostgreSQL at %s: %s\n", a.host, PQerrorMessage(p->conn));
    postgres_close(&p->sql);
    return NULL;
}

/* ---- statements ---- */

/* '?' becomes $1, $2 ... No text of ours has one inside quotes. */
static bool number_parameters(const char *text, char *at, size_t cap)
{
    struct buf b = buf_on(at, cap);
    unsigned n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '?' ? !buf_add_format(&b, "$%u", ++n) : !buf_add_char(&b, *text))
            return false;
    }
    return buf_add_char(&b, '\0');
}

static enum sql_result prepared_get(struct postgres *p, const char *text, char name[NUMBER_MAX])
{
    char numbered[STATEMENT_MAX];
    size_t i = 0;
    while (i < p->prepared_count && p->prepared[i] != text)
        i++;
    snprintf(name, NUMBER_MAX, "s%zu", i);
    if (i < p->prepared_count)
        return SQL_OK;
    if (i == SQL_STATEMENTS_MAX || !number_parameters(text, numbered, sizeof(numbered))) {
        sql_fail(&p->sql, "too many statements, or too long a one");
        return SQL_FAILED;
    }
    enum sql_result r = take(p, answer(p, PQsendPrepare(p->conn, name, numbered, 0, NULL) == 1));
    if (r == SQL_OK)
        p->prepared[p->prepared_count++] = text;
    return r;
}

struct bound {
    const char *values[SQL_PARAMS_MAX];
    int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
    char numbers[SQL_PARAMS_MAX][NUMBER_MAX];
};

/* Numbers go as text, which fits any numeric column; strings as they are. */
static void bind_params(struct bound *b, const struct sql_value *params, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct sql_value *v = &params[i];
        bool is_string = v->type == SQL_TEXT || v->type == SQL_BLOB;
        b->formats[i] = is_string;
        b->lengths[i] = is_string ? (int)v->s.n : 0;
        b->values[i] = v->type == SQL_NULL ? NULL : is_string ? v->s.p : b->numbers[i];
        if (is_string && v->s.p == NULL)
            b->values[i] = "";
        if (v->type == SQL_INT)
            snprintf(b->numbers[i], NUMBER_MAX, "%lld", (long long)v->i);
        if (v->type == SQL_REAL)
            snprintf(b->numbers[i], NUMBER_MAX, "%.17g", v->d);
    }
}

static uint64_t big_endian(const char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

/* A sum of BIGINTs: digits of base 10000, the first with the weight that is said. */
static double numeric_value(const char *p, int n)
{
    double v = 0;
    int digits = n >= 8 ? (int)big_endian(p, 2) : 0;
    int weight = n >= 8 ? (int16_t)big_endian(p + 2, 2) : 0;
    bool negative = n >= 8 && big_endian(p + 4, 2) == 0x4000;
    for (int i = 0; i < digits && 10 + 2 * i <= n; i++)
        v = v * 10000 + (double)big_endian(p + 8 + (ptrdiff_t)2 * i, 2);
    for (int i = digits - 1; i < weight; i++)
        v *= 10000;
    for (int i = digits - 1; i > weight; i--)
        v /= 10000;
    return negative ? -v : v;
}

static struct sql_value column(const PGresult *res, int row, int at)
{
    if (PQgetisnull(res, row, at))
        return (struct sql_value){.type = SQL_NULL};
    const char *p = PQgetvalue(res, row, at);
    int n = PQgetlength(res, row, at);
    uint64_t v = big_endian(p, n <= 8 ? n : 0);
    struct sql_value real = {.type = SQL_REAL};
    switch (PQftype(res, at)) {
    case OID_INT8:
        return sql_int((int64_t)v);
    case OID_INT4:
        return sql_int((int32_t)v);
    case OID_INT2:
        return sql_int((int16_t)v);
    case OID_BOOL:
        return sql_int((int64_t)v);
    case OID_FLOAT8:
        memcpy(&real.d, &v, sizeof(v));
        return real;
    case OID_NUMERIC:
        real.d = numeric_value(p, n);
        return real;
    case OID_BYTEA:
        return sql_blob((struct str){p, (size_t)n});
    default:
        return sql_text((struct str){p, (size_t)n});
    }
}

static void give_rows(const PGresult *res, sql_row_fn *row, void *ctx)
{
    struct sql_value values[SQL_PARAMS_MAX];
    int count = PQnfields(res);
    if (row == NULL || count > SQL_PARAMS_MAX)
        return;
    for (int i = 0; i < PQntuples(res); i++) {
        for (int k = 0; k < count; k++)
            values[k] = column(res, i, k);
        if (!row(ctx, values, (size_t)count))
            return;
    }
}

static enum sql_result run(struct sql *db, const char *text, const struct sql_value *params,
                           size_t count, sql_row_fn *row, void *ctx)
{
    struct postgres *p = postgres_of(db);
    struct bound b;
    char name[NUMBER_MAX];
    enum sql_result r = reconnect(p);
    if (r == SQL_OK)
        r = prepared_get(p, text, name);
    if (r != SQL_OK)
        return r;
    bind_params(&b, params, count);
    PGresult *res = answer(
        p, PQsendQueryPrepared(p->conn, name, (int)count, b.values, b.lengths, b.formats, 1) == 1);
    r = result_of(p, res);
    if (r == SQL_OK) {
        const char *changed = PQcmdTuples(res);
        db->changes = changed != NULL ? atoll(changed) : 0;
        give_rows(res, row, ctx);
    }
    PQclear(res);
    return r;
}

static enum sql_result script(struct sql *db, const char *text)
{
    struct postgres *p = postgres_of(db);
    enum sql_result r = reconnect(p);
    return r == SQL_OK ? take(p, execute(p, text)) : r;
}

static enum sql_result begin_with(struct sql *db, const char *text)
{
    enum sql_result r = script(db, text);
    postgres_of(db)->in_transaction = r == SQL_OK;
    return r;
}

static enum sql_result begin(struct sql *db)
{
    return begin_with(db, "BEGIN");
}

static enum sql_result begin_read(struct sql *db)
{
    return begin_with(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

/* A commit whose answer was lost may have happened: it is found out by trying again. */
static enum sql_result commit(struct sql *db)
{
    enum sql_result r = script(db, "COMMIT");
    postgres_of(db)->in_transaction = false;
    return r;
}

static void rollback(struct sql *db)
{
    struct postgres *p = postgres_of(db);
    p->in_transaction = false;
    if (PQstatus(p->conn) == CONNECTION_OK)
        PQclear(execute(p, "ROLLBACK"));
}

const struct sql_driver sql_postgres = {
    .kind = SQL_POSTGRES,
    .scheme = "postgres://",
    .open = postgres_open,
    .close = postgres_close,
    .run = run,
    .script = script,
    .begin = begin,
    .begin_read = begin_read,
    .commit = commit,
    .rollback = rollback,
    .claim = claim,
    .words = {.blob = "BYTEA", .text = "TEXT", .key = "TEXT COLLATE \"C\"", .suffix = ""},
};
