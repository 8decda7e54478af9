/*
 * sql.c - which driver an address belongs to, and what all of them share.
 */
#include "store/sql_priv.h"

#include <stdio.h>
#include <string.h>

static const struct sql_driver *const drivers[] = {&sql_sqlite, &sql_mariadb, &sql_postgres};
enum { DRIVER_COUNT = sizeof(drivers) / sizeof(drivers[0]) };

static const struct sql_driver *driver_of(struct str url)
{
    static const struct {
        struct str head;
        const struct sql_driver *driver;
    } also[] = {{{"memory", 6}, &sql_sqlite},
                {{"mariadb://", 10}, &sql_mariadb},
                {{"postgresql://", 13}, &sql_postgres}};
    for (size_t i = 0; i < DRIVER_COUNT; i++) {
        if (str_starts(url, str_from(drivers[i]->scheme)))
            return drivers[i];
    }
    for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++) {
        if (str_starts(url, also[i].head))
            return also[i].driver;
    }
    return NULL;
}

const char *sql_result_name(enum sql_result r)
{
    static const char *const names[] = {
        [SQL_OK] = "ok",           [SQL_DOWN] = "not reachable", [SQL_FULL] = "disk full",
        [SQL_CORRUPT] = "damaged", [SQL_AGAIN] = "busy",         [SQL_CONSTRAINT] = "constraint",
        [SQL_FAILED] = "refused",
    };
    return names[r];
}

bool sql_kind_of(struct str url, enum sql_kind *ret)
{
    const struct sql_driver *d = driver_of(url);
    if (d != NULL)
        *ret = d->kind;
    return d != NULL;
}

struct sql *sql_open(struct str url, enum sql_result *ret, struct buf *ret_why)
{
    const struct sql_driver *d = driver_of(url);
    if (d != NULL)
        return d->open(url, ret, ret_why);
    *ret = SQL_FAILED;
    buf_add(ret_why, STR("store: not an address of a database; known are sqlite:FILE, memory, "
                         "mysql://.. and postgres://..\n"));
    return NULL;
}

void sql_close(struct sql **dbp)
{
    struct sql *db = *dbp;
    *dbp = NULL;
    if (db != NULL)
        db->driver->close(db);
}

enum sql_kind sql_kind(const struct sql *db)
{
    return db->driver->kind;
}

enum sql_result sql_run(struct sql *db, const char *text, const struct sql_value *params,
                        size_t count, sql_row_fn *row, void *ctx)
{
    return db->driver->run(db, text, params, count, row, ctx);
}

enum sql_result sql_script(struct sql *db, const char *text)
{
    return db->driver->script(db, text);
}

int64_t sql_changes(const struct sql *db)
{
    return db->changes;
}

enum sql_result sql_begin(struct sql *db)
{
    return db->driver->begin(db);
}

enum sql_result sql_begin_read(struct sql *db)
{
    return db->driver->begin_read(db);
}

enum sql_result sql_commit(struct sql *db)
{
    return db->driver->commit(db);
}

void sql_rollback(struct sql *db)
{
    db->driver->rollback(db);
}

bool sql_claim(struct sql *db)
{
    return db->driver->claim(db);
}

enum sql_result sql_verify(struct sql *db)
{
    return db->driver->verify != NULL ? db->driver->verify(db) : SQL_OK;
}

void sql_interrupt(struct sql *db)
{
    if (db->driver->interrupt != NULL)
        db->driver->interrupt(db);
}

const char *sql_why(const struct sql *db)
{
    return db->why;
}

void sql_fail(struct sql *db, const char *what)
{
    snprintf(db->why, sizeof(db->why), "%s", what);
    for (char *c = db->why; *c != '\0'; c++) {
        if (*c == '\n')
            *c = ' ';
    }
}

const struct sql_words *sql_words(enum sql_kind kind)
{
    for (size_t i = 0; i < DRIVER_COUNT; i++) {
        if (drivers[i]->kind == kind)
            return &drivers[i]->words;
    }
    return &sql_sqlite.words;
}

/* ---- addresses ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decoded, with a terminator, behind what is there already. */
static const char *part_put(struct sql_address *a, size_t *at, struct str s)
{
    const char *start = a->at + *at;
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        a->at[(*at)++] = (char)(low >= 0 ? high << 4 | low : s.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    a->at[(*at)++] = '\0';
    return start;
}

bool sql_address_parse(struct str url, struct sql_address *ret, const char **ret_why)
{
    enum { TERMINATORS = 4 };
    size_t at = 0;
    uint64_t port = 0;
    *ret_why = "too long";
    size_t scheme = str_find(url, STR("://"));
    if (url.n > sizeof(ret->at) - TERMINATORS || scheme == url.n)
        return false;
    struct str database = str_skip(url, scheme + 3);
    struct str authority = str_cut(&database, '/');
    struct str user = STR_NONE, host = authority;
    size_t split = authority.n; // a password may hold an @
    while (split > 0 && authority.p[split - 1] != '@')
        split--;
    if (split > 0) {
        user = (struct str){authority.p, split - 1};
        host = str_skip(authority, split);
    }
    struct str password = user;
    user = str_cut(&password, ':');
    struct str name, number;
    if (host.n > 0 && host.p[0] == '[') { // [::1]:3306
        number = str_skip(host, str_find(host, STR("]")) + 1);
        name = (struct str){host.p + 1, str_find(host, STR("]")) - 1};
        if (number.n > 0)
            number = str_skip(number, 1);
    } else {
        number = host;
        name = str_cut(&number, ':');
    }
    *ret_why = "the port is not a number";
    if (number.n > 0 && (!str_to_u64(number, &port) || port == 0 || port > 65535))
        return false;
    *ret_why = "it names no database";
    database = str_cut(&database, '?');
    if (database.n == 0)
        return false;
    ret->user = part_put(ret, &at, user);
    ret->password = part_put(ret, &at, password);
    ret->host = part_put(ret, &at, name.n > 0 ? name : STR("127.0.0.1"));
    ret->database = part_put(ret, &at, database);
    ret->port = (unsigned)port;
    return true;
}
