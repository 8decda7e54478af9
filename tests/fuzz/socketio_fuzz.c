// links: dialect
/* What a Socket.IO client says, read as packets: lines of any bytes; and what pytake reads of an
 * event's payload. What a reader hands out must lie inside its input and be what it says. */
#include "fuzz.h"

#include "dialect/pytake_priv.h"
#include "dialect/socketio_priv.h"

static void check_inside(struct str part, struct str text)
{
    MUST(part.n == 0 || (part.p >= text.p && part.p + part.n <= text.p + text.n));
}

/* An event's first argument as pytake's rules look at it. */
static void read_payload(const struct sio_packet *p)
{
    struct json j;
    struct str raw;
    struct pytake_conversation c;
    char at[64];
    json_init(&j, p->data);
    if (!json_array_begin(&j) || !json_array_next(&j) || !json_skip(&j) || !json_array_next(&j) ||
        !json_read_raw(&j, &raw))
        return;
    pytake_conversation_read(raw, at, sizeof(at), &c);
    check_inside(c.raw, raw);
    MUST(c.named == PYTAKE_BADLY || c.named == PYTAKE_NOTHING || json_valid(c.raw));
    if (c.named == PYTAKE_TEXT) {
        MUST(c.id.n > 0);
        (void)pytake_id_ok(c.id);
    }
}

static void check_packet(struct str line, const struct sio_packet *p)
{
    check_inside(p->data, line);
    check_inside(p->name, p->data);
    MUST(sio_nsp_ok(p->nsp));
    MUST(p->data.n == 0 || json_valid(p->data));
    MUST(p->attachment_count <= SIO_ATTACHMENTS_MAX);
    bool event = p->type == SIO_EVENT || p->type == SIO_BINARY_EVENT;
    MUST(event == (p->name.n > 0));
    if (p->attachment_count > 0)
        MUST(sio_placeholders_ok(p->data, p->attachment_count));
    if (event)
        read_payload(p);
}

/* The same as a publication: what is written must be read as the same event again. */
static void write_again(const struct sio_packet *p)
{
    struct sio_shared shared = {0};
    struct sio_space space = {.shared = &shared, .name = p->nsp};
    struct publication pub = {.type = STR("x"), .data = p->data, .tags = STR_NONE};
    struct sio_packet again;
    struct buf out;
    buf_init(&out, 1 << 20);
    if (p->data.n > 0 && sio_event_write(&out, &space, &pub, NULL)) {
        MUST(sio_packet_read(buf_str(&out), &again) == NULL);
        MUST(str_eq(again.nsp, p->nsp) && again.argument_count == 1 && again.type == SIO_EVENT);
    }
    pub.tags = STR("{\"socketio\":\"args\"}");
    buf_clear(&out);
    if (p->data.n > 0 && sio_event_write(&out, &space, &pub, NULL))
        MUST(sio_packet_read(buf_str(&out), &again) == NULL);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');
        struct sio_packet p;
        if (sio_packet_read(line, &p) == NULL) {
            check_packet(line, &p);
            write_again(&p);
        }
        (void)pytake_id_ok(line);
    }
    return 0;
}
