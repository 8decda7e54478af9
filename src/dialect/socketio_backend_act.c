/*
 * socketio_backend_act.c - what a back end's answer does: emits, acknowledgement, leaving.
 *
 * Always true: what is meant for a room is a publication of the room's channel in the socket's own
 * tenant; an answer reaches no other tenant.
 */
#include "dialect/socketio_backend.h"

#include "base/pool.h"
#include "carrier/eio_packet.h"

/* ---- reading ---- */

/* One string, or an array of strings: "to", "join", "leave". */
size_t act_read_names(struct str raw, struct buf *names, struct str *ret, size_t most)
{
    struct json j;
    size_t count = 0;
    buf_init(names, raw.n); // what is decoded never gets longer, so it never moves
    if (!buf_reserve(names, raw.n))
        return 0;
    json_init(&j, raw);
    bool list = json_peek(&j) == JSON_ARRAY;
    if (list)
        json_array_begin(&j);
    while (count < most && (!list || json_array_next(&j))) {
        struct str name;
        if (!json_read_string(&j, names->p + names->len, raw.n - names->len, &name))
            break;
        if (name.p == names->p + names->len)
            names->len += name.n;
        ret[count++] = name;
        if (!list)
            break;
    }
    return count;
}

static bool find_bool(struct str object, const char *key)
{
    struct str raw;
    return json_find(object, str_from(key), &raw) && str_eq(raw, STR("true"));
}

/* Decoded into at; "" when it is absent, or no string. */
static struct str find_string(struct str object, const char *key, char *at, size_t cap)
{
    struct str raw, text;
    struct json j;
    if (!json_find(object, str_from(key), &raw))
        return STR_NONE;
    json_init(&j, raw);
    return json_read_string(&j, at, cap, &text) ? text : STR_NONE;
}

/* ---- attachments ---- */

static bool is_base64(struct str s)
{
    size_t pad = 0;
    while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < s.n - pad; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return false;
    }
    return s.n % 4 == 0;
}

struct files {
    struct str encoded[SIO_ATTACHMENTS_MAX];
    uint32_t count;
    size_t bytes;
};

/* The "attachments" of an emit or an answer. False: not an array of base64 strings. */
static bool files_read(struct str object, struct files *ret)
{
    struct json j;
    struct str raw;
    *ret = (struct files){0};
    if (!json_find(object, STR("attachments"), &raw))
        return true;
    json_init(&j, raw);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        struct str text;
        if (ret->count == SIO_ATTACHMENTS_MAX || !json_read_string_raw(&j, &text) ||
            !is_base64(text))
            return false;
        ret->encoded[ret->count++] = text;
        ret->bytes += text.n;
    }
    return json_end(&j);
}

/* Decodes all of them into one block; NULL: none, or no memory. */
static char *files_decode(const struct files *f, struct str ret[SIO_ATTACHMENTS_MAX])
{
    char *block = f->count > 0 ? pool_alloc(f->bytes + 3 * (size_t)f->count) : NULL;
    char *at = block;
    for (uint32_t i = 0; block != NULL && i < f->count; i++) {
        size_t n = eio_base64_decode(f->encoded[i], at);
        ret[i] = (struct str){at, n};
        at += n;
    }
    return block;
}

/* ---- emits ---- */

struct emit {
    struct str raw;  // the object
    struct str name; // decoded
    struct str args; // raw array
    struct files files;
    struct str nsp;
    bool excludes;
    uint8_t exclude[16];
};

/* Several arguments, none, or bytes need tags; one argument is the data itself, as everybody
 * else who follows the channel expects it. */
static bool write_publication(const struct emit *e, struct buf *tags, struct str *ret_data)
{
    struct json j;
    struct str first = STR_NONE;
    size_t count = 0;
    json_init(&j, e->args);
    json_array_begin(&j);
    for (struct str value; json_array_next(&j) && json_read_raw(&j, &value); count++)
        first = count == 0 ? value : first;
    *ret_data = count == 1 ? first : e->args;
    if (count == 1 && e->files.count == 0)
        return true;
    bool ok = buf_add_char(tags, '{');
    if (count != 1)
        ok = ok && buf_add(tags, STR("\"socketio\":\"args\""));
    if (count != 1 && e->files.count > 0)
        ok = ok && buf_add_char(tags, ',');
    for (uint32_t i = 0; i < e->files.count; i++)
        ok = ok && buf_add(tags, i == 0 ? STR("\"attachments\":\"") : STR(",")) &&
             buf_add(tags, e->files.encoded[i]);
    if (e->files.count > 0)
        ok = ok && buf_add_char(tags, '"');
    return ok && buf_add_char(tags, '}');
}

/* spared: whoever follows one of these channels has it already, or gets it there. */
static void publish(struct sio_socket *sk, const struct emit *e, struct str channel,
                    struct str spared)
{
    struct buf tags;
    struct str data;
    buf_init(&tags, e->files.bytes + SIO_ATTACHMENTS_MAX + 64);
    if (write_publication(e, &tags, &data))
        hub_publish(sk->session.hub,
                    &(struct publish_params){
                        .tenant = sk->session.tenant,
                        .channel = channel,
                        .type = e->name,
                        .data = data,
                        .tags = buf_str(&tags),
                        .exclude_client = e->excludes ? e->exclude : NULL,
                        .exclude_channels = spared,
                    },
                    NULL, NULL);
    buf_fini(&tags);
}

/* The name of a room, or the sid of a socket. False: nobody can be there. */
static bool target_channel(struct buf *out, struct str nsp, struct str name)
{
    uint8_t sid[16];
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == ' ')
            return false;
    }
    return sio_sid_parse(name, sid) ? socketio_socket_channel(out, name)
                                    : socketio_room_channel(out, nsp, name);
}

/* Who is in several of them gets it once: with the first. */
static void publish_to_rooms(struct sio_socket *sk, const struct emit *e, struct str to)
{
    struct buf names, spared;
    struct str rooms[BACKEND_NAMES_MAX];
    size_t count = act_read_names(to, &names, rooms, BACKEND_NAMES_MAX);
    buf_init(&spared, BACKEND_NAMES_MAX * CHANNEL_NAME_MOST);
    if (count == 0)
        backend_problem(sk, "emit", "\"to\" is neither a room nor a list of rooms");
    for (size_t i = 0; i < count; i++) {
        char at[CHANNEL_NAME_MOST];
        struct buf channel = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
        if (!target_channel(&channel, e->nsp, rooms[i])) {
            backend_problem(sk, "emit", "\"to\" names a room that nobody can be in");
            continue;
        }
        publish(sk, e, buf_str(&channel), buf_str(&spared));
        if ((spared.len > 0 && !buf_add_char(&spared, ' ')) || !buf_add(&spared, buf_str(&channel)))
            break; // no memory
    }
    buf_fini(&spared);
    buf_fini(&names);
}

/* The array that a client gets: the name, then the arguments. */
static bool write_array(const struct emit *e, struct buf *out)
{
    struct str args = {e->args.p + 1, e->args.n - 2};
    bool ok = buf_add_char(out, '[') && json_write_string(out, e->name);
    if (json_trim(args).n > 0)
        ok = ok && buf_add_char(out, ',') && buf_add(out, args);
    return ok && buf_add_char(out, ']');
}

static void emit_to_socket(struct backend_queue *q, const struct emit *e)
{
    struct str files[SIO_ATTACHMENTS_MAX];
    struct sio_message m = {.attachments = files, .attachment_count = e->files.count};
    struct buf out;
    char token[BACKEND_TOKEN_MAX];
    char *block = files_decode(&e->files, files);
    struct str name = find_string(e->raw, "ack", token, sizeof(token));
    buf_init(&out, json_string_bytes_max(e->name) + e->args.n + 16);
    if ((block != NULL || e->files.count == 0) && write_array(e, &out)) {
        uint64_t cookie = name.n > 0 ? backend_token_add(q, name) : 0;
        m.data = buf_str(&out);
        if (cookie == 0)
            sio_emit(q->socket, &m);
        else if (!sio_emit_ack(q->socket, &sio_backend_app, cookie, &m)) {
            backend_token_drop(container_of(q->tokens.prev, struct backend_token, link));
            backend_problem(q->socket, "emit",
                            "the client owes too many acknowledgements, or has gone");
        }
    }
    pool_free(block);
    buf_fini(&out);
}

/* Where a socket can come back, what is sent to it is kept in its own channel for that time. */
static void emit_to_own_channel(struct sio_socket *sk, const struct emit *e)
{
    char at[UUID_TEXT + 16], sid[UUID_TEXT];
    struct buf channel = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    uuid_format(sk->session.client, sid);
    if (socketio_socket_channel(&channel, (struct str){sid, UUID_TEXT}))
        publish(sk, e, buf_str(&channel), STR_NONE);
}

static void emit_to_namespace(struct sio_socket *sk, const struct emit *e)
{
    char at[SIO_NSP_MAX + 16];
    struct buf channel = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    if (socketio_namespace_channel(&channel, e->nsp))
        publish(sk, e, buf_str(&channel), STR_NONE);
}

static void read_except(struct emit *e, const struct sio_socket *sk)
{
    char at[64];
    struct str except = find_string(e->raw, "except", at, sizeof(at));
    if (str_eq(except, STR("sender"))) {
        memcpy(e->exclude, sk->session.client, sizeof(e->exclude));
        e->excludes = true;
    } else if (except.n > 0) {
        e->excludes = sio_sid_parse(except, e->exclude);
    }
}

/* A static text about what is wrong with it, or NULL. */
static const char *emit_read(struct emit *e, const struct sio_socket *sk, char *name_at,
                             char *nsp_at)
{
    e->name = find_string(e->raw, "event", name_at, SIO_EVENT_NAME_MAX);
    if (e->name.n == 0)
        return "\"event\" must be a name";
    if (!json_find(e->raw, STR("args"), &e->args))
        e->args = STR("[]");
    if (e->args.p[0] != '[')
        return "\"args\" must be an array";
    if (!files_read(e->raw, &e->files))
        return "\"attachments\" must be an array of base64 strings";
    if (!sio_placeholders_ok(e->args, e->files.count))
        return "a placeholder of \"args\" has no attachment";
    e->nsp = find_string(e->raw, "namespace", nsp_at, SIO_NSP_MAX);
    if (e->nsp.n == 0)
        e->nsp = sk->space->name;
    read_except(e, sk);
    return NULL;
}

static void act_emit(struct backend_queue *q, struct str raw)
{
    struct sio_socket *sk = q->socket;
    char name[SIO_EVENT_NAME_MAX], nsp[SIO_NSP_MAX];
    struct emit e = {.raw = raw};
    struct str to;
    const char *why = raw.p[0] != '{' ? "must be an object" : emit_read(&e, sk, name, nsp);
    if (why != NULL)
        backend_problem(sk, "emit", why);
    else if (json_find(raw, STR("to"), &to) && !str_eq(to, STR("null")))
        publish_to_rooms(sk, &e, to);
    else if (find_bool(raw, "broadcast"))
        emit_to_namespace(sk, &e);
    else if (sio_socket_shared(sk)->recovery != NULL && !json_find(raw, STR("ack"), &to))
        emit_to_own_channel(sk, &e);
    else
        emit_to_socket(q, &e);
}

/* "emit": one object, or an array of them. */
static void act_emits(struct backend_queue *q, struct str answer)
{
    struct json j;
    struct str raw, one;
    if (!json_find(answer, STR("emit"), &raw))
        return;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_ARRAY) {
        act_emit(q, raw);
        return;
    }
    json_array_begin(&j);
    while (json_array_next(&j) && json_read_raw(&j, &one))
        act_emit(q, one);
}

/* ---- the rest ---- */

static void act_ack(struct backend_queue *q, struct str answer, const struct backend_ask *ask)
{
    struct files files;
    struct str decoded[SIO_ATTACHMENTS_MAX], data;
    if (!ask->wants_ack || !json_find(answer, STR("ack"), &data))
        return;
    if (data.p[0] != '[' || !files_read(answer, &files) ||
        !sio_placeholders_ok(data, files.count)) {
        backend_problem(q->socket, "ack", "must be an array, and its bytes in \"attachments\"");
        return;
    }
    char *block = files_decode(&files, decoded);
    if (block != NULL || files.count == 0)
        sio_ack(q->socket, ask->ack_id,
                &(struct sio_message){
                    .data = data, .attachments = decoded, .attachment_count = files.count});
    pool_free(block);
}

static void act_leave(struct backend_queue *q, struct str answer)
{
    struct buf names;
    struct str rooms[BACKEND_NAMES_MAX], raw;
    if (!json_find(answer, STR("leave"), &raw))
        return;
    size_t count = act_read_names(raw, &names, rooms, BACKEND_NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        sio_leave(q->socket, rooms[i]);
    buf_fini(&names);
}

void act_on_answer(struct backend_queue *q, struct str answer, const struct backend_ask *ask)
{
    struct str close;
    act_leave(q, answer);
    act_emits(q, answer);
    act_ack(q, answer, ask);
    if (json_find(answer, STR("disconnect"), &close) && !str_eq(close, STR("false")))
        sio_disconnect(q->socket, str_eq(close, STR("\"close\"")));
}
