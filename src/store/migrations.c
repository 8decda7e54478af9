/*
 * migrations.c - the schema, step by step. A step that was released never changes: what has to be
 * different comes as a further one. A step may be repeated: not every database can undo half a one.
 */
#include "store/schema.h"

const struct migration migrations[] = {
    {"streams",
     /* Where a stream stood at the last checkpoint, and what it is called. */
     "CREATE TABLE IF NOT EXISTS recado_streams ("
     " id BIGINT NOT NULL PRIMARY KEY,"
     " tenant {key} NOT NULL,"
     " channel {key} NOT NULL,"
     " epoch BIGINT NOT NULL,"
     " first_offset BIGINT NOT NULL,"
     " last_offset BIGINT NOT NULL,"
     " chunks BIGINT NOT NULL,"
     " bytes BIGINT NOT NULL,"
     " last_seq BIGINT NOT NULL,"
     " skip_seq BIGINT NOT NULL,"
     " far_seq BIGINT NOT NULL,"
     " at BIGINT NOT NULL){suffix};"
     /* The events, in the order of their arrival: some of one stream in each row. */
     "CREATE TABLE IF NOT EXISTS recado_chunks ("
     " seq BIGINT NOT NULL PRIMARY KEY,"
     " stream BIGINT NOT NULL,"
     " first_offset BIGINT NOT NULL,"
     " last_offset BIGINT NOT NULL,"
     " prev_seq BIGINT NOT NULL,"
     " skip_seq BIGINT NOT NULL,"
     " at BIGINT NOT NULL,"
     " body {blob} NOT NULL){suffix};"
     /* One row: what the streams' rows are known to hold. */
     "CREATE TABLE IF NOT EXISTS recado_checkpoint ("
     " id BIGINT NOT NULL PRIMARY KEY,"
     " seq BIGINT NOT NULL){suffix};"
     "DELETE FROM recado_checkpoint;"
     "INSERT INTO recado_checkpoint (id, seq) VALUES (1, 0)"},
    {"generations",
     /* Which ends left something unwritten: a stream's epoch is another one behind each of them. */
     "{column recado_checkpoint generation BIGINT NOT NULL DEFAULT 0}"
     "{column recado_checkpoint clean BIGINT NOT NULL DEFAULT 0}"
     "{column recado_streams generation BIGINT NOT NULL DEFAULT 0}"
     "{column recado_streams former_epoch BIGINT NOT NULL DEFAULT 0}"
     "{column recado_streams former_generation BIGINT NOT NULL DEFAULT 0}"
     "{column recado_streams former_last BIGINT NOT NULL DEFAULT 0}"},
};
const unsigned migration_count = sizeof(migrations) / sizeof(migrations[0]);
