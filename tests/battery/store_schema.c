/* store_schema: databases of other versions. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_battery.h"

#include "base/clock.h"
#include "base/must.h"
#include "store/schema.h"

#include <cmocka.h>

void test_newer_schema_is_refused(void **state)
{
    struct buf why;
    (void)state;
    if (!outlives())
        skip();
    close_store();
    buf_init(&why, 4096);
    struct sql *db = battery_sql();
    assert_int_equal(sql_script(db, "UPDATE recado_schema SET version = 999"), SQL_OK);
    struct store_options o = {.url = battery_url(), .retention = retention, .streams_max = 10};
    assert_null(store_open(&o, &why));
    assert_true(str_find(buf_str(&why), STR("newer Recado")) < why.len);
    char back[64];
    snprintf(back, sizeof(back), "UPDATE recado_schema SET version = %u", migration_count);
    assert_int_equal(sql_script(db, back), SQL_OK);
    sql_close(&db);
    buf_fini(&why);
    open_store();
}

/* A database of the first version, and one in which half of the step to the next was done. */
void test_older_schema_is_brought_up(void **state)
{
    enum { STREAM = 43 };
    (void)state;
    if (!outlives())
        skip();
    append(STREAM, 1);
    append(STREAM, 2);
    wait_for_all();
    uint32_t epoch = position(STREAM).epoch;
    for (int half = 0; half < 2; half++) {
        close_store();
        script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_last");
        script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_generation");
        if (half == 0) {
            script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_epoch");
            script_on_closed("ALTER TABLE recado_streams DROP COLUMN generation");
            script_on_closed("ALTER TABLE recado_checkpoint DROP COLUMN clean");
            script_on_closed("ALTER TABLE recado_checkpoint DROP COLUMN generation");
        }
        script_on_closed("UPDATE recado_schema SET version = 1");
        open_store();
        check_read(STREAM, 0, 0, 0, false, 1, 2);
        // The version before did not say how it ended.
        assert_int_equal(position(STREAM).epoch != epoch, half == 0);
        assert_true(half == 1 || leads(STREAM, epoch, 2));
        epoch = position(STREAM).epoch;
    }
}
