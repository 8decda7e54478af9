/* sql.h - the few words of SQL that every database of ours understands, behind one interface.
 *
 *     sqlite:FILE           embedded, one file; "memory" is one that ends with the process
 *     mysql://USER:PASSWORD@HOST:PORT/DATABASE         MariaDB and MySQL
 *     postgres://USER:PASSWORD@HOST:PORT/DATABASE      PostgreSQL
 *
 * Texts are written once for all: '?' for parameters, types and the like from sql_words().
 *
 * Thread:  a connection belongs to one thread at a time, but for sql_interrupt(); every call may
 *          block.
 * Memory:  rows are the driver's and gone when the row function returns.
 * Failure: a result of enum sql_result; sql_why() says more, never with a password. A connection
 *          that was lost is opened again by the next sql_begin() or sql_run() outside a
 *          transaction; inside, everything fails with SQL_DOWN until sql_rollback(). */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "base/buf.h"

#include <stdint.h>

enum sql_type { SQL_NULL, SQL_INT, SQL_REAL, SQL_TEXT, SQL_BLOB };

struct sql_value {
    enum sql_type type;
    int64_t i;
    double d;
    struct str s;
};

static inline struct sql_value sql_int(int64_t i)
{
    return (struct sql_value){.type = SQL_INT, .i = i};
}
static inline struct sql_value sql_text(struct str s)
{
    return (struct sql_value){.type = SQL_TEXT, .s = s};
}
static inline struct sql_value sql_blob(struct str s)
{
    return (struct sql_value){.type = SQL_BLOB, .s = s};
}

enum sql_result {
    SQL_OK,
    SQL_DOWN,       // cannot be reached now
    SQL_FULL,       // no room on the disk
    SQL_CORRUPT,    // the file is not a database, or a damaged one
    SQL_CONSTRAINT, // a key is there already, or not there
    SQL_AGAIN,      // busy, or a deadlock: the transaction may be tried again
    SQL_FAILED      // everything else: a defect of ours
};
const char *sql_result_name(enum sql_result r);

enum sql_kind { SQL_SQLITE, SQL_MARIADB, SQL_POSTGRES };

struct sql;

/* False: not an address of a database. */
bool sql_kind_of(struct str url, enum sql_kind *ret);
/* NULL: it cannot be opened; ret_why says so for people, without the password, and *ret why. */
struct sql *sql_open(struct str url, enum sql_result *ret, struct buf *ret_why);
void sql_close(struct sql **dbp);
enum sql_kind sql_kind(const struct sql *db);

/* False: enough, the rest is not wanted. */
typedef bool sql_row_fn(void *ctx, const struct sql_value *row, size_t count);
/* One statement. text is prepared once and must stay where it is, unchanged, for the connection's
 * life. row: for each row of the answer, in order; NULL: not wanted. A
 * sum of integers is SQL_INT or SQL_REAL, as the database likes it. */
enum sql_result sql_run(struct sql *db, const char *text, const struct sql_value *params,
                        size_t count, sql_row_fn *row, void *ctx);
/* Statements without parameters and answers, one after the other, not kept: for migrations. */
enum sql_result sql_script(struct sql *db, const char *text);
/* Rows that the last statement changed, those included that were as they should be already. */
int64_t sql_changes(const struct sql *db);

enum sql_result sql_begin(struct sql *db);
/* For reading only: all statements until sql_rollback() see the database of one moment. */
enum sql_result sql_begin_read(struct sql *db);
enum sql_result sql_commit(struct sql *db);
void sql_rollback(struct sql *db);

/* The database is this connection's to write, until it is closed. False: it is another's, or it
 * cannot be told. A connection that is opened again claims it again before anything else. */
bool sql_claim(struct sql *db);

/* Looks at an embedded database for damage, as far as that takes moments: all of it up to 64 MiB.
 * A server looks after its own. */
enum sql_result sql_verify(struct sql *db);

/* From any thread, for as long as it is open: what runs on an embedded database's connection, and
 * whatever is run on it from now on, ends soon with SQL_DOWN. A server's is waited for. */
void sql_interrupt(struct sql *db);

/* Of the last failure. */
const char *sql_why(const struct sql *db);

/* What is written differently by each; constant texts. */
struct sql_words {
    const char *blob, *text; // column types: bytes, and UTF-8 text of any length
    const char *key;         // text that can be part of a key, up to 512 bytes, compared by bytes
    const char *suffix;      // behind CREATE TABLE (...)
};
const struct sql_words *sql_words(enum sql_kind kind);

#endif
