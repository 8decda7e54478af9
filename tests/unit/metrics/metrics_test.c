/*
 * metrics_test.c - the page that Prometheus reads, and health, asked over real sockets of a real
 * loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "metrics/metrics.h"
#include "unit/hub/fake_session.h"

enum { TURNS_MAX = 2000 };

struct world {
    struct loop *loop;
    struct flusher flusher;
    struct outflow outflow;
    struct policy policy;
    struct node *node;
    struct http_router *router;
    struct http_options options;
    struct http_server *server;
    struct metrics_loop figures;
    struct metrics_source source;
    struct admission admission;
    admission_slot slot;
    struct auth *auth;
    struct buf answer;
};

static void world_begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->policy = (struct policy){.channel_name_max = 64,
                                .channels_max = 10,
                                .channels_per_session_max = 4,
                                .feed_bytes_max = 1 << 16};
    w->options = (struct http_options){.head_max_bytes = 16384,
                                       .body_max_bytes = 1 << 20,
                                       .head_timeout_ms = 10000,
                                       .body_timeout_ms = 30000,
                                       .idle_timeout_ms = 75000,
                                       .out_max_bytes = 1 << 20};
    w->loop = loop_create(0);
    assert_non_null(w->loop);
    assert_true(flusher_init(&w->flusher, w->loop));
    outflow_init(&w->outflow);
    w->node = node_create(&w->loop, 1, &w->policy, 10);
    assert_non_null(w->node);
    hub_set_outflow(node_hub(w->node, 0), &w->outflow);
    metrics_loop_init(&w->figures);
    w->figures.loop = w->loop;
    w->figures.flusher = &w->flusher;
    w->auth = auth_create(&(struct auth_options){.api_key_count = 0}, NULL);
    assert_non_null(w->auth);
    w->admission.auth = w->auth;
    atomic_init(&w->slot, &w->admission);
    w->source.admission = &w->slot;
    w->source.node = w->node;
    w->source.loops = &w->figures;
    w->source.loop_count = 1;
    w->source.version = "1.2.3";
    w->source.started_ns = clock_mono_ns();
    w->source.connections_max = 77;
    atomic_init(&w->source.bus_ok, true);
    w->router = http_router_create();
    assert_true(metrics_routes(w->router, &w->source));
    assert_true(health_routes(w->router, &w->source));
    w->server = http_server_create(&w->flusher, w->router, &w->options);
    assert_non_null(w->server);
    w->figures.servers[0] = w->server;
    buf_init(&w->answer, 4 << 20);
}

static void world_end(struct world *w)
{
    http_server_stop(w->server);
    for (int i = 0; i < 4; i++)
        loop_turn(w->loop, 0);
    http_server_destroy(&w->server);
    flusher_fini(&w->flusher);
    http_router_destroy(&w->router);
    node_destroy(&w->node);
    loop_destroy(&w->loop);
    auth_destroy(&w->auth);
    buf_fini(&w->answer);
}

/* Head and body, with a terminator; headers: the first is Host. */
static const char *get_with(struct world *w, const char *path, const char *headers)
{
    char request[512];
    int pair[2];
    ssize_t n = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    http_server_accept(w->server, pair[0], &(struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}},
                       NULL);
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n", path, headers);
    assert_int_equal(send(pair[1], request, (size_t)len, 0), len);
    buf_clear(&w->answer);
    for (int i = 0; n != 0; i++) {
        assert_true(i < TURNS_MAX);
        loop_turn(w->loop, 0);
        assert_true(buf_reserve(&w->answer, 65536));
        n = recv(pair[1], w->answer.p + w->answer.len, 65536, 0);
        assert_true(n >= 0 || errno == EAGAIN);
        w->answer.len += n > 0 ? (size_t)n : 0;
    }
    close(pair[1]);
    assert_true(buf_add_char(&w->answer, '\0'));
    return w->answer.p;
}

static const char *get(struct world *w, const char *path)
{
    return get_with(w, path, "Host: a");
}

static void assert_line(const char *page, const char *line)
{
    char whole[512];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(page, whole) == NULL)
        fail_msg("no line %s in\n%s", line, page);
}

static void answered(void *ctx, const struct answer *a)
{
    *(enum err *)ctx = a->err;
}

static void test_figures(void **state)
{
    struct world w;
    enum err e = ERR_INTERNAL;
    (void)state;
    world_begin(&w);
    struct fake *f = fake_open(node_hub(w.node, 0), "t", "ann");
    hub_subscribe(&f->session,
                  &(struct subscribe_params){
                      .channel = STR("a"), .encoding = &fake_encoding, .authorized = true},
                  answered, &e);
    assert_int_equal(e, ERR_OK);
    hub_publish(
        node_hub(w.node, 0),
        &(struct publish_params){.tenant = STR("t"), .channel = STR("a"), .data = STR("12345")},
        answered, &e);
    assert_int_equal(e, ERR_OK);
    metrics_observe(&w.figures, 50000);      // the first bucket's own bound
    metrics_observe(&w.figures, 50001);      // the second's
    metrics_observe(&w.figures, 9000000000); // above all
    atomic_fetch_add(&w.source.refused_connections, 3);
    atomic_fetch_add(&w.flusher.closes[CLOSE_SLOW], 2);
    gauge_add(&w.flusher.outflow.log_bytes, 4096);
    get(&w, "/none");
    const char *page = get(&w, "/metrics");
    assert_non_null(strstr(page, "Content-Type: text/plain; version=0.0.4"));
    assert_line(page, "recado_info{version=\"1.2.3\"} 1");
    assert_line(page, "recado_sessions{dialect=\"fake\"} 1");
    assert_line(page, "recado_connections 1");
    assert_line(page, "recado_connections_max 77");
    assert_line(page, "recado_connections_refused_total 3");
    assert_line(page, "recado_channels 1");
    assert_line(page, "recado_subscriptions 1");
    assert_line(page, "recado_publishes_total 1");
    assert_line(page, "recado_publish_bytes_total 5");
    assert_line(page, "recado_feed_bytes 4096");
    assert_line(page, "recado_closes_total{reason=\"slow\"} 2");
    assert_line(page, "recado_closes_total{reason=\"too_many_errors\"} 0");
    assert_line(page, "recado_recoveries_total{result=\"recovered\"} 0");
    assert_line(page, "recado_http_requests_total{status=\"4xx\"} 1");
    assert_line(page, "recado_publish_to_write_seconds_bucket{le=\"5e-05\"} 1");
    assert_line(page, "recado_publish_to_write_seconds_bucket{le=\"0.0001\"} 2");
    assert_line(page, "recado_publish_to_write_seconds_bucket{le=\"5\"} 2");
    assert_line(page, "recado_publish_to_write_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(page, "recado_publish_to_write_seconds_sum 9.000100001");
    assert_line(page, "recado_publish_to_write_seconds_count 3");
    fake_close(f);
    assert_line(get(&w, "/metrics"), "recado_sessions{dialect=\"fake\"} 0");
    fake_free(f);
    world_end(&w);
}

/* Prometheus names no page, and comes from elsewhere or by a name of this machine. */
static void test_who_may_read(void **state)
{
    static const struct str origins[] = {{"https://app.example", 19}}, keys[] = {{"a key", 5}};
    static const struct {
        const char *headers;
        bool ok;
    } rows[] = {
        {"Host: localhost:8000", true},
        {"Host: 127.0.0.1:8000", true},
        {"Host: recado:8000", true},
        {"Host: app.example", true},
        {"Host: evil.example:8000", false},
        {"Host: evil.example\r\nOrigin: http://evil.example", false},
        {"Host: localhost\r\nOrigin: https://evil.example", false},
        {"Host: localhost\r\nOrigin: http://localhost", true},
    };
    struct world w;
    (void)state;
    world_begin(&w);
    w.admission.origins = origins;
    w.admission.origin_count = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *page = get_with(&w, "/metrics", rows[i].headers);
        assert_non_null(strstr(page, rows[i].ok ? "HTTP/1.1 200 " : "HTTP/1.1 403 "));
        assert_int_equal(strstr(page, "recado_info") != NULL, rows[i].ok);
    }
    auth_destroy(&w.auth); // with a key it may be behind a proxy that has a name
    w.auth = auth_create(&(struct auth_options){.api_keys = keys, .api_key_count = 1}, NULL);
    assert_non_null(w.auth);
    w.admission.auth = w.auth;
    assert_non_null(strstr(get_with(&w, "/metrics", "Host: push.example"), "HTTP/1.1 200 "));
    world_end(&w);
}

/* Every sample belongs to the family that was announced last, and no family comes twice. */
static void test_the_page_is_well_formed(void **state)
{
    struct world w;
    char family[128] = "", name[160];
    struct buf seen;
    size_t families = 0;
    (void)state;
    world_begin(&w);
    buf_init(&seen, 1 << 16);
    struct str rest = str_from(strstr(get(&w, "/metrics"), "\r\n\r\n") + 4);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("# HELP "))) {
            struct str text = str_skip(line, 7), word = str_cut(&text, ' ');
            assert_true(text.n > 0);
            snprintf(family, sizeof(family), "%.*s", STR_FMT(word));
            snprintf(name, sizeof(name), " %s ", family);
            assert_true(str_find(buf_str(&seen), str_from(name)) == seen.len);
            assert_true(buf_add(&seen, str_from(name)));
            families++;
        } else if (str_starts(line, STR("# TYPE "))) {
            struct str text = str_skip(line, 7);
            assert_true(str_eq(str_cut(&text, ' '), str_from(family)));
        } else {
            assert_true(str_starts(line, str_from(family)));
            assert_true(str_find(line, STR(" ")) < line.n);
        }
    }
    assert_true(families > 30);
    buf_fini(&seen);
    world_end(&w);
}

static void test_health(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w);
    for (const char *const *p =
             (const char *const[]){"/health", "/healthz/live", "/healthz/ready", NULL};
         *p; p++) {
        const char *answer = get(&w, *p);
        assert_non_null(strstr(answer, "HTTP/1.1 200 "));
        assert_non_null(strstr(answer, "{\"status\":\"ok\",\"version\":\"1.2.3\",\"uptime\":0}"));
    }
    atomic_store(&w.source.bus_ok, false);
    assert_non_null(strstr(get(&w, "/healthz/ready"), "{\"status\":\"bus unusable\""));
    atomic_store(&w.source.draining, true);
    const char *answer = get(&w, "/healthz/ready");
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    assert_non_null(strstr(answer, "{\"status\":\"draining\""));
    assert_non_null(strstr(get(&w, "/healthz/live"), "HTTP/1.1 200 "));
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_the_page_is_well_formed),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_who_may_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
