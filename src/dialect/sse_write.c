/*
 * sse_write.c - publications as events, and the ids by which a stream goes on.
 *
 * Why it exists: a browser remembers the id of the last event only. A stream of one channel can
 * share its bytes with all who follow the channel; in a stream of several every id has to say where
 * each of them stands, so its events are written for it alone (docs/why/sse-ids.md).
 */
#include "dialect/sse_priv.h"

enum { EVENT_MAX_BYTES = 64 << 20 };

static size_t position_write(struct position at, char ret[32])
{
    if (at.epoch == 0) {
        ret[0] = '-';
        return 1;
    }
    epoch_format(at.epoch, ret);
    ret[EPOCH_TEXT] = ':';
    return EPOCH_TEXT + 1 + u64_digits(ret + EPOCH_TEXT + 1, at.offset);
}

/* ---- shared ---- */

static size_t event_bytes_max(const struct publication *p)
{
    size_t lines = 1;
    for (size_t i = 0; i < p->data.n; i++)
        lines += p->data.p[i] == '\n' || p->data.p[i] == '\r';
    return p->data.n + lines * 8 + p->type.n + 128;
}

static bool sse_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    const struct framing *f = e->framing;
    char id[32];
    if (p->kind != EVENT_PUBLICATION)
        return false;
    // Through a pattern come events of many streams: no one position says where to go on.
    bool has_id = p->offset > 0 && str_eq(channel, p->channel);
    size_t id_n = has_id ? position_write((struct position){p->offset, p->epoch}, id) : 0;
    size_t most = event_bytes_max(p);
    char *at = pool_alloc(most);
    if (at == NULL)
        return false;
    struct buf event = {.p = at, .cap = most, .max = most};
    bool ok = sse_event(&event, (struct str){id, id_n}, p->type, p->data) &&
              f->frame(f, out, buf_str(&event));
    pool_free(at);
    return ok;
}

const struct encoding *sse_encoding(const struct framing *f)
{
    static const struct encoding chunked = {
        .name = "sse", .encode = sse_encode, .framing = &sse_framing_chunked};
    static const struct encoding raw = {
        .name = "sse-raw", .encode = sse_encode, .framing = &sse_framing_raw};
    return f == &sse_framing_chunked ? &chunked : &raw;
}

/* ---- to one peer ---- */

struct str sse_id_write(const struct sse_session *ss, char at[EVENT_ID_MAX])
{
    size_t n = 0;
    bool any = false;
    for (uint32_t i = 0; i < ss->channel_count; i++) {
        if (i > 0)
            at[n++] = ',';
        const struct sse_channel *ch = &ss->channels[i];
        if (ch->at.epoch == 0 && ch->sub == NULL)
            at[n++] = '?'; // its subscription has not been answered
        else
            n += position_write(ch->at, at + n);
        any |= ch->at.epoch != 0;
    }
    return (struct str){at, any ? n : 0};
}

static void send_event(struct sse_session *ss, struct str type, struct str data)
{
    char id[EVENT_ID_MAX];
    struct buf event;
    if (ss->carrier == NULL || ss->ending)
        return;
    buf_init(&event, EVENT_MAX_BYTES);
    if (sse_event(&event, sse_id_write(ss, id), type, data))
        carrier_send(ss->carrier, buf_str(&event));
    buf_fini(&event);
}

void sse_send_event(struct sse_session *ss, const struct publication *p)
{
    send_event(ss, p->type, p->data);
}

void sse_send_id(struct sse_session *ss)
{
    char id[EVENT_ID_MAX], at[EVENT_ID_MAX + 16];
    struct buf b = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    struct str s = sse_id_write(ss, id);
    if (ss->carrier == NULL || ss->ending || s.n == 0)
        return;
    if (buf_add(&b, STR("id: ")) && buf_add(&b, s) && buf_add(&b, STR("\n\n")))
        carrier_send(ss->carrier, buf_str(&b));
}

void sse_send_reset(struct sse_session *ss, const struct sse_channel *ch)
{
    char at[2048], epoch[EPOCH_TEXT];
    struct buf b = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    struct json_writer w;
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("channel")), ch->name);
    if (ch->at.epoch != 0) {
        epoch_format(ch->at.epoch, epoch);
        json_put_string(json_key(&w, STR("epoch")), (struct str){epoch, EPOCH_TEXT});
        json_put_u64(json_key(&w, STR("offset")), ch->at.offset);
    }
    json_close_object(&w);
    if (json_done(&w))
        send_event(ss, STR("recado-reset"), buf_str(&b));
}
