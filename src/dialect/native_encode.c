/*
 * native_encode.c - a publication as the push that all its subscribers share.
 *
 * Why it exists: this runs once per publication and framing however many follow, and its bytes are
 * what fan-out copies. It allocates nothing after warm-up.
 */
#include "dialect/native_priv.h"

#include "dialect/ws_session.h"

enum { NAMES_ROOM = 256 }; // of a push, beside what it says

/* Tags are a raw object of strings; the type goes in as one more, last, so that it wins. */
static bool tags_write(struct buf *out, const struct publication *p)
{
    if (p->type.n == 0)
        return p->tags.n == 0 || (buf_add(out, STR(",\"tags\":")) && buf_add(out, p->tags));
    if (!buf_add(out, STR(",\"tags\":")))
        return false;
    size_t n = p->tags.n;
    while (n > 0 && p->tags.p[n - 1] != '}')
        n--;
    struct str head = n > 0 ? (struct str){p->tags.p, n - 1} : STR("{");
    bool empty = memchr(head.p, '"', head.n) == NULL;
    return buf_add(out, head) && buf_add(out, empty ? STR("\"type\":") : STR(",\"type\":")) &&
           json_write_string(out, p->type) && buf_add_char(out, '}');
}

static bool number_write(struct buf *out, struct str name, uint64_t v)
{
    return buf_add(out, name) && buf_add_u64(out, v);
}

void native_flatten(struct buf *out, size_t from)
{
    buf_replace(out, from, '\n', ' ');
}

bool native_publication_write(struct buf *out, struct str channel, const struct publication *p,
                              bool with_time)
{
    size_t start = out->len;
    bool ok =
        buf_add(out, STR("{\"data\":")) && buf_add(out, p->data.n > 0 ? p->data : STR("null"));
    if (p->info.n > 0)
        ok = ok && buf_add(out, STR(",\"info\":")) && buf_add(out, p->info);
    if (p->offset > 0)
        ok = ok && number_write(out, STR(",\"offset\":"), p->offset);
    ok = ok && tags_write(out, p);
    if (with_time && p->time_ms > 0)
        ok = ok && number_write(out, STR(",\"time\":"), (uint64_t)p->time_ms);
    if (channel.n > 0)
        ok = ok && buf_add(out, STR(",\"channel\":")) && json_write_string(out, channel);
    native_flatten(out, start);
    return ok && buf_add_char(out, '}');
}

size_t native_push_bytes_max(struct str channel, const struct publication *p)
{
    return json_string_bytes_max(channel) + json_string_bytes_max(p->channel) +
           json_string_bytes_max(p->type) + p->data.n + p->tags.n + p->info.n + NAMES_ROOM;
}

static bool body_write(struct buf *out, struct str channel, const struct publication *p)
{
    if (p->kind == EVENT_PUBLICATION) {
        bool said = str_eq(channel, p->channel); // else it came through a pattern
        return buf_add(out, STR("\"pub\":")) &&
               native_publication_write(out, said ? STR_NONE : p->channel, p, false);
    }
    size_t start = out->len;
    bool ok = buf_add(out, p->kind == EVENT_JOIN ? STR("\"join\":{\"info\":")
                                                 : STR("\"leave\":{\"info\":")) &&
              buf_add(out, p->info) && buf_add_char(out, '}');
    native_flatten(out, start);
    return ok;
}

bool native_push_write(struct buf *out, struct str channel, const struct publication *p)
{
    return buf_add(out, STR("{\"push\":{\"channel\":")) && json_write_string(out, channel) &&
           buf_add_char(out, ',') && body_write(out, channel, p) && buf_add(out, STR("}}"));
}

static bool native_encode(const struct encoding *e, struct str channel, const struct publication *p,
                          struct buf *out)
{
    static const struct ws_writer writer = {native_push_bytes_max, native_push_write};
    return ws_encoding_event(e, &writer, channel, p, out);
}

static const struct encoding encodings[WS_FRAMINGS] = WS_ENCODINGS("native", native_encode);

const struct encoding *native_encoding(const struct framing *f)
{
    return ws_encoding(encodings, f);
}
