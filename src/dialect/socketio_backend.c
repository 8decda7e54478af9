/*
 * socketio_backend.c - a back end behind HTTP decides about Socket.IO connections and is told the
 * events that no rule of the server takes (docs/dialects/socketio-backend.md).
 *
 * Always true between two calls:
 *   I1. of a socket one request is under way at most, and an answer has been carried out before the
 *       next one is sent: what one client does arrives in order.
 *   I2. the queue holds a reference of its socket exactly while a request is under way.
 *   I3. a socket of which the back end said yes is told of as disconnected exactly once.
 */
#include "dialect/socketio_backend.h"

#include "base/clock.h"
#include "base/log.h"

enum { GREETING_MS = LOOP_TICK_MS };

/* ---- problems ---- */

void backend_problem(const struct sio_socket *sk, const char *what, const char *why)
{
    struct sio_backend *b = backend_of(sk);
    uint64_t now_ms = clock_mono_ns() / 1000000, last_ms = atomic_load(&b->problem_at_ms);
    if ((last_ms > 0 && now_ms - last_ms < PROBLEM_INTERVAL_MS) ||
        !atomic_compare_exchange_strong(&b->problem_at_ms, &last_ms, now_ms)) {
        atomic_fetch_add(&b->problems_untold, 1);
        return;
    }
    uint64_t untold = atomic_exchange(&b->problems_untold, 0);
    if (untold > 0)
        log_warn("socketio back end: %s: %s (%llu more were not logged)", what, why,
                 (unsigned long long)untold);
    else
        log_warn("socketio back end: %s: %s", what, why);
}

static const char *ask_name(const struct backend_ask *ask)
{
    static const char *const names[] = {"connect", "event", "ack", "disconnect"};
    return names[ask->kind];
}

/* ---- the queue ---- */

static void greeting_fire(struct timer *t);

static struct backend_queue *queue_of(struct sio_socket *sk)
{
    struct backend_queue *q = sk->of_backend;
    if (q != NULL)
        return q;
    q = calloc(1, sizeof(*q));
    if (q == NULL)
        return NULL;
    q->socket = sk;
    list_init(&q->asks);
    list_init(&q->tokens);
    timer_init(&q->greeting, greeting_fire);
    sk->of_backend = q;
    return q;
}

static bool call_start(struct backend_queue *q);
static void carry_out(struct backend_queue *q, const char *why);
static void on_disconnect(struct sio_socket *sk, struct str reason);

/* Sends what waits, one after the other. What cannot be sent counts as failed. */
static void pump(struct backend_queue *q)
{
    struct sio_socket *sk = q->socket;
    if (q->pumping)
        return;
    q->pumping = true;
    sio_socket_ref(sk);
    while (q->now == NULL && !list_empty(&q->asks)) {
        struct backend_ask *ask = container_of(q->asks.next, struct backend_ask, link);
        list_remove(&ask->link);
        q->waiting_count--;
        q->waiting_bytes -= ask->body.n;
        q->now = ask;
        sio_socket_ref(q->socket);
        if (!call_start(q))
            carry_out(q, "too many requests are under way");
    }
    q->pumping = false;
    sio_socket_unref(sk); // q may be gone
}

/* The request is done with: the next one. */
static void finish(struct backend_queue *q)
{
    struct sio_socket *sk = q->socket;
    free(q->now);
    free(q->answer);
    q->now = NULL;
    q->answer = NULL;
    pump(q);
    sio_socket_unref(sk); // q may be gone
}

static void push(struct backend_queue *q, struct backend_ask *ask)
{
    struct sio_socket *sk = q->socket;
    const struct sio_backend *b = backend_of(sk);
    bool full = ask == NULL || q->waiting_count >= b->options->socketio.backend_queue_max ||
                q->waiting_bytes + ask->body.n > b->queue_bytes_max;
    if (full && (ask == NULL || ask->kind != ASK_DISCONNECT)) { // that one comes once
        free(ask);
        backend_problem(sk, "queue", "a socket's queue is full, its connection ends");
        if (sk->conn != NULL)
            sio_conn_end(sk->conn, CLOSE_TOO_MANY_REQUESTS);
        return;
    }
    q->waiting_count++;
    q->waiting_bytes += ask->body.n;
    list_add(&q->asks, &ask->link);
    pump(q);
}

/* ---- tokens ---- */

uint64_t backend_token_add(struct backend_queue *q, struct str name)
{
    struct backend_token *t = malloc(sizeof(*t) + name.n);
    if (t == NULL)
        return 0;
    char *at = t->bytes;
    *t = (struct backend_token){.cookie = ++q->cookie};
    t->name = str_put(&at, name);
    list_add(&q->tokens, &t->link);
    return t->cookie;
}

void backend_token_drop(struct backend_token *t)
{
    list_remove(&t->link);
    free(t);
}

/* ---- answers ---- */

static void room_joined(void *ctx, struct sio_socket *sk, enum err err)
{
    struct backend_queue *q = ctx;
    if (err == ERR_BAD_REQUEST)
        backend_problem(sk, "join", "a room's name has spaces, a '*', or is too long");
    if (--q->joins_pending == 0) {
        act_on_answer(q, (struct str){q->answer, q->answer_len}, q->now);
        finish(q);
    }
}

/* First the rooms, so that what is emitted to them reaches this socket, too; then the rest. */
static void act(struct backend_queue *q)
{
    struct str raw, rooms[BACKEND_NAMES_MAX];
    struct buf names = {0};
    size_t count = 0;
    bool joined = q->now->kind == ASK_CONNECT; // before its client was told
    if (!joined && json_find((struct str){q->answer, q->answer_len}, STR("join"), &raw))
        count = act_read_names(raw, &names, rooms, BACKEND_NAMES_MAX);
    q->joins_pending = 1;
    for (size_t i = 0; i < count; i++) {
        q->joins_pending++;
        sio_join(q->socket, rooms[i], room_joined, q);
    }
    buf_fini(&names);
    room_joined(q, q->socket, ERR_OK);
}

/* ---- connecting ---- */

static void reject(struct sio_socket *sk, struct str why)
{
    char at[256];
    struct buf out = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    if (buf_add(&out, STR("{\"message\":")) && json_write_string(&out, why) &&
        buf_add_char(&out, '}'))
        sio_reject(sk, buf_str(&out));
}

/* What the answer says of this name, where no token has said it already. */
static struct str read_own(const struct backend_queue *q, const char *key, char *at, size_t cap)
{
    struct str raw, text;
    struct json j;
    if (q->socket->from_token ||
        !json_find((struct str){q->answer, q->answer_len}, str_from(key), &raw))
        return STR_NONE;
    json_init(&j, raw);
    return json_read_string(&j, at, cap, &text) ? text : STR_NONE;
}

static void connect_accept(struct backend_queue *q)
{
    struct str answer = {q->answer, q->answer_len}, info, join, rooms[BACKEND_NAMES_MAX];
    struct buf names = {0};
    char tenant[NAME_BYTES_MAX + 1], user[NAME_BYTES_MAX + 1];
    struct sio_admission a = {.tenant = read_own(q, "tenant", tenant, sizeof(tenant)),
                              .user = read_own(q, "user", user, sizeof(user))};
    if (json_find(answer, STR("info"), &info))
        a.info = info;
    if ((a.tenant.p != NULL && !tenant_name_ok(a.tenant)) || !user_name_ok(a.user)) {
        backend_problem(q->socket, "connect", "\"tenant\" or \"user\" cannot be such a name");
        reject(q->socket, STR("back end failed"));
        return;
    }
    if (json_find(answer, STR("join"), &join)) {
        a.rooms = rooms;
        a.room_count = act_read_names(join, &names, rooms, BACKEND_NAMES_MAX);
    }
    q->told = true; // from here on it is told when the socket goes
    sio_accept(q->socket, &a);
    buf_fini(&names);
}

static void connect_decide(struct backend_queue *q)
{
    struct str answer = {q->answer, q->answer_len}, raw;
    bool rejects = json_find(answer, STR("reject"), &raw) && !str_eq(raw, STR("null")) &&
                   !str_eq(raw, STR("false"));
    if (rejects && raw.p[0] == '{') {
        sio_reject(q->socket, raw);
    } else if (rejects && raw.p[0] == '"') {
        char at[1024];
        struct buf out = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
        bool fits =
            buf_add(&out, STR("{\"message\":")) && buf_add(&out, raw) && buf_add_char(&out, '}');
        sio_reject(q->socket, fits ? buf_str(&out) : STR("{\"message\":\"refused\"}"));
    } else if (rejects || (json_find(answer, STR("accept"), &raw) && str_eq(raw, STR("false")))) {
        reject(q->socket, STR("refused"));
    } else {
        connect_accept(q);
    }
}

/* Many a client attaches its handlers when it has been told that it is connected: what else the
 * answer says comes in a packet of its own, a moment later. */
static void greeting_fire(struct timer *t)
{
    act(container_of(t, struct backend_queue, greeting));
}

/* ---- requests ---- */

static void carry_out(struct backend_queue *q, const char *why)
{
    struct sio_socket *sk = q->socket;
    if (why != NULL)
        backend_problem(sk, ask_name(q->now), why);
    if (q->now->kind != ASK_CONNECT) {
        if (why == NULL && q->now->kind != ASK_DISCONNECT)
            act(q);
        else
            finish(q);
        return;
    }
    if (why != NULL)
        reject(sk, STR("back end unavailable"));
    else
        connect_decide(q);
    if (sk->state == SIO_JOINING || sk->state == SIO_CONNECTED)
        return;  // on_connected() goes on, or on_lost()
    if (q->told) // the client went while it was decided about
        on_disconnect(sk, STR("transport close"));
    finish(q);
}

/* Clients get packets without the white space that many JSON writers put between tokens. */
static size_t compact(char *to, struct str json)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (!quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        to[n++] = c;
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\') // only in strings, and never the last byte
            to[n++] = json.p[++i];
    }
    return n;
}

/* NULL: an answer that can be carried out has been kept. */
static const char *keep_answer(struct backend_queue *q, const struct http_result *r)
{
    struct json j;
    if (r->why != NULL)
        return r->why;
    if (r->status < 200 || r->status > 299)
        return "it answered with an error status";
    struct str body = r->body.n > 0 && r->status != 204 ? r->body : STR("{}");
    json_init(&j, body);
    if (json_peek(&j) != JSON_OBJECT || !json_valid(body))
        return "its answer is not a JSON object";
    q->answer = malloc(body.n);
    if (q->answer == NULL)
        return "out of memory";
    q->answer_len = compact(q->answer, body);
    return NULL;
}

static void call_done(void *ctx, const struct http_result *r)
{
    struct backend_queue *q = ctx;
    carry_out(q, keep_answer(q, r));
}

static bool call_start(struct backend_queue *q)
{
    const struct sio_shared *sh = sio_socket_shared(q->socket);
    const struct dialect_options *o = backend_of(q->socket)->options;
    struct http_client *client = endpoint_client(sh->endpoint, loop_current());
    const struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("X-API-Key"), o->socketio.backend_key},
    };
    if (client == NULL)
        return false;
    return http_call_start(client, &(struct http_call_params){
                                       .method = HTTP_POST,
                                       .url = o->socketio.backend,
                                       .headers = headers,
                                       .header_count = o->socketio.backend_key.n > 0 ? 2 : 1,
                                       .body = q->now->body,
                                       .timeout_ms = o->socketio.backend_timeout_ms,
                                       .body_max_bytes = BACKEND_ANSWER_MAX,
                                       .done = call_done,
                                       .ctx = q,
                                   }) != NULL;
}

/* ---- what sockets tell ---- */

static bool on_connect(struct sio_socket *sk, struct str auth, const struct identity *id)
{
    struct backend_queue *q = queue_of(sk);
    (void)id; // the socket knows who it is
    if (q == NULL)
        reject(sk, STR("Internal error"));
    else
        push(q, ask_connect(sk, auth));
    return true;
}

static bool is_asking(const struct backend_queue *q)
{
    return q != NULL && q->now != NULL && q->now->kind == ASK_CONNECT;
}

static void on_connected(struct sio_socket *sk)
{
    struct backend_queue *q = sk->of_backend;
    if (is_asking(q))
        timer_arm(hub_loop(sk->session.hub), &q->greeting, GREETING_MS);
}

static void on_lost(struct sio_socket *sk)
{
    struct backend_queue *q = sk->of_backend;
    if (!is_asking(q))
        return;
    on_disconnect(sk, STR("transport close"));
    finish(q);
}

static bool on_event(struct sio_socket *sk, const struct sio_packet *p)
{
    struct backend_queue *q = queue_of(sk);
    if (q != NULL)
        push(q, ask_event(sk, p));
    else
        sio_conn_end(sk->conn, CLOSE_INTERNAL);
    return true;
}

static void on_ack(struct sio_socket *sk, uint64_t cookie, const struct sio_packet *p)
{
    struct backend_queue *q = sk->of_backend;
    list_each_safe(it, &q->tokens)
    {
        struct backend_token *t = container_of(it, struct backend_token, link);
        if (t->cookie != cookie)
            continue;
        if (p != NULL)
            push(q, ask_ack(sk, t->name, p));
        backend_token_drop(t);
        return;
    }
}

static void on_disconnect(struct sio_socket *sk, struct str reason)
{
    struct backend_queue *q = queue_of(sk);
    struct backend_ask *ask = q != NULL ? ask_disconnect(sk, reason) : NULL;
    if (ask == NULL)
        return;
    q->told = false;
    push(q, ask);
    if (timer_armed(&q->greeting)) {
        timer_cancel(&q->greeting);
        act(q);
    }
}

static void on_free(struct sio_socket *sk)
{
    struct backend_queue *q = sk->of_backend;
    if (q == NULL)
        return;
    while (!list_empty(&q->tokens))
        backend_token_drop(container_of(q->tokens.next, struct backend_token, link));
    MUST(q->now == NULL && list_empty(&q->asks));
    free(q);
    sk->of_backend = NULL;
}

const struct sio_app sio_backend_app = {
    .name = "backend",
    .remember = backend_remember,
    .on_connect = on_connect,
    .on_connected = on_connected,
    .on_lost = on_lost,
    .on_event = on_event,
    .on_ack = on_ack,
    .on_disconnect = on_disconnect,
    .on_free = on_free,
};

/* ---- birth ---- */

void sio_backend_prepare(struct sio_shared *sh)
{
    const struct dialect_options *o = sh->endpoint->options;
    if (o->socketio.backend.n == 0)
        return;
    struct sio_backend *b = calloc(1, sizeof(*b));
    MUST(b != NULL); // the server has not begun
    b->options = o;
    // What a client may send at once, its attachments in base64, and as much again.
    b->queue_bytes_max = (size_t)o->socketio.payload_max_bytes * 4 + (64 << 10);
    sh->of_backend = b;
    sh->backend = &sio_backend_app;
}

void sio_backend_release(struct sio_shared *sh)
{
    free(sh->of_backend);
    sh->of_backend = NULL;
}
