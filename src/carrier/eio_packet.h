/* eio_packet.h - Engine.IO 4 packets: taken out of the body of a polling request, and made of the
 * WebSocket frames that a session's messages are kept as.
 * Thread:  any.
 * Memory:  what is handed out points into the input, or into the caller's buffer.
 * Failure: a payload is valid as a whole or not at all; writers say false when memory has run out.
 */
#ifndef CARRIER_EIO_PACKET_H
#define CARRIER_EIO_PACKET_H

#include "base/buf.h"

enum { EIO_SEPARATOR = 0x1e, EIO_PACKETS_MAX = 16, EIO_COMPRESS_MIN = 1025 };

enum eio_type {
    EIO_OPEN = '0',
    EIO_CLOSE = '1',
    EIO_PING = '2',
    EIO_PONG = '3',
    EIO_MESSAGE = '4',
    EIO_UPGRADE = '5',
    EIO_NOOP = '6',
    EIO_BINARY = 'b' // a message in base64; on a WebSocket it is a binary frame
};

struct eio_packet {
    enum eio_type type;
    struct str data; // EIO_BINARY: still in base64
};

/* What clients may send, in order: at most EIO_PACKETS_MAX packets, of types that are theirs to
 * send, in UTF-8, base64 where it belongs. Empty is valid. */
bool eio_payload_valid(struct str payload);
/* The next packet of a valid payload; false: that was all. */
bool eio_packet_next(struct str *payload, struct eio_packet *ret);
/* One packet, as a text message of a WebSocket is. False: not one of those that clients send. */
bool eio_packet_read(struct str text, struct eio_packet *ret);

/* Decodes base64 (padded or not) into at, which has room for 3 bytes per 4 characters. The text has
 * been found valid. Returns the length. */
size_t eio_base64_decode(struct str text, char *at);

/* Appends the messages of whole frames, as eio_frame() writes them, to a payload for a polling
 * client. */
bool eio_payload_add(struct buf *out, struct str frames);
/* Appends one packet as a frame. */
bool eio_packet_frame(struct buf *out, enum eio_type type, struct str data);

/* The coding of a response that an Accept-Encoding header asks for. */
enum eio_coding { EIO_IDENTITY, EIO_GZIP, EIO_DEFLATE };
enum eio_coding eio_coding_choose(struct str accept);
/* Appends body in that coding. False: it does not get shorter, or no memory; out may have grown. */
bool eio_compress(enum eio_coding coding, struct str body, struct buf *out);

#endif
