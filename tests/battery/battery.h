/* battery.h - the database that a battery is run on.
 * Thread:  the test's.
 * Memory:  a store is closed by who has opened it.
 * Failure: the test's. */
#ifndef BATTERY_BATTERY_H
#define BATTERY_BATTERY_H

#include "store/sql.h"
#include "store/store.h"

/* What RECADO_STORE_URL names, else a file in the temporary directory; without tables. */
void battery_begin(const char *name);
/* The file is gone. */
void battery_end(void);
struct str battery_url(void);
/* The database is gone with its last connection. */
bool battery_is_memory(void);
/* A connection beside the store's. */
struct sql *battery_sql(void);
/* Opens it. What the options do not say is as a test wants it. */
struct store *battery_store(struct store_options o);

#endif
