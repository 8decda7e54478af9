/* battery.c - the database that a battery is run on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "battery.h"

#include <cmocka.h>

static const char *url;
static char file[128]; // "": it is somebody else's

/* All tables of ours; one that is missing here would be as an earlier battery has left it. */
static const char *const tables[] = {
    "recado_schema",     "recado_streams",     "recado_chunks",      "recado_checkpoint",
    "recado_runs",       "recado_run_steps",   "recado_task_events", "recado_schedules",
    "recado_logs",       "recado_figures",     "recado_tasks",       "recado_subtasks",
    "recado_tasks_gone", "recado_task_counts", "recado_approvals",   "recado_conversations",
    "recado_messages",   "recado_answers",     "battery_rows"};

struct sql *battery_sql(void)
{
    enum sql_result r;
    struct buf why;
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    if (db == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    return db;
}

static void drop_tables(void)
{
    struct sql *db = battery_sql();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "DROP TABLE IF EXISTS %s", tables[i]);
        assert_int_equal(sql_script(db, text), SQL_OK);
    }
    sql_close(&db);
}

void battery_begin(const char *name)
{
    url = getenv("RECADO_STORE_URL");
    if (url == NULL) {
        snprintf(file, sizeof(file), "sqlite:/tmp/recado-%s-battery-%d.db", name, (int)getpid());
        url = file;
    }
    drop_tables();
}

void battery_end(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; file[0] != '\0' && i < sizeof(ends) / sizeof(ends[0]); i++) {
        char name[160];
        snprintf(name, sizeof(name), "%s%s", file + sizeof("sqlite:") - 1, ends[i]);
        (void)unlink(name);
    }
}

struct str battery_url(void)
{
    return str_from(url);
}

bool battery_is_memory(void)
{
    return str_starts(str_from(url), STR("memory"));
}

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = 100};
}

struct store *battery_store(struct store_options o)
{
    struct buf why;
    buf_init(&why, 4096);
    o.url = str_from(url);
    if (o.queue_bytes_max == 0)
        o.queue_bytes_max = 64 << 20;
    if (o.streams_max == 0)
        o.streams_max = 100;
    if (o.retention == NULL)
        o.retention = retention;
    struct store *store = store_open(&o, &why);
    if (store == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    return store;
}
