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
    {"runs",
     /* Executions: a row for each attempt. Their indexes are unique by seq, which every database
      * takes inside CREATE TABLE. */
     "CREATE TABLE IF NOT EXISTS recado_runs ("
     " seq BIGINT NOT NULL PRIMARY KEY,"
     " tenant {key} NOT NULL,"
     " id {key} NOT NULL,"
     " attempt BIGINT NOT NULL,"
     " newest BIGINT NOT NULL,"
     " status {key} NOT NULL,"
     " match_key {key} NOT NULL,"
     " kind {key} NOT NULL,"
     " name {text} NOT NULL,"
     " agent_id {key} NOT NULL,"
     " agent_name {text} NOT NULL,"
     " task_id {key} NOT NULL,"
     " parent_id {text} NOT NULL,"
     " method {text} NOT NULL,"
     " severity {text} NOT NULL,"
     " error {text} NOT NULL,"
     " metadata {text} NOT NULL,"
     " tokens_in BIGINT NOT NULL,"
     " tokens_out BIGINT NOT NULL,"
     " started_at BIGINT NOT NULL,"
     " completed_at BIGINT NOT NULL,"
     " duration_ms BIGINT NOT NULL,"
     " lease_until BIGINT NOT NULL,"
     " lease_ms BIGINT NOT NULL,"
     " created_at BIGINT NOT NULL,"
     " updated_at BIGINT NOT NULL,"
     " run_at BIGINT NOT NULL,"
     " run_day BIGINT NOT NULL,"
     " input {text} NOT NULL,"
     " result {text} NOT NULL,"
     " search {text} NOT NULL,"
     " UNIQUE (tenant, id, attempt),"
     " UNIQUE (tenant, run_at, seq),"
     " UNIQUE (tenant, agent_id, run_at, seq),"
     " UNIQUE (tenant, status, run_at, seq),"
     " UNIQUE (tenant, task_id, run_at, seq),"
     " UNIQUE (tenant, match_key, seq),"
     " UNIQUE (lease_until, seq)){suffix};"
     "CREATE TABLE IF NOT EXISTS recado_run_steps ("
     " run BIGINT NOT NULL,"
     " seq BIGINT NOT NULL,"
     " name {text} NOT NULL,"
     " status {text} NOT NULL,"
     " started_at BIGINT NOT NULL,"
     " completed_at BIGINT NOT NULL,"
     " duration_ms BIGINT NOT NULL,"
     " detail {text} NOT NULL,"
     " PRIMARY KEY (run, seq)){suffix};"
     /* The last task events of each tenant, as they came. */
     "CREATE TABLE IF NOT EXISTS recado_task_events ("
     " seq BIGINT NOT NULL PRIMARY KEY,"
     " tenant {key} NOT NULL,"
     " type {text} NOT NULL,"
     " data {text} NOT NULL,"
     " at BIGINT NOT NULL,"
     " UNIQUE (tenant, seq)){suffix}"},
};
const unsigned migration_count = sizeof(migrations) / sizeof(migrations[0]);
