/* sql_priv.h - what a driver gives.
 * Thread:  as sql.h says.
 * Memory:  struct sql is the first member of the driver's own object.
 * Failure: as sql.h says; a driver writes sql->why. */
#ifndef STORE_SQL_PRIV_H
#define STORE_SQL_PRIV_H

#include "store/sql.h"

enum { SQL_PARAMS_MAX = 32, SQL_WHY_MAX = 256, SQL_STATEMENTS_MAX = 256 };

struct sql_driver {
    enum sql_kind kind;
    const char *scheme; // what the address begins with
    struct sql *(*open)(struct str url, enum sql_result *ret, struct buf *ret_why);
    void (*close)(struct sql *db);
    enum sql_result (*run)(struct sql *db, const char *text, const struct sql_value *params,
                           size_t count, sql_row_fn *row, void *ctx);
    enum sql_result (*script)(struct sql *db, const char *text);
    enum sql_result (*begin)(struct sql *db);
    enum sql_result (*begin_read)(struct sql *db);
    enum sql_result (*commit)(struct sql *db);
    void (*rollback)(struct sql *db);
    bool (*claim)(struct sql *db);
    enum sql_result (*verify)(struct sql *db); // NULL: nothing to be done
    void (*interrupt)(struct sql *db);         // NULL: it cannot be done
    struct sql_words words;
};

struct sql {
    const struct sql_driver *driver;
    int64_t changes;
    char why[SQL_WHY_MAX];
};

extern const struct sql_driver sql_sqlite, sql_mariadb, sql_postgres;

/* A database server's address in its parts; each with a terminator, inside at. */
struct sql_address {
    const char *user, *password, *host, *database;
    unsigned port; // 0: the usual one
    char at[1024];
};
/* ret_why: constant text. Percent-escapes are decoded. */
bool sql_address_parse(struct str url, struct sql_address *ret, const char **ret_why);

/* Keeps what, cut to fit, as the reason of the last failure. */
void sql_fail(struct sql *db, const char *what);

#endif
