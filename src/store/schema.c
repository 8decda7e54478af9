/*
 * schema.c - brings a database to the version of this program.
 *
 * Always true: recado_schema holds the number of the last step that was finished.
 */
#include "store/schema.h"

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

static bool script_fill(struct buf *out, const struct sql_words *w, const char *script)
{
    struct str rest = str_from(script);
    while (rest.n > 0) {
        struct str plain = str_cut(&rest, '{');
        bool more = plain.p + plain.n < script + strlen(script);
        if (!buf_add(out, plain))
            return false;
        if (more && !add_word(out, w, str_cut(&rest, '}')))
            return false;
    }
    return buf_add_char(out, '\0');
}

static bool keep_number(void *ctx, const struct sql_value *row, size_t count)
{
    int64_t *number = ctx;
    if (count > 0 && row[0].type == SQL_INT)
        *number = row[0].i;
    return true;
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
    if (script_fill(&script, sql_words(sql_kind(db)), migrations[at].script))
        r = sql_begin(db);
    if (r == SQL_OK)
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
