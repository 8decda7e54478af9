/* native_read.c and native_encode.c: commands as they are read, pushes as they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/native_priv.h"

#include <cmocka.h>

static struct command cmd;

static bool read_text(const char *text)
{
    return native_command_read(str_from(text), &cmd);
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_from(want)))
        fail_msg("%.*s, not %s", STR_FMT(got), want);
}

static void test_commands(void **state)
{
    (void)state;
    assert_true(read_text("{\"id\":7,\"publish\":{\"channel\":\"a\",\"data\":{\"x\": 1}}}"));
    assert_int_equal(cmd.id, 7);
    assert_str(cmd.verb->name, "publish");
    assert_str(cmd.params.channel, "a");
    assert_str(cmd.params.data, "{\"x\": 1}");
    assert_true(read_text("{\"publish\":{\"data\":null,\"channel\":\"\\u0061\\/\"},\"id\":8}"));
    assert_str(cmd.params.channel, "a/");
    assert_str(cmd.params.data, "null");
    assert_true(read_text("{}"));
    assert_null(cmd.verb);
    assert_int_equal(cmd.id, 0);
    assert_true(read_text(" {\"id\":1,\"future\":{\"a\":[1]},\"connect\":null,\"ping\":{}} "));
    assert_str(cmd.verb->name, "ping");
    assert_true(read_text("{\"id\":1,\"subscribe\":{\"channel\":\"c\",\"token\":null,\"x\":[{}],"
                          "\"recover\":true,\"epoch\":\"0000000a\",\"offset\":5,"
                          "\"join_leave\":true,\"tf\":{\"a\":1}}}"));
    assert_true(cmd.params.recover && cmd.params.join_leave && !cmd.params.epoch_unknown);
    assert_int_equal(cmd.params.since.epoch, 10);
    assert_int_equal(cmd.params.since.offset, 5);
    assert_str(cmd.params.tf, "{\"a\":1}");
    assert_true(read_text("{\"id\":1,\"subscribe\":{\"recover\":true,\"epoch\":\"zz\"}}"));
    assert_true(cmd.params.epoch_unknown);
    assert_true(read_text("{\"id\":1,\"history\":{\"limit\":-1,\"reverse\":true,"
                          "\"since\":{\"epoch\":\"0000000b\",\"offset\":9}}}"));
    assert_true(cmd.params.has_since && cmd.params.reverse);
    assert_int_equal(cmd.params.limit, -1);
    assert_int_equal(cmd.params.since.offset, 9);
    assert_int_equal(cmd.params.since.epoch, 11);
}

static void test_no_commands(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "[]",
        "{",
        "{}{}",
        "{\"id\":1.0}",
        "{\"id\":null}",
        "{\"id\":4294967296}",
        "{\"publish\":[]}",
        "{\"publish\":{\"channel\":1}}",
        "{\"publish\":{\"data\":}}",
        "{\"publish\":{\"data\":tru}}",
        "{\"subscribe\":{\"recover\":1}}",
        "{\"subscribe\":{\"offset\":-1}}",
        "{\"history\":{\"limit\":\"1\"}}",
        "{\"history\":{\"since\":5}}",
        "{\"publish\":{\"channel\":\"\\ud800\"}}",
        "{\"ping\":{}",
        "{\"ping\":{}}x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_text(bad[i]))
            fail_msg("%s", bad[i]);
    }
    char text[CHANNEL_TEXT_MAX * 2 + 64];
    char name[CHANNEL_TEXT_MAX + 1];
    memset(name, 'x', sizeof(name));
    name[0] = '\\'; // an escape, so that it has to be decoded
    name[1] = 'n';
    struct buf b = buf_on(text, sizeof(text));
    assert_true(buf_add(&b, STR("{\"publish\":{\"channel\":\"")) &&
                buf_add(&b, (struct str){name, sizeof(name)}) && buf_add(&b, STR("yy\"}}")));
    assert_false(native_command_read(buf_str(&b), &cmd));
}

/* Every cut of a command is no command, in a block that ends where the cut is. */
static void test_cuts(void **state)
{
    (void)state;
    const char *text =
        "{\"id\":3,\"subscribe\":{\"channel\":\"a\\u0062\",\"recover\":true,"
        "\"epoch\":\"0000000a\",\"offset\":5,\"tf\":{\"key\":\"k\"},\"token\":\"t\"}}";
    for (size_t n = 0; n < strlen(text); n++) {
        char *block = malloc(n + 1);
        assert_non_null(block);
        memcpy(block + 1, text, n);
        assert_false(native_command_read((struct str){block + 1, n}, &cmd));
        free(block);
    }
}

/* ---- pushes ---- */

static void assert_push(const char *channel, const struct publication *p, const char *want)
{
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    assert_true(native_push_write(&b, str_from(channel), p));
    assert_str(buf_str(&b), want);
    assert_true(b.len <= native_push_bytes_max(str_from(channel), p));
}

static void test_pushes(void **state)
{
    (void)state;
    struct publication p = {.channel = STR("c"), .data = STR("[1]")};
    assert_push("c", &p, "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":[1]}}}");
    p.offset = UINT64_MAX;
    assert_push("c", &p,
                "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":[1],"
                "\"offset\":18446744073709551615}}}");
    p.type = STR("a\"b");
    assert_push("c", &p,
                "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":[1],"
                "\"offset\":18446744073709551615,\"tags\":{\"type\":\"a\\\"b\"}}}}");
    p = (struct publication){.channel = STR("n:x"),
                             .data = STR("{}"),
                             .tags = STR("{ }"),
                             .type = STR("t"),
                             .info = STR("{\"user\":\"u\"}")};
    assert_push("n:*", &p,
                "{\"push\":{\"channel\":\"n:*\",\"pub\":{\"data\":{},\"info\":{\"user\":\"u\"},"
                "\"tags\":{ \"type\":\"t\"},\"channel\":\"n:x\"}}}");
    p.tags = STR("{\"k\":\"}\"} ");
    p.info = STR_NONE;
    assert_push("n:x", &p,
                "{\"push\":{\"channel\":\"n:x\",\"pub\":{\"data\":{},"
                "\"tags\":{\"k\":\"}\",\"type\":\"t\"}}}}");
    p = (struct publication){.channel = STR("c"), .kind = EVENT_LEAVE, .info = STR("{}")};
    assert_push("c", &p, "{\"push\":{\"channel\":\"c\",\"leave\":{\"info\":{}}}}");
}

/* The worst that a name can grow to fits what is reserved for it, in every framing. */
static void test_encodings(void **state)
{
    (void)state;
    char name[200];
    memset(name, 1, sizeof(name));
    struct publication p = {.channel = {name, sizeof(name)},
                            .type = {name, sizeof(name)},
                            .data = STR("\"some text some text some text some text\""),
                            .offset = UINT64_MAX};
    for (int bits = 8; bits <= 15; bits++) {
        const struct framing *f = bits == 8 ? &ws_framing_text : ws_framing_deflate(bits);
        const struct encoding *e = native_encoding(f);
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_true(e->encode(e, p.channel, &p, &out));
        assert_true(out.len > 0);
        assert_int_equal((uint8_t)out.p[0], bits == 8 ? 0x81 : 0xc1);
        buf_fini(&out);
    }
}

/* After warm-up encoding asks nothing of malloc(). */
static void test_encoding_allocates_nothing(void **state)
{
    (void)state;
    struct publication p = {.channel = STR("bench"), .data = STR("{\"a\":1}"), .offset = 1};
    const struct encoding *e = native_encoding(&ws_framing_text);
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_true(e->encode(e, p.channel, &p, &out));
    void *kept = pool_alloc(64);
    pool_free(kept);
    uint64_t before = pool_misses();
    kept = pool_alloc(64);
    pool_free(kept);
    bool pool_keeps = pool_misses() == before; // not where every block is to be watched
    before = pool_misses();
    for (int i = 0; i < 1000; i++) {
        buf_clear(&out);
        assert_true(e->encode(e, p.channel, &p, &out));
    }
    buf_fini(&out);
    if (!pool_keeps)
        skip();
    assert_int_equal(pool_misses(), before);
}

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < dialect_count; i++)
        assert_ptr_equal(dialect_find(str_from(dialects[i]->name)), dialects[i]);
    assert_null(dialect_find(STR("nonsense")));
    assert_null(dialect_find(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),  cmocka_unit_test(test_no_commands),
        cmocka_unit_test(test_cuts),      cmocka_unit_test(test_pushes),
        cmocka_unit_test(test_encodings), cmocka_unit_test(test_encoding_allocates_nothing),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
