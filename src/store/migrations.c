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
    {"tasks", "CREATE TABLE IF NOT EXISTS recado_tasks ("
              " tenant {key} NOT NULL,"
              " id BIGINT NOT NULL,"
              " user_id BIGINT,"
              " title {text} NOT NULL,"
              " description {text},"
              " status {key} NOT NULL,"
              " priority {key} NOT NULL,"
              " created_at BIGINT NOT NULL,"
              " updated_at BIGINT NOT NULL,"
              " completed_at BIGINT,"
              " project_id BIGINT,"
              " assigned_user_id BIGINT,"
              " estimated_hours {text},"
              " actual_hours {text},"
              " due_at BIGINT,"
              " PRIMARY KEY (tenant, id)){suffix};"
              "CREATE TABLE IF NOT EXISTS recado_subtasks ("
              " tenant {key} NOT NULL,"
              " id BIGINT NOT NULL,"
              " task_id BIGINT NOT NULL,"
              " model_id BIGINT,"
              " title {text} NOT NULL,"
              " description {text},"
              " prompt {text},"
              " result {text},"
              " status {key} NOT NULL,"
              " reviewed_by {text},"
              " review_notes {text},"
              " completed_at BIGINT,"
              " created_at BIGINT NOT NULL,"
              " updated_at BIGINT NOT NULL,"
              " order_index BIGINT,"
              " difficulty {text},"
              " PRIMARY KEY (tenant, id),"
              " UNIQUE (tenant, task_id, id)){suffix};"
              /* The highest number of a task that is gone: it is not given again. */
              "CREATE TABLE IF NOT EXISTS recado_tasks_gone ("
              " id BIGINT NOT NULL PRIMARY KEY){suffix}"},
    {"approvals",
     /* seq: in the order of the requests. data: as they were made. */
     "CREATE TABLE IF NOT EXISTS recado_approvals ("
     " tenant {key} NOT NULL,"
     " id {key} NOT NULL,"
     " seq BIGINT NOT NULL,"
     " for_user {key} NOT NULL,"
     " action {text},"
     " agent_id {text},"
     " task_id {text},"
     " data {text} NOT NULL,"
     " status {key} NOT NULL,"
     " requested_at BIGINT NOT NULL,"
     " expires_at BIGINT,"
     " decided_at BIGINT,"
     " decided_by {text},"
     " note {text},"
     " PRIMARY KEY (tenant, id),"
     " UNIQUE (status, tenant, seq)){suffix}"},
};
const unsigned migration_count = sizeof(migrations) / sizeof(migrations[0]);
