/*
 * requests_test.c - who may ask, what cannot be read, what is answered to wrong fields, and what
 * becomes of many commands in one request.
 */
#include "unit/api/api_world.h"

#include <netinet/in.h>

/* ---- who may ask ---- */

static void test_keys(void **state)
{
    static const struct str keys[] = {{"first", 5}, {"second", 6}};
    static const struct {
        const char *path, *headers;
        unsigned status;
    } rows[] = {
        {"/api/info", "", 401},
        {"/api/info", "X-API-Key: first\r\n", 200},
        {"/api/info", "x-api-key: second\r\n", 200},
        {"/api/info", "X-API-Key: firs\r\n", 401},
        {"/api/info", "X-API-Key: First\r\n", 401},
        {"/api/info", "X-API-Key:\r\n", 401},
        {"/api/info", "Authorization: apikey first\r\n", 200},
        {"/api/info", "Authorization: APIKEY  second\r\n", 200},
        {"/api/info", "Authorization: Bearer first\r\n", 401},
        {"/api/info", "Authorization: apikey\r\n", 401},
        {"/api/info", "X-API-Key: wrong\r\nAuthorization: apikey first\r\n", 401},
        {"/api/info?api_key=first", "", 401},
        {"/api/batch", "", 401},
        {"/api", "", 401},
    };
    struct api_world w;
    (void)state;
    world_begin_with_keys(&w, keys, 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *answer = ask_with(&w, rows[i].path, rows[i].headers, "{}");
        if (world_status(&w) != rows[i].status)
            fail_msg("row %zu: %u", i, world_status(&w));
        assert_has(answer, rows[i].status == 200 ? "{\"result\":" : "{\"error\":{\"code\":101,");
    }
    world_end(&w);
}

static void test_a_page_of_another_site_may_not_ask(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    ask_with(&w, "/api/info", "Origin: https://evil.example\r\n", "{}");
    assert_int_equal(world_status(&w), 403);
    ask_with(&w, "/api/info", "Origin: http://a\r\n", "{}"); // the Host
    assert_int_equal(world_status(&w), 200);
    world_end(&w);
}

/* From this machine, under the name of somebody who lets it point here. */
static unsigned status_under_name(struct api_world *w, const char *host)
{
    char request[256];
    int fd = world_connect(w, 0);
    int n = snprintf(request, sizeof(request),
                     "POST /api/info HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n"
                     "Connection: close\r\nContent-Length: 2\r\n\r\n{}",
                     host, host);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    world_receive(w, fd); // which closes it
    return world_status(w);
}

static void test_a_page_of_a_name_that_points_here_may_not_ask(void **state)
{
    static const struct str origins[] = {{"https://app.example", 19}};
    struct api_world w;
    (void)state;
    world_begin(&w);
    assert_int_equal(status_under_name(&w, "evil.example:8000"), 403);
    assert_int_equal(status_under_name(&w, "localhost:8000"), 200);
    assert_int_equal(status_under_name(&w, "app.example"), 403);
    w.admission.origins = origins;
    w.admission.origin_count = 1;
    assert_int_equal(status_under_name(&w, "app.example"), 200);
    world_end(&w);
}

/* ---- what cannot be read ---- */

static void test_unreadable_bodies(void **state)
{
    static const struct {
        const char *path, *body, *says;
    } rows[] = {
        {"/api/publish", "{", "at byte 1"},
        {"/api/publish", "x", "at byte 0"},
        {"/api/publish", " ", "at byte 1"},
        {"/api/publish", "[]", "at byte 0"},
        {"/api/publish", "{\"channel\":\"a\",\"data\":tru}", "at byte"},
        {"/api/publish", "{\"channel\":\"a\",\"data\":1} x", "at byte 25"},
        {"/api/publish", "{\"channel\":5,\"data\":01}", "at byte"},
        {"/api/publish", "{\"channel\":\"a\",\"data\":\"\xff\"}", "at byte"},
        {"/api/publish", "{\"tags\":{\"a\":}}", "at byte"},
        {"/api/disconnect", "{\"disconnect\":{\"code\"}}", "at byte"},
        {"/api/batch", "{\"commands\":[{]}", "at byte"},
        {"/api", "{\"method\":\"info\"", "at byte"},
        {"/api", "", "at byte"},
        {"/api", " \n", "at byte"},
    };
    struct api_world w;
    (void)state;
    world_begin(&w);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *answer = ask_with(&w, rows[i].path, "", rows[i].body);
        if (world_status(&w) != 400)
            fail_msg("row %zu: %u %s", i, world_status(&w), answer);
        assert_has(answer, "{\"error\":{\"code\":107,\"message\":\"bad request: ");
        assert_has(answer, rows[i].says);
    }
    world_end(&w);
}

static void test_wrong_fields_are_named(void **state)
{
    static const struct {
        const char *path, *body, *says;
    } rows[] = {
        {"publish", "", "channel: is required"},
        {"publish", "{\"data\":1}", "channel: is required"},
        {"publish", "{\"channel\":null,\"data\":1}", "channel: is required"},
        {"publish", "{\"channel\":\"a\"}", "data: is required"},
        {"publish", "{\"channel\":\"a\",\"user\":\"b\",\"data\":1}", "user: goes instead of"},
        {"publish", "{\"channel\":5,\"data\":1}", "channel: must be a string"},
        {"publish", "{\"channel\":{\"a\":[1]},\"data\":1}", "channel: must be a string"},
        {"publish", "{\"channel\":\"\\ud800\",\"data\":1}", "channel: has half a surrogate pair"},
        {"publish", "{\"channel\":\"a b\",\"data\":1}", "channel: name has a space"},
        {"publish", "{\"channel\":\"a\\u0000b\",\"data\":1}", "channel: name has a space"},
        {"publish", "{\"channel\":\"news:*\",\"data\":1}", "channel: a pattern cannot"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"tags\":[]}", "tags: must be an object"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"tags\":{\"a\":1}}", "tags: must hold strings"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"skip_history\":1}",
         "skip_history: must be true or false"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"exclude\":\"me\"}",
         "exclude: must be a client's id"},
        {"publish", "{\"channel\":\"a\",\"b64data\":\"aGk=\"}", "b64data: is not supported"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"version\":3}", "version: is not supported"},
        {"publish", "{\"channel\":\"a\",\"data\":1,\"tenant\":\"a\\tb\"}", "tenant: must be"},
        {"broadcast", "{\"data\":1}", "channels: is required"},
        {"broadcast", "{\"channels\":[]}", "data: is required"},
        {"broadcast", "{\"channels\":[],\"data\":1}", "channels: must not be empty"},
        {"broadcast", "{\"channels\":\"a\",\"data\":1}", "channels: must be an array"},
        {"broadcast", "{\"channels\":[1],\"data\":1}", "channels: must hold strings"},
        {"subscribe", "{\"channel\":\"a\"}", "user: is required"},
        {"subscribe", "{\"user\":\"a\"}", "channel: is required"},
        {"subscribe", "{\"user\":\"a\",\"channel\":\"b c\"}", "channel: name has a space"},
        {"subscribe", "{\"user\":\"a\",\"channel\":\"b\",\"recover_since\":1}",
         "recover_since: must be an object"},
        {"subscribe", "{\"user\":\"a\",\"channel\":\"b\",\"recover_since\":{\"offset\":-1}}",
         "recover_since: offset must not be negative"},
        {"unsubscribe", "{\"channel\":\"a\"}", "user: is required"},
        {"disconnect", "{}", "user: is required"},
        {"disconnect", "{\"user\":\"a\",\"disconnect\":{\"code\":1.5}}",
         "disconnect: must be an integer"},
        {"disconnect", "{\"user\":\"a\",\"disconnect\":{\"code\":70000}}", "code must be from"},
        {"disconnect", "{\"user\":\"a\",\"session\":\"x\"}", "session: is not supported"},
        {"refresh", "{\"user\":\"a\",\"expire_at\":\"soon\"}", "expire_at: must be an integer"},
        {"refresh", "{\"user\":\"a\",\"expire_at\":99999999999999999999}",
         "expire_at: must be an integer"},
        {"presence", "{}", "channel: is required"},
        {"presence_stats", "{}", "channel: is required"},
        {"history", "{\"channel\":\"a\",\"limit\":\"2\"}", "limit: must be an integer"},
        {"history", "{\"channel\":\"a\",\"since\":[]}", "since: must be an object"},
        {"history_remove", "{}", "channel: is required"},
        {"batch", "{}", "commands: is required"},
        {"batch", "{\"commands\":{}}", "commands: must be an array"},
    };
    struct api_world w;
    char path[64];
    (void)state;
    world_begin(&w);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(path, sizeof(path), "/api/%s", rows[i].path);
        const char *answer = ask(&w, path, rows[i].body);
        assert_has(answer, "{\"error\":{\"code\":107,\"message\":\"bad request: ");
        assert_has(answer, rows[i].says);
        assert_true(json_valid(str_from(answer)));
    }
    world_end(&w);
}

static void test_names_that_are_too_long(void **state)
{
    struct api_world w;
    struct buf body;
    (void)state;
    world_begin(&w);
    for (int escaped = 0; escaped < 2; escaped++) {
        buf_init(&body, 1 << 20);
        buf_add(&body, STR("{\"data\":1,\"channel\":\""));
        for (int i = 0; i < 3000; i++)
            buf_add(&body, escaped ? STR("\\u0061") : STR("a"));
        buf_add(&body, STR("\"}"));
        buf_add_char(&body, '\0');
        assert_has(ask(&w, "/api/publish", body.p), "too long");
        buf_fini(&body);
    }
    world_end(&w);
}

static void test_errors_as_status(void **state)
{
    static const char mode[] = "X-Centrifugo-Error-Mode: transport\r\n";
    struct api_world w;
    (void)state;
    world_begin(&w);
    assert_has(ask_with(&w, "/api/publish", mode, "{}"),
               "{\"code\":107,\"message\":\"bad request: channel: is required\"}");
    assert_int_equal(world_status(&w), 400);
    ask_with(&w, "/api/presence", mode, "{\"channel\":\"news:a\"}");
    assert_int_equal(world_status(&w), 400);
    ask_with(&w, "/api/history", mode,
             "{\"channel\":\"news:a\",\"since\":{\"offset\":1,\"epoch\":\"x\"}}");
    assert_int_equal(world_status(&w), 416);
    ask_with(&w, "/api/rpc", mode, "{}");
    assert_int_equal(world_status(&w), 404);
    assert_has(ask_with(&w, "/api/publish", mode, "{\"channel\":\"a\",\"data\":1}"), "{\"result\"");
    assert_int_equal(world_status(&w), 200);
    world_end(&w);
}

static void test_unknown_paths(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    ask_with(&w, "/api/nothing", "", "{}");
    assert_int_equal(world_status(&w), 404);
    ask_with(&w, "/api/publish/", "", "{}");
    assert_int_equal(world_status(&w), 404);
    world_end(&w);
}

/* ---- many commands ---- */

static void test_broadcast_answers_in_order(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    const char *answer = ask(&w, "/api/broadcast",
                             "{\"channels\":[\"news:1\",\"b d\",\"plain\",\"news:\\u0031\"],"
                             "\"data\":{\"x\":1},\"type\":\"t\"}");
    assert_has(answer, "{\"result\":{\"responses\":[{\"result\":{\"offset\":1,");
    assert_has(answer, "},{\"error\":{\"code\":107,");
    assert_has(answer, "}},{\"result\":{}},{\"result\":{\"offset\":2,");
    assert_true(json_valid(str_from(answer)));
    world_end(&w);
}

static void test_batch_answers_in_order(void **state)
{
    static const char *const forms[] = {"", ",\"parallel\":true", ",\"parallel\":false"};
    struct api_world w;
    char body[1024];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_begin(&w);
        snprintf(body, sizeof(body),
                 "{\"commands\":[{\"publish\":{\"channel\":\"news:1\",\"data\":1}},"
                 "{\"nothing\":{}},7,"
                 "{\"broadcast\":{\"channels\":[\"news:1\",\"news:2\",\"news:3\"],\"data\":2}},"
                 "{\"publish\":{\"channel\":5}},{\"publish\":[]},"
                 "{\"history\":{\"channel\":\"news:1\",\"limit\":5}},{\"info\":{}}]%s}",
                 forms[i]);
        const char *answer = ask(&w, "/api/batch", body);
        assert_true(json_valid(str_from(answer)));
        assert_has(answer, "{\"replies\":[{\"publish\":{\"offset\":1,");
        assert_has(answer, "},{\"error\":{\"code\":104,\"message\":\"method not found\"}},"
                           "{\"error\":{\"code\":104,\"message\":\"method not found\"}},"
                           "{\"broadcast\":{\"responses\":[{\"result\":{\"offset\":2,");
        assert_has(answer, "]}},{\"error\":{\"code\":107,\"message\":\"bad request: channel: must "
                           "be a string\"}},{\"error\":{\"code\":107,");
        assert_has(answer, "},{\"history\":{\"publications\":[{\"offset\":1,\"data\":1,");
        assert_has(answer, "},{\"info\":{\"nodes\":[{");
        world_end(&w);
    }
}

static void test_a_batch_in_sequence_sees_what_came_before(void **state)
{
    struct api_world w;
    char body[256], offset[64];
    (void)state;
    world_begin(&w);
    for (int i = 0; i < 8; i++) { // the homes differ
        snprintf(body, sizeof(body),
                 "{\"commands\":[{\"publish\":{\"channel\":\"news:s%d\",\"data\":1}},"
                 "{\"publish\":{\"channel\":\"news:s%d\",\"data\":2}},"
                 "{\"history\":{\"channel\":\"news:s%d\",\"limit\":1,\"reverse\":true}}]}",
                 i, i, i);
        snprintf(offset, sizeof(offset), "{\"history\":{\"publications\":[{\"offset\":2,");
        assert_has(ask(&w, "/api/batch", body), offset);
    }
    world_end(&w);
}

static void add_commands(struct buf *b, int count, const char *head, const char *one,
                         const char *tail)
{
    buf_init(b, 1 << 20);
    buf_add(b, str_from(head));
    for (int i = 0; i < count; i++)
        buf_add_format(b, "%s%s", i > 0 ? "," : "", one);
    buf_add(b, str_from(tail));
    buf_add_char(b, '\0');
}

static void test_too_many_commands(void **state)
{
    struct api_world w;
    struct buf b;
    (void)state;
    world_begin(&w);
    add_commands(&b, 21, "{\"commands\":[", "{\"info\":{}}", "]}");
    assert_has(ask(&w, "/api/batch", b.p), "{\"error\":{\"code\":106,");
    buf_fini(&b);
    add_commands(&b, 20, "{\"commands\":[", "{\"info\":{}}", "]}");
    assert_has(ask(&w, "/api/batch", b.p), "{\"replies\":[{\"info\":");
    buf_fini(&b);
    add_commands(&b, 21, "{\"data\":1,\"channels\":[", "\"a\"", "]}");
    assert_has(ask(&w, "/api/broadcast", b.p), "{\"error\":{\"code\":106,");
    buf_fini(&b);
    assert_string_equal(ask(&w, "/api/batch", "{\"commands\":[]}"), "{\"replies\":[]}");
    world_end(&w);
}

static void test_the_older_form(void **state)
{
    struct api_world w;
    (void)state;
    world_begin(&w);
    const char *answer =
        ask(&w, "/api",
            "{\"method\":\"publish\",\"params\":{\"channel\":\"news:o\",\"data\":{}}}\n"
            "{\"id\":7,\"method\":\"presence_stats\",\"params\":{\"channel\":\"room:o\"}}\n"
            "{\"method\":\"what\"}\n{\"method\":\"info\"}");
    assert_has(answer, "{\"result\":{\"offset\":1,");
    assert_has(answer, "}}\n{\"id\":7,\"result\":{\"num_clients\":0,\"num_users\":0}}\n"
                       "{\"error\":{\"code\":104,\"message\":\"method not found\"}}\n"
                       "{\"result\":{\"nodes\":[");
    world_end(&w);
}

/* ---- a peer that does not wait ---- */

/* A connection that close() resets. */
static int connect_tcp(struct api_world *w)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger at_once = {.l_onoff = 1};
    socklen_t n = sizeof(sa);
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(door, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)&sa, &n), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    int other = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(other >= 0);
    close(door);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    http_server_accept(w->servers[0], other,
                       &(struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}}, NULL);
    return fd;
}

static void test_the_work_of_a_peer_that_has_gone_is_done(void **state)
{
    struct api_world w;
    char body[512];
    (void)state;
    world_begin(&w);
    for (int parallel = 0; parallel < 2; parallel++) {
        for (int turns = 0; turns < 6; turns++) {
            int n = snprintf(body, sizeof(body), "{\"parallel\":%s,\"commands\":[",
                             parallel ? "true" : "false");
            for (int i = 0; i < 8; i++)
                n += snprintf(body + n, sizeof(body) - (size_t)n,
                              "%s{\"publish\":{\"channel\":\"news:g%d\",\"data\":1}}",
                              i > 0 ? "," : "", i);
            snprintf(body + n, sizeof(body) - (size_t)n, "]}");
            int fd = connect_tcp(&w);
            world_send(&w, fd, "/api/batch", "", str_from(body));
            for (int t = 0; t < turns; t++)
                loop_turn(w.loops[0], 0);
            close(fd);
            loop_turn(w.loops[0], 0);
            world_settle(&w);
            world_settle(&w);
        }
    }
    for (int i = 0; i < 8; i++) {
        snprintf(body, sizeof(body), "{\"channel\":\"news:g%d\"}", i);
        assert_has(ask(&w, "/api/history", body), "\"offset\":12}");
    }
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_a_page_of_another_site_may_not_ask),
        cmocka_unit_test(test_a_page_of_a_name_that_points_here_may_not_ask),
        cmocka_unit_test(test_unreadable_bodies),
        cmocka_unit_test(test_wrong_fields_are_named),
        cmocka_unit_test(test_names_that_are_too_long),
        cmocka_unit_test(test_errors_as_status),
        cmocka_unit_test(test_unknown_paths),
        cmocka_unit_test(test_broadcast_answers_in_order),
        cmocka_unit_test(test_batch_answers_in_order),
        cmocka_unit_test(test_a_batch_in_sequence_sees_what_came_before),
        cmocka_unit_test(test_too_many_commands),
        cmocka_unit_test(test_the_older_form),
        cmocka_unit_test(test_the_work_of_a_peer_that_has_gone_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
