/*
 * call_test.c - asks of a model against a server over real sockets: a thread for each connection
 * that answers as the model's name says.
 *
 *   ok           three pieces of text, counts, the end
 *   fail-N       503 for the first N requests, then as ok
 *   later-S      429 with Retry-After: S, for the first request
 *   stop         401
 *   drop         two pieces, then the connection is cut
 *   wait         nothing, until the server is told to go on; then as ok
 *   stall        one piece, then nothing
 *   early        the connection is cut before an answer, for the first request
 */
#include "llm/llm.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/must.h"

enum { TURNS_MAX = 20000, CONNECTIONS_MAX = 64, REQUEST_MAX = 8192, SAID_MAX = 256, LOOPS = 2 };

/* ---- the model's server ---- */

struct model {
    pthread_t thread, connections[CONNECTIONS_MAX];
    int fds[CONNECTIONS_MAX];
    unsigned connection_count;
    int listen_fd;
    unsigned port;
    atomic_uint asked, under_way, gone;
    atomic_bool go_on;
    pthread_mutex_t lock;
    char last[REQUEST_MAX]; // request; under the lock
};

struct connection {
    struct model *model;
    int fd;
};

static void say(int fd, const char *z)
{
    size_t n = strlen(z);
    while (n > 0) {
        ssize_t sent = send(fd, z, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        z += sent;
        n -= (size_t)sent;
    }
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define TEXT(t)                                                                                    \
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"" t "\"}}]}\n\n"
#define END                                                                                        \
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"                          \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n"           \
    "data: [DONE]\n\n"
#define ERROR(status, extra)                                                                       \
    "HTTP/1.1 " status " No\r\n" extra "Content-Length: 33\r\nConnection: close\r\n\r\n"           \
    "{\"error\":{\"message\":\"not today\"}}"

static void say_ok(int fd)
{
    say(fd, HEAD TEXT("one ") TEXT("tw\\u00f3 "));
    say(fd, TEXT("three") END);
}

/* Until the peer has gone. */
static void wait_for_end(struct model *m, int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        continue;
    atomic_fetch_add(&m->gone, 1);
}

static unsigned number_behind(const char *model, const char *name)
{
    const char *at = strstr(model, name);
    return at != NULL ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

static void answer(struct model *m, int fd, const char *request, unsigned nth)
{
    const char *model = strstr(request, "\"model\":\"");
    MUST(model != NULL);
    model += 9;
    if (strncmp(model, "fail-", 5) == 0 && nth <= number_behind(model, "fail-"))
        say(fd, ERROR("503", ""));
    else if (strncmp(model, "later-2", 7) == 0 && nth == 1)
        say(fd, ERROR("429", "Retry-After: 0\r\n"));
    else if (strncmp(model, "later-9", 7) == 0 && nth == 1)
        say(fd, ERROR("429", "Retry-After: 900\r\n"));
    else if (strncmp(model, "stop", 4) == 0)
        say(fd, ERROR("401", ""));
    else if (strncmp(model, "drop", 4) == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" TEXT("one ") TEXT("two"));
    else if (strncmp(model, "stall", 5) == 0) {
        say(fd, HEAD TEXT("one "));
        wait_for_end(m, fd);
    } else if (strncmp(model, "wait", 4) == 0) {
        while (!atomic_load(&m->go_on))
            sched_yield();
        say_ok(fd);
    } else if (strncmp(model, "early", 5) != 0 || nth > 1)
        say_ok(fd);
}

static bool read_request(int fd, char *at)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, at + len, REQUEST_MAX - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        at[len] = '\0';
        const char *end = strstr(at, "\r\n\r\n"), *length = strstr(at, "Content-Length: ");
        if (end != NULL && (length == NULL || strlen(end + 4) >= strtoul(length + 16, NULL, 10)))
            return true;
    }
}

static void *connection_run(void *arg)
{
    struct connection *c = arg;
    struct model *m = c->model;
    char request[REQUEST_MAX];
    if (read_request(c->fd, request)) {
        unsigned nth = atomic_fetch_add(&m->asked, 1) + 1;
        pthread_mutex_lock(&m->lock);
        snprintf(m->last, sizeof(m->last), "%s", request);
        pthread_mutex_unlock(&m->lock);
        atomic_fetch_add(&m->under_way, 1);
        answer(m, c->fd, request, nth);
        atomic_fetch_sub(&m->under_way, 1);
    }
    shutdown(c->fd, SHUT_RDWR);
    free(c);
    return NULL;
}

static void *model_run(void *arg)
{
    struct model *m = arg;
    for (;;) {
        int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        struct connection *c = malloc(sizeof(*c));
        MUST(c != NULL && m->connection_count < CONNECTIONS_MAX);
        *c = (struct connection){m, fd};
        m->fds[m->connection_count] = fd;
        MUST(pthread_create(&m->connections[m->connection_count], NULL, connection_run, c) == 0);
        m->connection_count++;
    }
}

static void model_open(struct model *m)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    m->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(m->listen_fd, (struct sockaddr *)&at, sizeof(at)), errno);
    assert_return_code(listen(m->listen_fd, 64), errno);
    assert_return_code(getsockname(m->listen_fd, (struct sockaddr *)&at, &len), errno);
    m->port = ntohs(at.sin_port);
    pthread_mutex_init(&m->lock, NULL);
    assert_int_equal(pthread_create(&m->thread, NULL, model_run, m), 0);
}

static void model_close(struct model *m)
{
    shutdown(m->listen_fd, SHUT_RDWR);
    pthread_join(m->thread, NULL);
    close(m->listen_fd);
    atomic_store(&m->go_on, true);
    for (unsigned i = 0; i < m->connection_count; i++) {
        shutdown(m->fds[i], SHUT_RDWR);
        pthread_join(m->connections[i], NULL);
        close(m->fds[i]);
    }
}

/* ---- the asking side ---- */

struct world {
    struct model model;
    struct loop *loops[LOOPS];
    struct llm *llm;
    char url[64];
};

struct ask {
    struct world *world;
    struct llm_call *call;
    unsigned tokens, done, loop;
    bool cancel_at_token;
    enum llm_failure failure;
    struct llm_result result; // its strings are not kept
    char said[SAID_MAX], why[SAID_MAX], reason[SAID_MAX];
    struct ask *next; // is asked in done()
};

static struct world *world_make(const struct llm_options *changes)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    model_open(&w->model);
    snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/v1/", w->model.port);
    for (unsigned i = 0; i < LOOPS; i++)
        w->loops[i] = loop_create(i);
    struct llm_options o = *changes;
    o.url = o.url.n > 0 ? o.url : str_from(w->url);
    o.settings = (struct llm_settings){.model = STR("ok"), .temperature = 0.7, .max_tokens = 64};
    o.connect_timeout_ms = 10000;
    o.timeout_ms = o.timeout_ms > 0 ? o.timeout_ms : 60000;
    o.idle_timeout_ms = o.idle_timeout_ms > 0 ? o.idle_timeout_ms : 60000;
    o.answer_timeout_ms = 60000;
    o.queue_timeout_ms = o.queue_timeout_ms > 0 ? o.queue_timeout_ms : 60000;
    o.concurrency = o.concurrency > 0 ? o.concurrency : 8;
    o.queue_max = o.queue_max > 0 ? o.queue_max : 8;
    o.answer_max_bytes = 1 << 20;
    o.retry_pause_ms = 1;
    w->llm = llm_create(w->loops, LOOPS, &o);
    assert_non_null(w->llm);
    return w;
}

static void turn(struct world *w)
{
    for (unsigned i = 0; i < LOOPS; i++)
        loop_turn(w->loops[i], 1);
}

static void world_end(struct world *w)
{
    llm_destroy(&w->llm);
    turn(w);
    model_close(&w->model);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_destroy(&w->loops[i]);
    free(w);
}

static void start(struct world *w, struct ask *a, const char *model);

static void on_token(void *ctx, struct str text)
{
    struct ask *a = ctx;
    size_t len = strlen(a->said);
    assert_int_equal(a->done, 0);
    a->tokens++;
    snprintf(a->said + len, sizeof(a->said) - len, "%.*s", STR_FMT(text));
    if (a->cancel_at_token)
        llm_cancel(&a->call);
}

static void on_done(void *ctx, const struct llm_result *r)
{
    struct ask *a = ctx;
    a->done++;
    a->result = *r;
    a->failure = r->failure;
    snprintf(a->why, sizeof(a->why), "%.*s", STR_FMT(r->why));
    snprintf(a->reason, sizeof(a->reason), "%.*s", STR_FMT(r->finish_reason));
    llm_cancel(&a->call); // too late, and harmless
    if (a->next != NULL)
        start(a->world, a->next, "ok");
}

static void start(struct world *w, struct ask *a, const char *model)
{
    const struct llm_message message = {STR("user"), STR("say \"olá\"")};
    enum llm_failure why = LLM_NONE;
    struct llm_ask ask = {.tenant = STR("t"),
                          .settings = llm_settings_none(),
                          .messages = &message,
                          .message_count = 1,
                          .token = on_token,
                          .done = on_done,
                          .ctx = a};
    ask.settings.model = str_from(model);
    a->world = w;
    a->call = llm_start(w->llm, w->loops[a->loop], &ask, &why);
    a->failure = why;
    assert_int_equal(a->done, 0);
}

static void turn_until_done(struct world *w, const struct ask *a)
{
    for (int i = 0; i < TURNS_MAX && a->done == 0; i++)
        turn(w);
    assert_int_equal(a->done, 1);
}

static void turn_until(struct world *w, const atomic_uint *what, unsigned wanted)
{
    for (int i = 0; i < TURNS_MAX && atomic_load(what) != wanted; i++)
        turn(w);
    assert_int_equal(atomic_load(what), wanted);
}

static struct llm_stats stats_of(const struct world *w)
{
    struct llm_stats s;
    llm_read_stats(w->llm, &s);
    return s;
}

static void check_whole(const struct ask *a)
{
    assert_int_equal(a->failure, LLM_NONE);
    assert_string_equal(a->said, "one twó three");
    assert_string_equal(a->reason, "stop");
    assert_string_equal(a->why, "");
}

static void an_answer_comes_token_by_token(void **state)
{
    struct world *w = world_make(&(struct llm_options){.api_key = STR("sk"), .count_tokens = true});
    struct ask a = {0};
    (void)state;
    start(w, &a, "ok");
    turn_until_done(w, &a);
    check_whole(&a);
    assert_int_equal(a.tokens, 3);
    assert_true(a.result.has_usage && a.result.tokens_in == 5 && a.result.tokens_out == 3);
    assert_true(a.result.whole && a.result.status == 200);
    struct llm_stats s = stats_of(w);
    assert_int_equal(s.answers, 1);
    assert_int_equal(s.tokens, 3);
    assert_int_equal(s.under_way + s.waiting, 0);
    assert_int_equal(histogram_count(&s.first_token_ms), 1);
    const char *sent = w->model.last;
    assert_non_null(strstr(sent, "POST /v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(sent, "\r\nAuthorization: Bearer sk\r\n"));
    assert_non_null(strstr(sent, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(strstr(sent, "\r\n\r\n") + 4,
                        "{\"model\":\"ok\",\"messages\":[{\"role\":\"user\",\"content\":\"say "
                        "\\\"olá\\\"\"}],\"temperature\":0.7,\"max_tokens\":64,\"stream\":true,"
                        "\"stream_options\":{\"include_usage\":true}}");
    world_end(w);
}

static void settings_say_what_wider_ones_do_not(void **state)
{
    const struct llm_settings wide = {STR("m"), 0.7, 9, STR("p")};
    struct llm_settings none = llm_settings_none();
    struct llm_settings s = llm_settings_merge(&none, &wide);
    (void)state;
    assert_true(str_eq(s.model, STR("m")) && s.max_tokens == 9 &&
                str_eq(s.system_prompt, STR("p")));
    assert_true(s.temperature > 0.69 && s.temperature < 0.71);
    const struct llm_settings narrow = {STR("n"), 0, 3, STR("q")};
    s = llm_settings_merge(&narrow, &wide);
    assert_true(str_eq(s.model, STR("n")) && s.max_tokens == 3 &&
                str_eq(s.system_prompt, STR("q")));
    assert_true(s.temperature < 0.1);
}

static void what_may_pass_is_tried_again(void **state)
{
    static const struct {
        const char *model;
        uint32_t tries;
    } cases[] = {{"fail-2", 3}, {"later-2", 2}, {"early", 2}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world *w = world_make(&(struct llm_options){.retries = 2});
        struct ask a = {0};
        start(w, &a, cases[i].model);
        turn_until_done(w, &a);
        check_whole(&a);
        assert_int_equal(atomic_load(&w->model.asked), cases[i].tries);
        assert_int_equal(stats_of(w).retries, cases[i].tries - 1);
        world_end(w);
    }
}

static void check_failure(const char *model, enum llm_failure f, unsigned asked, const char *why)
{
    struct world *w = world_make(&(struct llm_options){.retries = 2});
    struct ask a = {0};
    start(w, &a, model);
    turn_until_done(w, &a);
    assert_int_equal(a.failure, f);
    assert_string_equal(a.why, why);
    assert_int_equal(atomic_load(&w->model.asked), asked);
    assert_int_equal(stats_of(w).failures[f], 1);
    world_end(w);
}

static void what_does_not_pass_is_told(void **state)
{
    (void)state;
    check_failure("fail-9", LLM_UPSTREAM, 3, "the model's server failed (503): not today");
    check_failure("stop", LLM_DENIED, 1, "the model's server refuses the API key (401): not today");
    check_failure("later-9", LLM_LIMITED, 1,
                  "the model's server takes no more requests now (429): not today");
    check_failure("drop", LLM_BROKEN, 1, "the model's answer broke off"); // something was said
}

static void nobody_listens(void **state)
{
    struct world *w = world_make(&(struct llm_options){.url = STR("http://127.0.0.1:1/v1")});
    struct ask a = {0}, b = {0};
    (void)state;
    start(w, &a, "ok");
    turn_until_done(w, &a);
    assert_int_equal(a.failure, LLM_DOWN);
    assert_true(strncmp(a.why, "the model's server cannot be reached", 36) == 0);
    world_end(w);
    w = world_make(&(struct llm_options){.url = STR("not a URL")});
    start(w, &b, "ok");
    turn_until_done(w, &b);
    assert_int_equal(b.failure, LLM_DOWN);
    world_end(w);
}

static void silence_ends(void **state)
{
    struct world *w =
        world_make(&(struct llm_options){.timeout_ms = 50, .idle_timeout_ms = 50, .retries = 2});
    struct ask a = {0}, b = {0};
    (void)state;
    start(w, &a, "wait");
    turn_until_done(w, &a);
    assert_int_equal(a.failure, LLM_TIMEOUT);
    start(w, &b, "stall");
    turn_until_done(w, &b);
    assert_int_equal(b.failure, LLM_TIMEOUT);
    assert_string_equal(b.said, "one ");
    turn_until(w, &w->model.gone, 1);
    assert_int_equal(atomic_load(&w->model.asked), 2);
    world_end(w);
}

static void who_cancels_hears_no_more(void **state)
{
    struct world *w = world_make(&(struct llm_options){.concurrency = 1});
    struct ask a = {.cancel_at_token = true}, b = {.loop = 1}, c = {0};
    (void)state;
    start(w, &a, "stall");
    start(w, &b, "ok"); // waits, on the other loop
    start(w, &c, "ok");
    assert_int_equal(stats_of(w).waiting, 2);
    llm_cancel(&c.call);
    turn_until_done(w, &b);
    check_whole(&b);
    assert_int_equal(a.tokens, 1);
    assert_int_equal(a.done + c.done, 0);
    turn_until(w, &w->model.gone, 1);
    assert_int_equal(stats_of(w).cancelled, 2);
    assert_int_equal(stats_of(w).under_way, 0);
    world_end(w);
}

static void one_who_was_called_may_leave(void **state)
{
    struct world *w = world_make(&(struct llm_options){.concurrency = 1});
    struct ask a = {0}, b = {.loop = 1}, c = {0};
    (void)state;
    start(w, &a, "wait");
    start(w, &b, "ok");
    start(w, &c, "ok");
    llm_cancel(&a.call); // b is called, and does not know it yet
    llm_cancel(&b.call);
    turn_until_done(w, &c);
    check_whole(&c);
    assert_int_equal(a.done + b.done, 0);
    world_end(w);
}

static void a_full_queue_refuses(void **state)
{
    struct world *w =
        world_make(&(struct llm_options){.concurrency = 1, .queue_max = 1, .queue_timeout_ms = 50});
    struct ask a = {0}, b = {0}, c = {0};
    (void)state;
    start(w, &a, "wait");
    start(w, &b, "ok");
    start(w, &c, "ok");
    assert_null(c.call);
    assert_int_equal(c.failure, LLM_BUSY);
    turn_until_done(w, &b);
    assert_int_equal(b.failure, LLM_BUSY); // it has waited too long
    assert_int_equal(stats_of(w).failures[LLM_BUSY], 2);
    assert_int_equal(c.done, 0);
    atomic_store(&w->model.go_on, true);
    turn_until_done(w, &a);
    check_whole(&a);
    world_end(w);
}

static void done_may_ask_again(void **state)
{
    struct world *w = world_make(&(struct llm_options){.concurrency = 1, .queue_max = 1});
    struct ask b = {0}, a = {.next = &b};
    (void)state;
    start(w, &a, "ok");
    turn_until_done(w, &a);
    turn_until_done(w, &b);
    check_whole(&b);
    world_end(w);
}

/* ---- the end, with the loops running ---- */

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

struct starter {
    struct mail mail;
    struct world *world;
    struct ask *ask;
    const char *model;
};

static void start_there(struct mail *m, struct loop *l)
{
    struct starter *s = container_of(m, struct starter, mail);
    (void)l;
    start(s->world, s->ask, s->model);
}

static void the_end_tells_everybody(void **state)
{
    struct world *w = world_make(&(struct llm_options){.concurrency = 2});
    struct ask asks[LOOPS][2] = {{{0}, {0}}, {{.loop = 1}, {.loop = 1}}};
    struct starter starters[LOOPS][2];
    pthread_t threads[LOOPS];
    (void)state;
    for (unsigned i = 0; i < LOOPS; i++) {
        for (unsigned k = 0; k < 2; k++) { // one of them waits for its turn
            starters[i][k] =
                (struct starter){{.deliver = start_there}, w, &asks[i][k], k ? "wait" : "stall"};
            loop_post(w->loops[i], &starters[i][k].mail);
        }
        assert_int_equal(pthread_create(&threads[i], NULL, run_loop, w->loops[i]), 0);
    }
    struct llm_stats stats = {0};
    while (atomic_load(&w->model.under_way) < 2 || stats.under_way + stats.waiting < 4) {
        sched_yield();
        llm_read_stats(w->llm, &stats);
    }
    llm_stop(w->llm);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_stop(w->loops[i]);
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(asks[i][k].done, 1);
            assert_int_equal(asks[i][k].failure, LLM_ENDING);
        }
    }
    struct ask late = {0};
    start(w, &late, "ok");
    assert_null(late.call);
    assert_int_equal(late.failure, LLM_ENDING);
    turn(w);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_token_by_token),
        cmocka_unit_test(settings_say_what_wider_ones_do_not),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(what_does_not_pass_is_told),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(who_cancels_hears_no_more),
        cmocka_unit_test(one_who_was_called_may_leave),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(done_may_ask_again),
        cmocka_unit_test(the_end_tells_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
