/*
 * verbs_test.c - every command of the server API against the real hub, on two loops: half of the
 * channels are at home elsewhere, so every answer comes both inside the call and by mail.
 */
#include "unit/api/api_world.h"

static void test_publish_says_offset_and_epoch(void **state)
{
    struct api_world w;
    char channel[64], body[128], offset[32];
    (void)state;
    world_begin(&w);
    for (int i = 0; i < 16; i++) { // on either loop
        snprintf(channel, sizeof(channel), "news:%d", i);
        for (int k = 1; k <= 2; k++) {
            snprintf(body, sizeof(body), "{\"channel\":\"%s\",\"data\":{\"n\":%d}}", channel, k);
            snprintf(offset, sizeof(offset), "{\"result\":{\"offset\":%d,\"epoch\":\"", k);
            assert_has(ask(&w, "/api/publish", body), offset);
        }
    }
    assert_string_equal(ask(&w, "/api/publish", "{\"channel\":\"plain\",\"data\":1}"),
                        "{\"result\":{}}");
    world_end(&w);
}

static void test_data_and_type_arrive_as_they_were_sent(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    struct fake *f = fake_open(node_hub(w.node, 0), "default", "ann");
    follow(&w, f, "news:a");
    ask(&w, "/api/publish",
        " { \"data\" : { \"b\" : [1.0, \"\\u00e9\\n\"] } , \"channel\":\"n\\u0065ws:a\" ,"
        "\"type\":\"x\",\"unknown\":{}} ");
    world_settle(&w);
    assert_string_equal(told(f), "news:a#1 { \"b\" : [1.0, \"\\u00e9\\n\"] }\n");
    assert_has(ask(&w, "/api/history", "{\"channel\":\"news:a\",\"limit\":10}"),
               "\"type\":\"x\",\"data\":{ \"b\" : [1.0, \"\\u00e9\\n\"] },\"time\":");
    assert_has(ask(&w, "/api/publish", "{\"channel\":\"news:a\",\"data\":null}"), "\"offset\":2");
    leave(&w, f);
    world_end(&w);
}

static void test_publish_to_a_user(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    struct fake *f = fake_open(node_hub(w.node, 1), "default", "7");
    follow(&w, f, "user:7");
    assert_string_equal(ask(&w, "/api/publish", "{\"user\":\"7\",\"data\":\"hi\"}"),
                        "{\"result\":{}}");
    world_settle(&w);
    assert_string_equal(told(f), "user:7#0 \"hi\"\n");
    leave(&w, f);
    world_end(&w);
}

static void test_the_excluded_client_hears_nothing(void **state)
{
    struct api_world w;
    char body[256], id[UUID_TEXT + 1];
    (void)state;
    world_begin(&w);
    for (unsigned loop = 0; loop < WORLD_LOOPS; loop++) {
        struct fake *a = fake_open(node_hub(w.node, loop), "default", "ann");
        struct fake *b = fake_open(node_hub(w.node, loop), "default", "bob");
        follow(&w, a, "news:e");
        follow(&w, b, "news:e");
        snprintf(body, sizeof(body), "{\"channel\":\"news:e\",\"data\":1,\"exclude\":\"%s\"}",
                 client_text(a, id));
        ask(&w, "/api/publish", body);
        ask(&w, "/api/publish", "{\"channel\":\"news:e\",\"data\":2}");
        world_settle(&w);
        assert_false(has(told(a), " 1\n"));
        assert_has(told(a), " 2\n");
        assert_has(told(b), " 1\n");
        leave(&w, a);
        leave(&w, b);
    }
    world_end(&w);
}

static void test_the_same_key_publishes_once(void **state)
{
    static const char body[] = "{\"channel\":\"news:i\",\"data\":1,\"idempotency_key\":\"k\"}";
    struct api_world w;
    char first[256];
    (void)state;
    world_begin(&w);
    snprintf(first, sizeof(first), "%s", ask(&w, "/api/publish", body));
    assert_string_equal(ask(&w, "/api/publish", body), first);
    assert_has(ask(&w, "/api/publish", "{\"channel\":\"news:i\",\"data\":1}"), "\"offset\":2");
    world_end(&w);
}

static void test_tenants_are_apart(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    ask(&w, "/api/publish", "{\"channel\":\"news:t\",\"data\":1,\"tenant\":\"acme\"}");
    assert_has(ask(&w, "/api/history", "{\"channel\":\"news:t\",\"tenant\":\"acme\"}"),
               "\"offset\":1}");
    assert_has(ask(&w, "/api/history", "{\"channel\":\"news:t\"}"), "\"offset\":0}");
    assert_has(
        ask(&w, "/api/publish", "{\"channel\":\"news:t\",\"data\":1,\"tenant\":\"a\\u0000b\"}"),
        "bad request: tenant: ");
    world_end(&w);
}

static void test_history(void **state)
{
    struct api_world w;
    char body[256], epoch[16] = "";
    (void)state;
    world_begin(&w);
    for (int i = 1; i <= 8; i++) {
        snprintf(body, sizeof(body), "{\"channel\":\"news:h\",\"data\":%d}", i);
        const char *answer = ask(&w, "/api/publish", body);
        memcpy(epoch, strstr(answer, "\"epoch\":\"") + 9, 8);
    }
    const char *only = ask(&w, "/api/history", "{\"channel\":\"news:h\"}");
    assert_has(only, "\"publications\":[]");
    assert_has(only, "\"offset\":8}}");
    const char *two = ask(&w, "/api/history", "{\"channel\":\"news:h\",\"limit\":2}");
    assert_has(two, "[{\"offset\":1,\"data\":1,");
    assert_has(two, "{\"offset\":2,\"data\":2,");
    assert_false(has(two, "\"data\":3"));
    const char *back =
        ask(&w, "/api/history", "{\"channel\":\"news:h\",\"limit\":1,\"reverse\":true}");
    assert_has(back, "[{\"offset\":8,\"data\":8,");
    const char *most = ask(&w, "/api/history", "{\"channel\":\"news:h\",\"limit\":-1}");
    assert_has(most, "\"data\":5,"); // history_limit_max
    assert_false(has(most, "\"data\":6,"));
    snprintf(body, sizeof(body),
             "{\"channel\":\"news:h\",\"limit\":9,\"since\":{\"offset\":6,\"epoch\":\"%s\"}}",
             epoch);
    assert_has(ask(&w, "/api/history", body), "\"publications\":[{\"offset\":7,");
    for (const char *const *e = (const char *const[]){"00000001", "what", NULL}; *e; e++) {
        snprintf(body, sizeof(body),
                 "{\"channel\":\"news:h\",\"limit\":9,\"since\":{\"offset\":6,\"epoch\":\"%s\"}}",
                 *e);
        assert_string_equal(ask(&w, "/api/history", body),
                            "{\"error\":{\"code\":112,\"message\":\"unrecoverable position\"}}");
    }
    assert_string_equal(ask(&w, "/api/history_remove", "{\"channel\":\"news:h\"}"),
                        "{\"result\":{}}");
    assert_has(ask(&w, "/api/history", "{\"channel\":\"news:h\",\"limit\":9}"),
               "\"publications\":[]");
    assert_has(ask(&w, "/api/history", "{\"channel\":\"plain\"}"), "\"code\":108");
    world_end(&w);
}

static void test_presence(void **state)
{
    struct api_world w;
    char id[UUID_TEXT + 1];
    (void)state;
    world_begin(&w);
    struct fake *a = fake_open(node_hub(w.node, 0), "default", "ann");
    struct fake *b = fake_open(node_hub(w.node, 1), "default", "ann");
    a->session.info = STR("{\"name\":\"Ann\"}");
    follow(&w, a, "room:1");
    follow(&w, b, "room:1");
    const char *all = ask(&w, "/api/presence", "{\"channel\":\"room:1\"}");
    assert_has(all, client_text(a, id));
    assert_has(all, client_text(b, id));
    assert_has(all, "\"user\":\"ann\",\"conn_info\":{\"name\":\"Ann\"}}");
    assert_string_equal(ask(&w, "/api/presence_stats", "{\"channel\":\"room:1\"}"),
                        "{\"result\":{\"num_clients\":2,\"num_users\":1}}");
    assert_string_equal(ask(&w, "/api/presence", "{\"channel\":\"room:none\"}"),
                        "{\"result\":{\"presence\":{}}}");
    assert_has(ask(&w, "/api/presence", "{\"channel\":\"news:x\"}"), "\"code\":108");
    leave(&w, a);
    leave(&w, b);
    world_end(&w);
}

static void test_lists_and_info(void **state)
{
    struct api_world w;
    char id[UUID_TEXT + 1];
    (void)state;
    world_begin(&w);
    struct fake *a = fake_open(node_hub(w.node, 0), "default", "ann");
    struct fake *b = fake_open(node_hub(w.node, 1), "acme", "bob");
    follow(&w, a, "news:1");
    follow(&w, a, "room:1");
    follow(&w, b, "news:2");
    const char *channels = ask(&w, "/api/channels", "{}");
    assert_has(channels, "\"news:1\":{\"num_clients\":1}");
    assert_has(channels, "\"room:1\":{\"num_clients\":1}");
    assert_false(has(channels, "news:2"));
    assert_string_equal(ask(&w, "/api/channels", "{\"pattern\":\"ne*\"}"),
                        "{\"result\":{\"channels\":{\"news:1\":{\"num_clients\":1}}}}");
    const char *sessions = ask(&w, "/api/sessions", "{\"tenant\":\"acme\"}");
    assert_has(sessions, client_text(b, id));
    assert_has(sessions, "\"user\":\"bob\",\"tenant\":\"acme\",\"dialect\":\"fake\",\"channels\":1,"
                         "\"connected_ms\":");
    assert_has(sessions, "\"total\":1");
    const char *info = ask(&w, "/api/info", "");
    assert_has(info, "\"uid\":\"abcd0000-0000-0000-0000-000000000000\",\"name\":\"recado\","
                     "\"version\":\"1.2.3\",\"num_clients\":2,\"num_users\":2,\"num_subs\":3,"
                     "\"num_channels\":3,\"uptime\":0}");
    assert_has(ask(&w, "/api/rpc", "{\"method\":\"x\"}"), "\"code\":104");
    leave(&w, a);
    leave(&w, b);
    world_end(&w);
}

static void test_control_of_a_user(void **state)
{
    struct api_world w;
    char body[256], id[UUID_TEXT + 1];
    (void)state;
    world_begin(&w);
    struct fake *a = fake_open(node_hub(w.node, 0), "default", "ann");
    struct fake *b = fake_open(node_hub(w.node, 1), "default", "ann");
    struct fake *c = fake_open(node_hub(w.node, 1), "default", "bob");
    assert_string_equal(ask(&w, "/api/subscribe", "{\"user\":\"ann\",\"channel\":\"news:s\"}"),
                        "{\"result\":{}}");
    world_settle(&w);
    assert_string_equal(told(a), "subscribed news:s\n");
    assert_string_equal(told(b), "subscribed news:s\n");
    snprintf(body, sizeof(body), "{\"user\":\"ann\",\"channel\":\"news:s\",\"client\":\"%s\"}",
             client_text(a, id));
    assert_string_equal(ask(&w, "/api/unsubscribe", body), "{\"result\":{}}");
    assert_has(told(a), "unsubscribed news:s 2000 ");
    assert_false(has(told(b), "unsubscribed"));
    snprintf(body, sizeof(body),
             "{\"user\":\"ann\",\"whitelist\":[\"x\",\"%s\"],"
             "\"disconnect\":{\"code\":4001,\"reason\":\"moved\"}}",
             client_text(b, id));
    assert_string_equal(ask(&w, "/api/disconnect", body), "{\"result\":{}}");
    assert_has(told(a), "disconnect force_disconnect 4001\n");
    assert_false(has(told(b), "disconnect"));
    assert_string_equal(ask(&w, "/api/refresh", "{\"user\":\"ann\",\"expired\":true}"),
                        "{\"result\":{}}");
    assert_has(told(b), "disconnect expired 0\n");
    assert_string_equal(told(c), "");
    leave(&w, a);
    leave(&w, b);
    leave(&w, c);
    world_end(&w);
}

static void told_data(struct session *s, struct subscription *sub, const struct answer *a)
{
    buf_add_format(&fake_of(s)->told, "%.*s told %.*s until %ld\n",
                   STR_FMT(subscription_channel(sub)), STR_FMT(a->data), (long)sub->expire_at);
    for (size_t i = 0; i < a->publication_count; i++)
        buf_add_format(&fake_of(s)->told, "missed %lu\n",
                       (unsigned long)a->publications[i]->offset);
    buf_add_format(&fake_of(s)->told, "recovered %d\n", a->recovered);
}

static void test_what_the_api_says_reaches_the_subscribed_client(void **state)
{
    static const struct {
        const char *since, *told;
    } rows[] = {
        {"{\"offset\":1}", "missed 2\nmissed 3\nrecovered 1\n"},
        {"{\"offset\":3,\"epoch\":\"\"}", "recovered 1\n"},
        {"{\"offset\":1,\"epoch\":\"of another server\"}", "recovered 0\n"},
    };
    struct session_ops ops = fake_ops;
    struct api_world w;
    char body[256];
    (void)state;
    ops.subscribed = told_data;
    world_begin(&w);
    for (int i = 0; i < 3; i++)
        ask(&w, "/api/publish", "{\"channel\":\"news:d\",\"data\":1}");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake *f = fake_open(node_hub(w.node, i % WORLD_LOOPS), "default", "ann");
        f->session.ops = &ops;
        snprintf(body, sizeof(body),
                 "{\"user\":\"ann\",\"channel\":\"news:d\",\"data\":{\"a\": 1},"
                 "\"expire_at\":4102444800,\"recover_since\":%s}",
                 rows[i].since);
        ask(&w, "/api/subscribe", body);
        world_settle(&w);
        assert_has(told(f), "news:d told {\"a\": 1} until 4102444800\n");
        assert_has(told(f), rows[i].told);
        leave(&w, f);
    }
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_says_offset_and_epoch),
        cmocka_unit_test(test_data_and_type_arrive_as_they_were_sent),
        cmocka_unit_test(test_publish_to_a_user),
        cmocka_unit_test(test_the_excluded_client_hears_nothing),
        cmocka_unit_test(test_the_same_key_publishes_once),
        cmocka_unit_test(test_tenants_are_apart),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_presence),
        cmocka_unit_test(test_lists_and_info),
        cmocka_unit_test(test_control_of_a_user),
        cmocka_unit_test(test_what_the_api_says_reaches_the_subscribed_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
