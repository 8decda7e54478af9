/*
 * socketio_write.c - packets as text, and publications as the packets that all their subscribers
 * share.
 *
 * Why it exists: an event of a channel is written, framed and deflated once per namespace and
 * framing however many sockets follow. An event with attachments is one entry of the log: a text
 * and its binary messages never stand apart.
 */
#include "dialect/socketio_priv.h"

#include "base/pool.h"

#include <openssl/evp.h>

enum { HEAD_ROOM = 256 }; // of a packet: its head and an offset

/* ---- packets ---- */

bool sio_head_write(struct buf *out, enum sio_type type, uint32_t attachment_count, struct str nsp)
{
    bool ok = buf_add_char(out, (char)('0' + type));
    if (type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK)
        ok = ok && buf_add_u64(out, attachment_count) && buf_add_char(out, '-');
    if (nsp.n > 1)
        ok = ok && buf_add(out, nsp) && buf_add_char(out, ',');
    return ok;
}

/* ---- publications ---- */

/* The body of a tag's string, as it was written: what is asked for here needs no escapes. */
static struct str tag_find(struct str tags, const char *key)
{
    struct str raw;
    if (tags.n == 0 || !json_find(tags, str_from(key), &raw) || raw.n < 2 || raw.p[0] != '"')
        return STR_NONE;
    return (struct str){raw.p + 1, raw.n - 2};
}

/* What stands behind the name, with a comma in front. */
static bool arguments_write(struct buf *out, const struct publication *p)
{
    struct str data = json_trim(p->data);
    if (data.n >= 2 && data.p[0] == '[' && str_eq(tag_find(p->tags, "socketio"), STR("args")))
        data = json_trim((struct str){data.p + 1, data.n - 2});
    return data.n == 0 || (buf_add_char(out, ',') && buf_add(out, data));
}

static bool is_reserved(struct str type)
{
    char at[32];
    if (type.n + 2 > sizeof(at))
        return false;
    at[0] = '"';
    memcpy(at + 1, type.p, type.n);
    return sio_name_is_reserved((struct str){at, type.n + 2});
}

bool sio_event_write(struct buf *out, const struct sio_space *space, const struct publication *p,
                     struct sio_socket *to)
{
    struct str type = p->type.n > 0 ? p->type : STR("message");
    struct str encoded = tag_find(p->tags, "attachments");
    uint32_t count = encoded.n > 0 ? 1 : 0;
    for (size_t i = 0; i < encoded.n; i++)
        count += encoded.p[i] == ',';
    // Clients hang up on events of these names, and on placeholders that stand for nothing.
    if (is_reserved(type) || count > SIO_ATTACHMENTS_MAX ||
        (count > 0 && !sio_placeholders_ok(p->data, count)))
        return false;
    bool ok = sio_head_write(out, count > 0 ? SIO_BINARY_EVENT : SIO_EVENT, count, space->name) &&
              buf_add_char(out, '[') && json_write_string(out, type) && arguments_write(out, p);
    const struct sio_recovery *recovery = space->shared->recovery;
    if (ok && to != NULL && recovery != NULL) {
        size_t len = out->len;
        ok = buf_add(out, STR(",\""));
        if (ok && recovery->write_offset(to, p, out))
            ok = buf_add_char(out, '"');
        else
            out->len = len;
    }
    return ok && buf_add_char(out, ']');
}

static size_t event_bytes_max(const struct sio_space *space, const struct publication *p)
{
    return json_string_bytes_max(p->type) + p->data.n + space->name.n + HEAD_ROOM;
}

/* Standard base64 with its padding. at: as long as the text. */
static bool base64_decode(struct str text, unsigned char *at, size_t *ret_n)
{
    size_t pad = 0;
    if (text.n % 4 != 0 || text.n > INT32_MAX)
        return false;
    while (pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=')
        pad++;
    if (memchr(text.n > 0 ? text.p : "", '=', text.n - pad) != NULL)
        return false;
    int n = text.n > 0 ? EVP_DecodeBlock(at, (const unsigned char *)text.p, (int)text.n) : 0;
    if (n != (int)(text.n / 4 * 3))
        return false;
    *ret_n = (size_t)n - pad;
    return true;
}

typedef bool attachment_fn(void *ctx, struct str bytes);

/* raw: the body of the tag; some writers escape the slashes of base64. */
static bool attachments_each(struct str raw, attachment_fn *take, void *ctx)
{
    if (raw.n == 0)
        return true;
    char *at = pool_alloc(raw.n * 2);
    struct str encoded;
    bool ok = at != NULL && json_string_decode(raw, at, raw.n, &encoded);
    for (bool more = true; ok && more;) {
        size_t n;
        unsigned char *bytes = (unsigned char *)at + raw.n;
        struct str rest = encoded;
        struct str one = str_cut(&rest, ',');
        more = one.n < encoded.n;
        encoded = rest;
        ok = base64_decode(one, bytes, &n) && take(ctx, (struct str){(const char *)bytes, n});
    }
    pool_free(at);
    return ok;
}

struct framed {
    const struct framing *framing;
    struct buf *out;
};

static bool frame_attachment(void *ctx, struct str bytes)
{
    const struct framed *f = ctx;
    return eio_frame(f->framing, f->out, bytes, true);
}

static bool sio_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    const struct sio_variant *v = e->extra;
    const struct framing *f =
        v->window_bits == 0 ? &ws_framing_text : ws_framing_deflate(v->window_bits);
    (void)channel;
    if (p->kind != EVENT_PUBLICATION)
        return false;
    size_t most = event_bytes_max(v->space, p);
    char *at = pool_alloc(most);
    if (at == NULL)
        return false;
    size_t len = out->len;
    struct buf text = {.p = at, .cap = most, .max = most};
    bool ok = sio_event_write(&text, v->space, p, NULL) &&
              eio_frame(f, out, buf_str(&text), false) &&
              attachments_each(tag_find(p->tags, "attachments"), frame_attachment,
                               &(struct framed){f, out});
    if (!ok)
        out->len = len;
    pool_free(at);
    return ok;
}

static bool take_no_attachment(void *ctx, struct str bytes)
{
    (void)ctx;
    (void)bytes;
    return true;
}

static bool send_attachment(void *ctx, struct str bytes)
{
    struct carrier *carrier = ctx;
    carrier->ops->send(carrier, bytes, true);
    return true;
}

void sio_send_publications(struct sio_socket *sk, struct publication *const *pubs, size_t count)
{
    for (size_t i = 0; i < count && sk->conn != NULL && !sk->conn->ending; i++) {
        const struct publication *p = pubs[i];
        struct str attachments = tag_find(p->tags, "attachments");
        struct buf out;
        buf_init(&out, event_bytes_max(sk->space, p));
        // Checked before the text leaves: what the log would have dropped is dropped here.
        if (attachments_each(attachments, take_no_attachment, NULL) &&
            sio_event_write(&out, sk->space, p, sk)) {
            carrier_send(sk->conn->carrier, buf_str(&out));
            attachments_each(attachments, send_attachment, sk->conn->carrier);
        }
        buf_fini(&out);
    }
}

/* ---- namespaces ---- */

const struct encoding *sio_encoding(struct sio_space *space, const struct framing *f)
{
    return ws_encoding(space->encodings, f);
}

static struct sio_space *space_make(struct sio_shared *sh, struct str name)
{
    struct sio_space *space = calloc(1, sizeof(*space));
    if (space == NULL)
        return NULL;
    memcpy(space->name_at, name.p, name.n);
    space->name = (struct str){space->name_at, name.n};
    space->shared = sh;
    for (int i = 0; i < WS_FRAMINGS; i++) {
        space->variants[i] = (struct sio_variant){ws_window_bits[i], space};
        space->encodings[i] = (struct encoding){
            .name = "socketio", .encode = sio_encode, .extra = &space->variants[i]};
    }
    space->next = sh->spaces;
    sh->spaces = space;
    sh->space_count++;
    return space;
}

struct sio_space *sio_space_add(struct sio_shared *sh, struct str nsp, bool may_make)
{
    pthread_mutex_lock(&sh->lock);
    struct sio_space *space = sh->spaces;
    while (space != NULL && !str_eq(space->name, nsp))
        space = space->next;
    if (space == NULL && may_make && sio_nsp_ok(nsp) && sh->space_count < SIO_SPACES_MAX)
        space = space_make(sh, nsp);
    pthread_mutex_unlock(&sh->lock);
    return space;
}

struct sio_space *sio_space_find(struct sio_shared *sh, struct str nsp)
{
    return sio_space_add(sh, nsp, sh->any_namespace);
}
