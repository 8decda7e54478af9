/*
 * eio_http.c - requests of Engine.IO clients: whose session, which transport, and what is refused.
 *
 * Why it exists: clients tell refusals apart by status and body, which are those of the reference
 * servers: a JSON string as text/plain, or nothing at all where a WebSocket was asked for.
 *
 * Always true: a request is answered here, or waits in its session (eio_poll.c), or its connection
 * is a WebSocket's, or has gone to the loop of its session.
 */
#include "carrier/eio_priv.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/pool.h"
#include "carrier/ws_handshake.h"

enum { QUERY_VALUE_MAX = 256, REFUSAL_MAX = 4096 };

enum transport { TRANSPORT_NONE, TRANSPORT_POLLING, TRANSPORT_WEBSOCKET, TRANSPORT_UNKNOWN };

struct asked {
    struct http_request *r;
    struct eio *eio;
    enum transport transport;
    bool upgrade;  // a WebSocket's handshake
    bool has_id;   // "sid" is there, readable or not
    bool version4; // "EIO=4"
    struct str id; // "" unless readable
    char id_at[QUERY_VALUE_MAX];
};

/* ---- refusals ---- */

static void refuse(struct asked *a, unsigned status, struct str message)
{
    struct buf body;
    if (a->upgrade) {
        http_reply(a->r, 403, STR_NONE, STR_NONE, STR_NONE);
        return;
    }
    buf_init(&body, REFUSAL_MAX);
    if (json_write_string(&body, message))
        http_reply(a->r, status, STR("text/plain"), buf_str(&body), STR_NONE);
    else
        http_reply(a->r, status, STR("text/plain"), STR("\"Bad Request\""), STR_NONE);
    buf_fini(&body);
}

static void refuse_session(struct asked *a)
{
    struct buf text;
    buf_init(&text, QUERY_VALUE_MAX + 32);
    bool ok =
        buf_add(&text, STR("Invalid session ")) && buf_add(&text, a->has_id ? a->id : STR("None"));
    refuse(a, 400, ok ? buf_str(&text) : STR("Bad Request"));
    buf_fini(&text);
}

static void refuse_full(struct asked *a)
{
    if (a->upgrade)
        http_reply(a->r, 503, STR_NONE, STR_NONE, STR_NONE);
    else
        refuse(a, 503, STR("Service Unavailable"));
}

/* ---- what is asked ---- */

static enum transport transport_read(const struct http_request *r)
{
    char at[16];
    struct str name;
    if (http_query_count(r, STR("transport")) == 0)
        return TRANSPORT_NONE;
    if (!http_query(r, STR("transport"), at, sizeof(at), &name))
        return TRANSPORT_UNKNOWN;
    return str_eq(name, STR("polling"))     ? TRANSPORT_POLLING
           : str_eq(name, STR("websocket")) ? TRANSPORT_WEBSOCKET
                                            : TRANSPORT_UNKNOWN;
}

static void asked_read(struct asked *a, struct http_request *r, struct eio *e)
{
    char version[4];
    struct str text;
    a->r = r;
    a->eio = e;
    a->transport = transport_read(r);
    a->upgrade = ws_is_handshake(r);
    a->has_id = http_query_count(r, STR("sid")) > 0;
    a->version4 =
        http_query(r, STR("EIO"), version, sizeof(version), &text) && str_eq(text, STR("4"));
    if (!a->has_id || !http_query(r, STR("sid"), a->id_at, sizeof(a->id_at), &a->id))
        a->id = STR_NONE;
}

/* ---- a new session ---- */

static void open_packet_add(struct eio_session *s, bool upgrades)
{
    const struct eio_options *o = &s->eio->options;
    struct buf text;
    buf_init(&text, 256);
    if (buf_add_format(&text,
                       "{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingTimeout\":%u,"
                       "\"pingInterval\":%u,\"maxPayload\":%u}",
                       EIO_ID_CHARS, s->id, upgrades ? "\"websocket\"" : "", o->ping_timeout_ms,
                       o->ping_interval_ms, o->payload_max_bytes))
        eio_send_packet(s, EIO_OPEN, buf_str(&text));
    buf_fini(&text);
}

static struct eio_session *session_open(struct asked *a, bool upgrades, eio_open_fn *open,
                                        void *ctx, const struct framing *framing)
{
    struct eio_session *s = eio_session_create(a->eio, http_conn(a->r)->flusher);
    if (s == NULL) {
        refuse_full(a);
        return NULL;
    }
    s->carrier.framing = framing;
    if (!upgrades)
        s->carrier.conn = http_conn(a->r);
    open_packet_add(s, upgrades);
    if (open(&s->carrier, a->r, ctx))
        return s;
    eio_session_drop(s);
    refuse_full(a);
    return NULL;
}

static void begin_polling(struct asked *a, eio_open_fn *open, void *ctx)
{
    struct eio_session *s = session_open(a, true, open, ctx, &ws_framing_text);
    if (s == NULL)
        return;
    if (s->state == EIO_ENDED) {
        refuse_full(a);
        return;
    }
    if (s->state == EIO_POLLING)
        eio_ping_begin(s);
    eio_poll_begin(s, a->r);
}

static void begin_websocket(struct asked *a, eio_open_fn *open, void *ctx)
{
    struct ws_handshake h;
    if (!ws_handshake_read(a->r, &a->eio->options.ws, &h))
        return;
    struct eio_session *s =
        session_open(a, false, open, ctx,
                     h.deflated ? ws_framing_deflate(h.deflate.window_bits) : &ws_framing_text);
    if (s == NULL)
        return;
    if (s->state != EIO_POLLING) { // closed inside
        enum close_reason reason = (enum close_reason)s->reason;
        eio_end(s, reason, EIO_CLOSE);
        refuse_full(a);
        return;
    }
    if (eio_ws_begin(s, a->r))
        eio_ping_begin(s);
    else
        eio_end(s, CLOSE_INTERNAL, EIO_CLOSE);
}

static void begin(struct asked *a, eio_open_fn *open, void *ctx)
{
    if (!a->version4)
        refuse(a, 400,
               STR("The client is using an unsupported version of the Socket.IO or Engine.IO "
                   "protocols"));
    else if (a->r->method != HTTP_GET)
        refuse(a, 400,
               a->r->method == HTTP_POST ? STR("Invalid session None") : STR("Bad Request"));
    else if ((a->transport == TRANSPORT_WEBSOCKET) != a->upgrade)
        refuse(a, 400, STR("Invalid websocket upgrade"));
    else if (http_is_draining(a->r))
        refuse_full(a);
    else if (a->upgrade)
        begin_websocket(a, open, ctx);
    else
        begin_polling(a, open, ctx);
}

/* ---- a session that is there ---- */

static void get(struct asked *a, struct eio_session *s)
{
    if (a->upgrade && a->transport == TRANSPORT_WEBSOCKET) {
        if (s->state == EIO_POLLING && s->ws == NULL)
            eio_ws_try(s, a->r);
        else if (a->eio->options.as_python)
            refuse(a, 400, STR("Bad Request"));
        else
            eio_ws_turn_away(a->eio, a->r);
    } else if (s->state == EIO_WEBSOCKET || a->upgrade || a->transport == TRANSPORT_WEBSOCKET) {
        refuse(a, 400, STR("Invalid transport"));
    } else if (s->poll != NULL) { // two at once: which of them would be told what?
        eio_end(s, CLOSE_BAD_REQUEST, EIO_CLOSE);
        refuse(a, 400, STR("Bad Request"));
    } else {
        eio_poll_begin(s, a->r);
    }
}

static void payload_in(struct eio_session *s, struct str payload)
{
    struct eio_packet packet;
    while (eio_packet_next(&payload, &packet)) {
        if (packet.type != EIO_BINARY) {
            eio_packet_in(s, &packet);
            continue;
        }
        char *bytes = pool_alloc(packet.data.n / 4 * 3 + 3);
        if (bytes == NULL) {
            eio_end(s, CLOSE_INTERNAL, EIO_CLOSE);
            return;
        }
        eio_binary_in(s, (struct str){bytes, eio_base64_decode(packet.data, bytes)});
        pool_free(bytes);
    }
}

static void post(struct asked *a, struct eio_session *s)
{
    struct str body = a->r->body;
    if (s->state == EIO_WEBSOCKET) {
        refuse(a, 400, STR("Invalid transport"));
        return;
    }
    bool too_big = body.n > a->eio->options.payload_max_bytes;
    if (too_big || !eio_payload_valid(body)) {
        eio_end(s, too_big ? CLOSE_TOO_BIG : CLOSE_BAD_REQUEST, EIO_CLOSE);
        refuse(a, 400, STR("Bad Request"));
        return;
    }
    payload_in(s, body);
    if (a->eio->options.as_python)
        http_reply(a->r, 200, STR("text/plain"), STR("OK"), STR_NONE);
    else
        http_reply(a->r, 200, STR("text/html"), STR("ok"), STR_NONE);
}

static void go_on(struct asked *a)
{
    const struct loop *here = http_server_loop(a->r->server);
    unsigned loop;
    if (!eio_id_loop(a->eio, a->id, &loop)) {
        refuse_session(a);
        return;
    }
    if (loop != loop_index(here) && http_move(a->r, loop))
        return;
    struct eio_session *s = loop == loop_index(here) ? eio_find(a->eio, here, a->id) : NULL;
    if (s != NULL && eio_is_late(s)) {
        carrier_close(&s->carrier, CLOSE_NO_PONG);
        s = s->state == EIO_WEBSOCKET ? s : NULL;
    }
    if (s == NULL)
        refuse_session(a);
    else if (a->r->method == HTTP_GET)
        get(a, s);
    else
        post(a, s);
}

/* ---- all of them ---- */

/* More than any payload may be. A session of another loop is left to its pings: the connection
 * cannot move with half a request. */
static void refuse_too_big(struct asked *a)
{
    const struct loop *here = http_server_loop(a->r->server);
    unsigned loop;
    struct eio_session *s = NULL;
    if (eio_id_loop(a->eio, a->id, &loop) && loop == loop_index(here))
        s = eio_find(a->eio, here, a->id);
    if (s != NULL && s->state != EIO_WEBSOCKET)
        eio_end(s, CLOSE_TOO_BIG, EIO_CLOSE);
    refuse(a, 400, STR("Bad Request"));
}

static void reply_options(struct http_request *r)
{
    struct str wanted = http_header(r, STR("Access-Control-Request-Headers"));
    struct buf extra;
    buf_init(&extra, REFUSAL_MAX);
    bool ok = buf_add(&extra, STR("Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"));
    size_t mark = extra.len;
    for (size_t i = 0; i < wanted.n; i++)
        ok = ok && (unsigned char)wanted.p[i] >= 0x20 && wanted.p[i] != 0x7f;
    if (ok && wanted.n > 0 &&
        !(buf_add(&extra, STR("Access-Control-Allow-Headers: ")) && buf_add(&extra, wanted) &&
          buf_add(&extra, STR("\r\n"))))
        extra.len = mark;
    http_reply(r, 200, STR("text/plain"), STR("OK"), buf_str(&extra));
    buf_fini(&extra);
}

static void refuse_method(struct http_request *r)
{
    http_reply(r, 405, STR("text/plain"), STR("Method Not Found"), STR_NONE);
}

void eio_handle(struct http_request *r, struct eio *e, eio_open_fn *open, void *ctx)
{
    struct asked a;
    r->cors_any = true;
    if (r->method == HTTP_OPTIONS) {
        reply_options(r);
        return;
    }
    asked_read(&a, r, e);
    bool known = r->method == HTTP_GET || r->method == HTTP_POST;
    if (a.transport == TRANSPORT_NONE && e->options.as_python)
        a.transport = TRANSPORT_POLLING;
    if (!known && e->options.as_python)
        refuse_method(r);
    else if (a.transport == TRANSPORT_UNKNOWN || (a.transport == TRANSPORT_NONE && !a.has_id))
        refuse(&a, 400, STR("Invalid transport"));
    else if (http_query_count(r, STR("j")) > 0) // JSONP is for browsers that are no more
        refuse(&a, 400, STR("Bad Request"));
    else if (r->body_too_big)
        refuse_too_big(&a);
    else if (!a.has_id)
        begin(&a, open, ctx);
    else if (!known)
        refuse_method(r);
    else
        go_on(&a);
}
