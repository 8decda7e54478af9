/*
 * socketio_backend_ask.c - what a back end is told of sockets, as JSON.
 */
#include "dialect/socketio_backend.h"

#include <openssl/evp.h>

enum { REMEMBER_MAX = 8 << 10, QUERY_VALUE_MAX = 4 << 10 };

/* ---- requests ---- */

static void put_socket(struct json_writer *w, const struct sio_socket *sk, const char *type)
{
    char sid[UUID_TEXT];
    uuid_format(sk->session.client, sid);
    json_put_string(json_key(w, STR("type")), str_from(type));
    json_put_string(json_key(w, STR("namespace")), sk->space->name);
    json_put_string(json_key(w, STR("sid")), (struct str){sid, UUID_TEXT});
    json_put_string(json_key(w, STR("tenant")), sk->session.tenant);
    json_put_string(json_key(w, STR("user")), sk->session.user);
}

static void put_attachments(struct json_writer *w, struct buf *out, const struct sio_packet *p)
{
    if (p->attachment_count == 0 || p->attachments == NULL)
        return;
    json_open_array(json_key(w, STR("attachments")));
    for (uint32_t i = 0; i < p->attachment_count; i++) {
        struct str bytes = p->attachments[i];
        size_t n = (bytes.n + 2) / 3 * 4;
        json_put_raw(w, STR("\""));
        if (w->failed || !buf_reserve(out, n + 2)) { // the encoder writes a terminator
            w->failed = true;
            return;
        }
        EVP_EncodeBlock((unsigned char *)out->p + out->len, (const unsigned char *)bytes.p,
                        (int)bytes.n);
        out->len += n;
        w->failed |= !buf_add_char(out, '"');
    }
    json_close_array(w);
}

/* The array of a packet; skip: without the event's name. */
static void put_args(struct json_writer *w, struct str data, bool skip)
{
    struct json j;
    struct str value;
    json_init(&j, data);
    json_open_array(json_key(w, STR("args")));
    json_array_begin(&j);
    while (json_array_next(&j) && json_read_raw(&j, &value)) {
        if (!skip)
            json_put_raw(w, value);
        skip = false;
    }
    json_close_array(w);
}

static void ask_open(struct json_writer *w, struct buf *out, const struct sio_socket *sk)
{
    buf_init(out, backend_of(sk)->queue_bytes_max);
    json_writer_init(w, out);
    json_open_object(w);
}

static struct backend_ask *ask_close(struct json_writer *w, struct buf *out, enum ask_kind kind)
{
    struct backend_ask *ask = NULL;
    json_close_object(w);
    if (json_done(w))
        ask = malloc(sizeof(*ask) + out->len);
    if (ask != NULL) {
        char *at = ask->bytes;
        *ask = (struct backend_ask){.kind = kind};
        ask->body = str_put(&at, buf_str(out));
        list_init(&ask->link);
    }
    buf_fini(out);
    return ask;
}

struct backend_ask *ask_connect(struct sio_socket *sk, struct str auth)
{
    struct json_writer w;
    struct buf out;
    ask_open(&w, &out, sk);
    put_socket(&w, sk, "connect");
    json_put_bool(json_key(&w, STR("authenticated")), sk->from_token);
    json_put_bool(json_key(&w, STR("recovered")), sk->recovered);
    json_put_raw(json_key(&w, STR("auth")), auth.n > 0 ? auth : STR("{}"));
    if (sk->conn->remembered.n > 0)
        json_put_raw(json_key(&w, STR("handshake")), sk->conn->remembered);
    return ask_close(&w, &out, ASK_CONNECT);
}

struct backend_ask *ask_event(struct sio_socket *sk, const struct sio_packet *p)
{
    struct json_writer w;
    struct buf out;
    ask_open(&w, &out, sk);
    put_socket(&w, sk, "event");
    json_put_raw(json_key(&w, STR("event")), p->name);
    put_args(&w, p->data, true);
    json_put_bool(json_key(&w, STR("ack")), p->has_id);
    put_attachments(&w, &out, p);
    struct backend_ask *ask = ask_close(&w, &out, ASK_EVENT);
    if (ask != NULL) {
        ask->wants_ack = p->has_id;
        ask->ack_id = p->id;
    }
    return ask;
}

struct backend_ask *ask_ack(struct sio_socket *sk, struct str token, const struct sio_packet *p)
{
    struct json_writer w;
    struct buf out;
    ask_open(&w, &out, sk);
    put_socket(&w, sk, "ack");
    json_put_string(json_key(&w, STR("token")), token);
    put_args(&w, p->data, false);
    put_attachments(&w, &out, p);
    return ask_close(&w, &out, ASK_ACK);
}

struct backend_ask *ask_disconnect(struct sio_socket *sk, struct str reason)
{
    struct json_writer w;
    struct buf out;
    ask_open(&w, &out, sk);
    put_socket(&w, sk, "disconnect");
    json_put_string(json_key(&w, STR("reason")), reason);
    return ask_close(&w, &out, ASK_DISCONNECT);
}

/* ---- the request that opened the session ---- */

/* What applications look at; what intermediaries and the transport need is left out. */
static bool header_is_told(struct str name)
{
    static const struct str told[] = {
        STR("accept-language"), STR("authorization"), STR("cookie"),     STR("host"),
        STR("origin"),          STR("referer"),       STR("user-agent"),
    };
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (str_eq_nocase(name, told[i]))
            return true;
    }
    return name.n > 2 && str_eq_nocase((struct str){name.p, 2}, STR("x-"));
}

static void put_headers(struct json_writer *w, const struct http_request *r)
{
    char lower[128];
    json_open_object(json_key(w, STR("headers")));
    for (size_t i = 0; i < r->header_count; i++) {
        struct str name = r->headers[i].name;
        if (name.n > sizeof(lower) || !header_is_told(name))
            continue;
        for (size_t k = 0; k < name.n; k++) {
            char c = name.p[k];
            lower[k] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        json_put_string(json_key(w, (struct str){lower, name.n}), r->headers[i].value);
    }
    json_close_object(w);
}

static bool query_is_ours(struct str name)
{
    static const struct str ours[] = {STR("EIO"), STR("transport"), STR("sid"), STR("t"),
                                      STR("b64")};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (str_eq(name, ours[i]))
            return true;
    }
    return false;
}

static void put_query(struct json_writer *w, const struct http_request *r)
{
    struct str rest = r->query;
    char at[QUERY_VALUE_MAX];
    json_open_object(json_key(w, STR("query")));
    while (rest.n > 0) {
        struct str value, pair = str_cut(&rest, '&');
        struct str name = str_cut(&pair, '=');
        // A name that needs decoding is left out: nobody asks for such a one.
        if (name.n == 0 || query_is_ours(name) || memchr(name.p, '%', name.n) != NULL ||
            memchr(name.p, '+', name.n) != NULL || !http_query(r, name, at, sizeof(at), &value))
            continue;
        json_put_string(json_key(w, name), value);
    }
    json_close_object(w);
}

char *backend_remember(const struct http_request *r, size_t *ret_n)
{
    struct json_writer w;
    struct buf out;
    char address[ADDR_TEXT_MAX];
    buf_init(&out, REMEMBER_MAX);
    json_writer_init(&w, &out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("address")),
                    (struct str){address, addr_format_ip(&r->peer, address)});
    put_query(&w, r);
    put_headers(&w, r);
    json_close_object(&w);
    if (!json_done(&w)) { // too long: nothing is said rather than half of it
        buf_fini(&out);
        return NULL;
    }
    *ret_n = out.len;
    char *exact = realloc(out.p, out.len); // it stays as long as the session
    return exact != NULL ? exact : out.p;
}
