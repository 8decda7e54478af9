// links: carrier
/* What an Engine.IO client sends, as the body of a polling request and as a text message: any
 * bytes. A valid payload is taken apart to its end, inside the input; what is made of its messages
 * is a valid payload again. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/must.h"
#include "carrier/eio.h"
#include "carrier/eio_packet.h"

static void check_inside(struct str part, struct str whole)
{
    MUST(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void frame_again(const struct eio_packet *packet, struct buf *frames)
{
    if (packet->type == EIO_MESSAGE) {
        MUST(eio_frame(&ws_framing_text, frames, packet->data, false));
    } else if (packet->type == EIO_BINARY) {
        char *bytes = malloc(packet->data.n / 4 * 3 + 3);
        MUST(bytes != NULL);
        size_t n = eio_base64_decode(packet->data, bytes);
        MUST(n <= packet->data.n / 4 * 3 + 2);
        MUST(eio_frame(&ws_framing_text, frames, (struct str){bytes, n}, true));
        free(bytes);
    }
}

static void read_payload(struct str payload)
{
    struct str rest = payload;
    struct eio_packet packet;
    struct buf frames, again;
    unsigned count = 0;
    buf_init(&frames, 64 << 20);
    buf_init(&again, 64 << 20);
    while (eio_packet_next(&rest, &packet)) {
        MUST(++count <= EIO_PACKETS_MAX);
        check_inside(packet.data, payload);
        frame_again(&packet, &frames);
    }
    MUST(rest.n == 0);
    MUST(eio_payload_add(&again, buf_str(&frames)));
    MUST(eio_payload_valid(buf_str(&again)));
    buf_fini(&frames);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct eio_packet packet;
    if (eio_payload_valid(text))
        read_payload(text);
    if (eio_packet_read(text, &packet)) {
        MUST(packet.type != EIO_BINARY && packet.type != EIO_OPEN && packet.type != EIO_PING);
        check_inside(packet.data, text);
    }
    (void)eio_coding_choose(text);
    return 0;
}
