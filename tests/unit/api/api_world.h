/* api_world.h - a node of two loops with the API behind HTTP, and a socket for each question.
 *
 * Both loops are turned by hand on one thread, so an answer that comes by mail comes when the test
 * lets it come.
 *
 * Thread:  one.
 * Memory:  a world is begun and ended by its test; an answer is valid until the next question.
 * Failure: fails the test. */
#ifndef UNIT_API_API_WORLD_H
#define UNIT_API_API_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/json.h"
#include "unit/hub/fake_session.h"

enum { WORLD_LOOPS = 2, WORLD_TURNS_MAX = 2000 };

struct api_world {
    struct loop *loops[WORLD_LOOPS];
    struct flusher flushers[WORLD_LOOPS];
    struct outflow outflows[WORLD_LOOPS]; // of the fake sessions
    struct http_server *servers[WORLD_LOOPS];
    struct policy policy;
    struct namespace_options namespaces[2];
    struct node *node;
    struct http_router *router;
    struct http_options http;
    struct auth *auth;
    struct admission admission;
    admission_slot slot;
    struct api api;
    struct buf answer; // of the last question: head and body, with a terminator
};

static inline void world_begin_with_keys(struct api_world *w, const struct str *keys, size_t count)
{
    memset(w, 0, sizeof(*w));
    w->namespaces[0] = (struct namespace_options){
        STR("news"), {.history_count = 10, .history_bytes = 1 << 20, .recover = true}};
    w->namespaces[1] = (struct namespace_options){STR("room"), {.presence = true}};
    w->policy = (struct policy){.namespaces = w->namespaces,
                                .namespace_count = 2,
                                .channel_name_max = 64,
                                .channels_max = 1000,
                                .channels_per_session_max = 10,
                                .feed_bytes_max = 1 << 16,
                                .idempotency_ttl_ms = 60000,
                                .idempotency_max = 10,
                                .epoch_idle_ms = 60000};
    for (unsigned i = 0; i < WORLD_LOOPS; i++) {
        w->loops[i] = loop_create(i);
        assert_non_null(w->loops[i]);
        assert_true(flusher_init(&w->flushers[i], w->loops[i]));
        outflow_init(&w->outflows[i]);
    }
    w->node = node_create(w->loops, WORLD_LOOPS, &w->policy, 100);
    assert_non_null(w->node);
    w->auth = auth_create(&(struct auth_options){.api_keys = keys, .api_key_count = count}, NULL);
    assert_non_null(w->auth);
    w->admission.auth = w->auth;
    atomic_init(&w->slot, &w->admission);
    w->api = (struct api){.node = w->node,
                          .admission = &w->slot,
                          .default_tenant = STR("default"),
                          .version = STR("1.2.3"),
                          .node_name = STR("recado"),
                          .node_id = {0xab, 0xcd},
                          .started_ns = clock_mono_ns(),
                          .body_max_bytes = 1 << 20,
                          .commands_max = 20,
                          .history_limit_max = 5,
                          .list_limit_max = 3};
    w->http = (struct http_options){.head_max_bytes = 16384,
                                    .body_max_bytes = 1 << 20,
                                    .head_timeout_ms = 10000,
                                    .body_timeout_ms = 30000,
                                    .idle_timeout_ms = 75000,
                                    .out_max_bytes = 1 << 20};
    w->router = http_router_create();
    assert_non_null(w->router);
    assert_true(api_routes(w->router, &w->api));
    for (unsigned i = 0; i < WORLD_LOOPS; i++) {
        hub_set_outflow(node_hub(w->node, i), &w->outflows[i]);
        w->servers[i] = http_server_create(&w->flushers[i], w->router, &w->http);
        assert_non_null(w->servers[i]);
    }
    buf_init(&w->answer, 64 << 20);
}

static inline void world_begin(struct api_world *w)
{
    world_begin_with_keys(w, NULL, 0);
}

static inline void world_turn(struct api_world *w)
{
    for (unsigned i = 0; i < WORLD_LOOPS; i++)
        loop_turn(w->loops[i], 0);
}

static inline void world_settle(struct api_world *w)
{
    for (int i = 0; i < 12; i++)
        world_turn(w);
}

static inline void world_end(struct api_world *w)
{
    for (unsigned i = 0; i < WORLD_LOOPS; i++)
        http_server_stop(w->servers[i]);
    world_settle(w);
    for (unsigned i = 0; i < WORLD_LOOPS; i++) {
        http_server_destroy(&w->servers[i]);
        flusher_fini(&w->flushers[i]);
    }
    http_router_destroy(&w->router);
    node_destroy(&w->node);
    for (unsigned i = 0; i < WORLD_LOOPS; i++)
        loop_destroy(&w->loops[i]);
    auth_destroy(&w->auth);
    buf_fini(&w->answer);
}

/* ---- asking ---- */

/* The client's end of a connection to the server of a loop. */
static inline int world_connect(struct api_world *w, unsigned loop)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    http_server_accept(w->servers[loop], pair[0],
                       &(struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}}, NULL);
    return pair[1];
}

static inline void world_send(struct api_world *w, int fd, const char *path, const char *headers,
                              struct str body)
{
    struct buf request;
    size_t at = 0;
    buf_init(&request, 16 << 20);
    assert_true(buf_add_format(&request,
                               "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s"
                               "Content-Length: %zu\r\n\r\n",
                               path, headers, body.n));
    assert_true(buf_add(&request, body));
    for (int i = 0; at < request.len; i++) {
        ssize_t n = send(fd, request.p + at, request.len - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        assert_true(i < WORLD_TURNS_MAX);
        world_turn(w);
    }
    buf_fini(&request);
}

/* Turns until the server has said everything and closed. */
static inline void world_receive(struct api_world *w, int fd)
{
    ssize_t n = -1;
    buf_clear(&w->answer);
    for (int i = 0; n != 0; i++) {
        assert_true(i < WORLD_TURNS_MAX);
        world_turn(w);
        assert_true(buf_reserve(&w->answer, 65536));
        n = recv(fd, w->answer.p + w->answer.len, 65536, 0);
        assert_true(n >= 0 || errno == EAGAIN);
        w->answer.len += n > 0 ? (size_t)n : 0;
    }
    assert_true(buf_add_char(&w->answer, '\0'));
    close(fd);
}

static inline unsigned world_status(const struct api_world *w)
{
    return w->answer.len < 13 ? 0 : (unsigned)strtoul(w->answer.p + 9, NULL, 10);
}

static inline const char *world_body(const struct api_world *w)
{
    const char *end = strstr(w->answer.p, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static inline const char *ask_with(struct api_world *w, const char *path, const char *headers,
                                   const char *body)
{
    int fd = world_connect(w, 0);
    world_send(w, fd, path, headers, str_from(body));
    world_receive(w, fd);
    return world_body(w);
}

static inline const char *ask(struct api_world *w, const char *path, const char *body)
{
    const char *answer = ask_with(w, path, "", body);
    assert_int_equal(world_status(w), 200);
    return answer;
}

static inline bool has(const char *answer, const char *text)
{
    return strstr(answer, text) != NULL;
}

#define assert_has(answer, text)                                                                   \
    do {                                                                                           \
        if (!has(answer, text))                                                                    \
            fail_msg("%s\n  is not in: %s", text, answer);                                         \
    } while (0)

/* ---- sessions ---- */

static inline void joined(void *ctx, const struct answer *a)
{
    *(bool *)ctx = a->err == ERR_OK;
}

static inline void follow(struct api_world *w, struct fake *f, const char *channel)
{
    bool ok = false;
    hub_subscribe(&f->session,
                  &(struct subscribe_params){
                      .channel = str_from(channel), .encoding = &fake_encoding, .authorized = true},
                  joined, &ok);
    world_settle(w);
    assert_true(ok);
}

static inline const char *told(struct fake *f)
{
    fake_read(f);
    assert_true(buf_add_char(&f->told, '\0'));
    f->told.len--;
    return f->told.p;
}

static inline void leave(struct api_world *w, struct fake *f)
{
    fake_close(f);
    world_settle(w);
    fake_free(f);
}

static inline const char *client_text(const struct fake *f, char ret[UUID_TEXT + 1])
{
    uuid_format(f->session.client, ret);
    ret[UUID_TEXT] = '\0';
    return ret;
}

#endif
