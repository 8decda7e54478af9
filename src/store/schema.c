/*
 * schema.c - brings a database to the version of this program.
 *
 * Always true: recado_schema holds the number of the last step that was finished.
 */
#include "store/schema.h"

#include <stdio.h>
#include <string.h>

enum { SCRIPT_MAX = 64 << 10 };

static bool add_word(struct buf *out, const struct sql_words *w, struct str name)
{
    const struct {
        struct str name;
        const char *word;
    } words[] = {{{"blob", 4}, w->blob},
                 {{"text", 4}, w->text},
                 {{"key", 3}, w->key},
                 {{"suffix", 6}, w->suffix}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq(words[i].name, name))
            return buf_add(out, str_from(words[i].word));
    }
    return false;
}

/* Half of a step may have been done, by a database that cannot undo it. */
static bool has_column(struct sql *db, struct str table, struct str name)
{
    char text[256];
    snprintf(text, sizeof(text), "SELECT %.*s FROM %.*s WHERE 1 = 0", STR_FMT(name),
             STR_FMT(table));
    return sql_script(db, text) == SQL_OK;
}

static bool add_column(struct buf *out, struct sql *db, struct str what)
{
    struct str type = what;
    struct str table = str_cut(&type, ' '), name = str_cut(&type, ' ');
    return has_column(db, table, name) ||
           buf_add_format(out, "ALTER TABLE %.*s ADD COLUMN %.*s %.*s;", STR_FMT(table),
                          STR_FMT(name), STR_FMT(type));
}

static bool keep_number(void *ctx, const struct sql_value *row, size_t count)
{
    int64_t *number = ctx;
    if (count > 0 && row[0].type == SQL_INT)
        *number = row[0].i;
    return true;
}

/* One of the servers has no word for "unless it is there". */
static bool has_index(struct sql *db, struct str name)
{
    int64_t count = 0;
    struct sql_value v = sql_text(name);
    return sql_kind(db) == SQL_MARIADB &&
           sql_run(db,
                   "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = "
                   "DATABASE() AND index_name = ?",
                   &v, 1, keep_number, &count) == SQL_OK &&
           count > 0;
}

/* {index NAME TABLE COLUMN, ..}: unique, as all of ours are. */
static bool add_index(struct buf *out, struct sql *db, struct str what)
{
    struct str columns = what;
    struct str name = str_cut(&columns, ' '), table = str_cut(&columns, ' ');
    return has_index(db, name) ||
           buf_add_format(out, "CREATE UNIQUE INDEX %s%.*s ON %.*s (%.*s);",
                          sql_kind(db) == SQL_MARIADB ? "" : "IF NOT EXISTS ", STR_FMT(name),
                          STR_FMT(table), STR_FMT(columns));
}

static bool add_part(struct buf *out, struct sql *db, struct str word)
{
    static const struct str column = {"column ", 7}, index = {"index ", 6};
    if (str_starts(word, column))
        return add_column(out, db, str_skip(word, column.n));
    if (str_starts(word, index))
        return add_index(out, db, str_skip(word, index.n));
    return add_word(out, sql_words(sql_kind(db)), word);
}

/* Outside a transaction, which a look for a column that is not there would end. */
static bool script_fill(struct buf *out, struct sql *db, const char *script)
{
    struct str rest = str_from(script);
    while (rest.n > 0) {
        struct str plain = str_cut(&rest, '{');
        bool more = plain.p + plain.n < script + strlen(script);
        if (!buf_add(out, plain))
            return false;
        if (more && !add_part(out, db, str_cut(&rest, '}')))
            return false;
    }
    return buf_add_char(out, '\0');
}

static enum sql_result fail(struct sql *db, enum sql_result r, const char *what, struct buf *why)
{
    buf_add_format(why, "store: %s: %s\n", what, sql_why(db));
    return r;
}

static enum sql_result step(struct sql *db, unsigned at, struct buf *ret_why)
{
    struct buf script;
    struct sql_value number = sql_int(at + 1);
    buf_init(&script, SCRIPT_MAX);
    enum sql_result r = SQL_FAILED;
    if (script_fill(&script, db, migrations[at].script))
        r = sql_begin(db);
    if (r == SQL_OK && script.len > 1) // else all of it had been done
        r = sql_script(db, script.p);
    if (r == SQL_OK)
        r = sql_run(db, "UPDATE recado_schema SET version = ?", &number, 1, NULL, NULL);
    if (r == SQL_OK)
        r = sql_commit(db);
    if (r != SQL_OK) {
        fail(db, r, migrations[at].name, ret_why);
        sql_rollback(db);
    }
    buf_fini(&script);
    return r;
}

enum sql_result schema_migrate(struct sql *db, struct buf *ret_why)
{
    int64_t version = -1;
    enum sql_result r = sql_script(
        db, "CREATE TABLE IF NOT EXISTS recado_schema (version BIGINT NOT NULL PRIMARY KEY)");
    if (r == SQL_OK)
        r = sql_run(db, "SELECT version FROM recado_schema", NULL, 0, keep_number, &version);
    if (r == SQL_OK && version < 0) {
        r = sql_run(db, "INSERT INTO recado_schema (version) VALUES (0)", NULL, 0, NULL, NULL);
        version = 0;
    }
    if (r != SQL_OK)
        return fail(db, r, "the schema's version", ret_why);
    if (version > migration_count) {
        buf_add_format(ret_why,
                       "store: the database has version %lld of the schema and this program knows "
                       "%u: it was written by a newer Recado, which has to be used\n",
                       (long long)version, migration_count);
        return SQL_FAILED;
    }
    for (unsigned at = (unsigned)version; r == SQL_OK && at < migration_count; at++)
        r = step(db, at, ret_why);
    return r;
}
