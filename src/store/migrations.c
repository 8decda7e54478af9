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
    {"schedules", "CREATE TABLE IF NOT EXISTS recado_schedules ("
                  " tenant {key} NOT NULL,"
                  " id {key} NOT NULL,"
                  " name {text} NOT NULL,"
                  " display_name {text} NOT NULL,"
                  " every {text} NOT NULL,"
                  " cron {text} NOT NULL,"
                  " url {text} NOT NULL,"
                  " prompt {text} NOT NULL,"
                  " model {text} NOT NULL,"
                  " paused BIGINT NOT NULL,"
                  " anchor_at BIGINT NOT NULL,"
                  " next_at BIGINT NOT NULL,"
                  " created_at BIGINT NOT NULL,"
                  " skipped BIGINT NOT NULL,"
                  " running BIGINT NOT NULL,"
                  " last_execution {text} NOT NULL,"
                  " last_status {text} NOT NULL,"
                  " last_severity {text} NOT NULL,"
                  " last_error {text} NOT NULL,"
                  " last_started_at BIGINT NOT NULL,"
                  " last_completed_at BIGINT NOT NULL,"
                  " last_duration_ms BIGINT NOT NULL,"
                  " PRIMARY KEY (tenant, id)){suffix}"},
    {"logs and figures",
     /* The newest lines; older ones go. */
     "CREATE TABLE IF NOT EXISTS recado_logs ("
     " seq BIGINT NOT NULL PRIMARY KEY,"
     " tenant {key} NOT NULL,"
     " at BIGINT NOT NULL,"
     " level {text} NOT NULL,"
     " source {text} NOT NULL,"
     " message {text} NOT NULL){suffix};"
     /* Percents and degrees are in hundredths; what is not known is NULL. */
     "CREATE TABLE IF NOT EXISTS recado_figures ("
     " at BIGINT NOT NULL PRIMARY KEY,"
     " cpu BIGINT,"
     " memory BIGINT,"
     " disk BIGINT,"
     " rx BIGINT,"
     " tx BIGINT,"
     " gpu BIGINT,"
     " temperature BIGINT){suffix}"},
};
const unsigned migration_count = sizeof(migrations) / sizeof(migrations[0]);
