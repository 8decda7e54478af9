/* schema.h - the tables, and how an older database becomes a newer one.
 * Thread:  any; blocks.
 * Memory:  none is kept.
 * Failure: each migration is whole or not at all where the database can do that; a database newer
 *          than the program is refused and left alone. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/sql.h"

/* One step, written once for all databases: {blob}, {text}, {key} and {suffix} are replaced, and
 * {column TABLE NAME TYPE} adds a column that is not there yet. */
struct migration {
    const char *name;
    const char *script;
};
extern const struct migration migrations[];
extern const unsigned migration_count;

enum sql_result schema_migrate(struct sql *db, struct buf *ret_why);

#endif
