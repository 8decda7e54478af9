/* presence.c: who is there, who has gone, and who takes the place of whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "hub/presence.h"

#include <cmocka.h>

enum { CROWD = 20000 };

struct id {
    uint8_t bytes[16];
};

static struct id id_of(uint32_t number)
{
    struct id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static bool come(struct presence *p, uint32_t number, struct str user)
{
    bool is_new = false;
    assert_true(presence_add(p, id_of(number).bytes, user, STR_NONE, STR_NONE, &is_new));
    return is_new;
}

static void go(struct presence *p, uint32_t number, uint64_t now_ms)
{
    presence_mark_gone(p, presence_find(p, id_of(number).bytes), now_ms);
}

static void who_comes_back_takes_the_place(void **state)
{
    (void)state;
    struct presence p;
    presence_init(&p);
    assert_true(come(&p, 1, STR("ana")));
    assert_true(come(&p, 2, STR("ana")));
    assert_true(come(&p, 3, STR("bob")));
    assert_int_equal(presence_first_gone_ms(&p), 0);
    go(&p, 2, 10);
    go(&p, 1, 20);
    go(&p, 1, 30); // known already
    assert_int_equal(presence_first_gone_ms(&p), 10);
    assert_true(come(&p, 4, STR("eve")));
    assert_true(come(&p, 5, STR_NONE)); // nobody knows who that was
    assert_false(come(&p, 6, STR("ana")));
    assert_false(come(&p, 7, STR("ana")));
    assert_true(come(&p, 8, STR("ana"))); // both places are taken
    assert_int_equal(presence_first_gone_ms(&p), 0);
    assert_int_equal(presence_client_count(&p), 6);
    go(&p, 3, 40);
    assert_false(come(&p, 3, STR("bob"))); // the same client
    assert_int_equal(presence_first_gone_ms(&p), 0);
    presence_remove(&p, presence_find(&p, id_of(3).bytes));
    assert_true(come(&p, 9, STR("bob")));
    presence_fini(&p);
}

static void nobody_knows_where_the_anonymous_went(void **state)
{
    (void)state;
    struct presence p;
    presence_init(&p);
    assert_true(come(&p, 1, STR_NONE));
    go(&p, 1, 5);
    assert_true(come(&p, 2, STR_NONE));
    assert_int_equal(presence_first_gone_ms(&p), 5);
    presence_fini(&p); // one that is still gone leaves nothing behind
}

/* With a walk per arrival this takes minutes. */
static void a_crowd_goes_and_comes_back(void **state)
{
    (void)state;
    struct presence p;
    presence_init(&p);
    for (uint32_t i = 0; i < CROWD; i++)
        assert_true(come(&p, i, (struct str){(const char *)&i, sizeof(i)}));
    for (uint32_t i = 0; i < CROWD; i++) {
        go(&p, i, i + 1);
        assert_int_equal(presence_first_gone_ms(&p), 1);
    }
    for (uint32_t i = CROWD; i-- > 0;)
        assert_false(come(&p, CROWD + i, (struct str){(const char *)&i, sizeof(i)}));
    assert_int_equal(presence_first_gone_ms(&p), 0);
    assert_int_equal(presence_client_count(&p), CROWD);
    presence_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_back_takes_the_place),
        cmocka_unit_test(nobody_knows_where_the_anonymous_went),
        cmocka_unit_test(a_crowd_goes_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
