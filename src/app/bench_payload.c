/*
 * bench_payload.c - the message that is published: JSON of a fixed width with a time and a number.
 *
 * Why it exists: only digits change from one message to the next, so that making one costs the
 * generator next to nothing.
 *
 * Always true: bytes is one whole frame (masked), or one whole HTTP request.
 */
#include "app/bench.h"

#include <stdlib.h>

#include "app/ws_wire.h"

static const char stamp_key[] = "{\"ts\":\"";
static const char number_key[] = "\",\"seq\":\"";
static const char pad_key[] = "\",\"pad\":\"";
enum { ID_DIGITS = 10 };

size_t bench_payload_min(void)
{
    return sizeof(stamp_key) + sizeof(number_key) + sizeof(pad_key) - 3 + 2 * BENCH_NUMBER_DIGITS +
           2;
}

static void add_zeroes(struct buf *b, int n)
{
    while (n-- > 0)
        buf_add_char(b, '0');
}

/* Adds *head up to the word, and room for digits in its place; returns where they are. */
static size_t add_room(struct buf *out, struct str *head, struct str word, int digits)
{
    size_t at = str_find(*head, word);
    if (at == head->n)
        return SIZE_MAX;
    buf_add(out, (struct str){head->p, at});
    *head = str_skip(*head, at + word.n);
    size_t room = out->len;
    add_zeroes(out, digits);
    return room;
}

/* head with room for the id and the channel, in this order, the JSON, tail. */
static void add_body(struct bench *b, struct buf *out)
{
    struct bench_payload *p = &b->payload;
    struct str head = str_from(b->protocol.head);
    p->id = add_room(out, &head, STR("%d"), ID_DIGITS);
    p->channel = add_room(out, &head, STR("%c"), BENCH_CHANNEL_DIGITS);
    buf_add(out, head);
    buf_add(out, str_from(stamp_key));
    p->stamp = out->len;
    add_zeroes(out, BENCH_NUMBER_DIGITS);
    buf_add(out, str_from(number_key));
    p->number = out->len;
    add_zeroes(out, BENCH_NUMBER_DIGITS);
    buf_add(out, str_from(pad_key));
    for (size_t i = bench_payload_min(); i < b->size; i++)
        buf_add_char(out, (char)('a' + i % 26));
    buf_add(out, STR("\"}"));
    buf_add(out, str_from(b->protocol.tail));
}

static void add_request(struct bench *b, struct buf *out, size_t body_n)
{
    char host[300];
    url_format_host(&b->url, host, sizeof(host));
    buf_add_format(out,
                   "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   b->protocol.publish_path, host,
                   b->protocol.publisher.count > 0 ? b->protocol.publisher.steps[0].text : "",
                   body_n);
}

bool bench_payload_make(struct bench *b)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    struct bench_payload *p = &b->payload;
    struct buf body, whole;
    size_t max = (size_t)b->size + (1 << 20);
    buf_init(&body, max);
    buf_init(&whole, 2 * max);
    add_body(b, &body);
    if (b->protocol.http) {
        add_request(b, &whole, body.len);
    } else {
        uint8_t head[WIRE_HEAD_MAX];
        size_t n = wire_write_head(head, WIRE_TEXT, body.len, mask);
        buf_add(&whole, (struct str){(const char *)head, n});
        memcpy(p->mask, mask, sizeof(mask));
    }
    p->body = whole.len;
    bool ok = body.len > 0 && buf_add(&whole, buf_str(&body));
    buf_fini(&body);
    if (!ok) {
        buf_fini(&whole);
        return bench_fail(b, "out of memory");
    }
    wire_mask(whole.p + p->body, whole.len - p->body, p->mask);
    p->bytes = whole.p;
    p->n = whole.len;
    return true;
}

static void put_digits(struct bench_payload *p, size_t at, int digits, uint64_t v)
{
    for (size_t i = at + (size_t)digits; i-- > at; v /= 10)
        p->bytes[p->body + i] = (char)((uint8_t)('0' + v % 10) ^ p->mask[i & 3]);
}

void bench_payload_stamp(struct bench_payload *p, uint64_t time_ns, uint64_t number)
{
    if (p->id != SIZE_MAX)
        put_digits(p, p->id, ID_DIGITS, BENCH_ID_FIRST + number);
    put_digits(p, p->stamp, BENCH_NUMBER_DIGITS, time_ns);
    put_digits(p, p->number, BENCH_NUMBER_DIGITS, number);
}

void bench_payload_address(struct bench_payload *p, uint64_t channel)
{
    if (p->channel != SIZE_MAX)
        put_digits(p, p->channel, BENCH_CHANNEL_DIGITS, channel);
}

bool bench_payload_read(struct str message, uint64_t *ret_time_ns, uint64_t *ret_number)
{
    struct str rest = str_skip(message, str_find(message, str_from(stamp_key)));
    size_t gap = sizeof(number_key) - 1, digits = BENCH_NUMBER_DIGITS;
    rest = str_skip(rest, sizeof(stamp_key) - 1);
    if (rest.n < 2 * digits + gap)
        return false;
    return str_to_u64((struct str){rest.p, digits}, ret_time_ns) &&
           str_to_u64((struct str){rest.p + digits + gap, digits}, ret_number);
}
