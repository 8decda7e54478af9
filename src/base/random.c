/*
 * random.c - bytes nobody can guess, from the kernel, a page at a time.
 */
#include "base/random.h"

#include "base/must.h"

#include <string.h>
#include <sys/random.h>

enum { RANDOM_STOCK = 1024 };

/* Each thread keeps a stock, so that a connection does not cost a system call. */
static _Thread_local struct {
    uint8_t bytes[RANDOM_STOCK];
    size_t left;
} stock;

static void random_from_kernel(uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        MUST(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

void random_bytes(void *ret, size_t n)
{
    if (n > sizeof(stock.bytes)) {
        random_from_kernel(ret, n);
        return;
    }
    if (stock.left < n) {
        random_from_kernel(stock.bytes, sizeof(stock.bytes));
        stock.left = sizeof(stock.bytes);
    }
    uint8_t *from = stock.bytes + stock.left - n;
    memcpy(ret, from, n);
    memset(from, 0, n); // what was given out is not kept
    stock.left -= n;
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return v;
}

void uuid_make(uint8_t ret[16])
{
    random_bytes(ret, 16);
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

void uuid_format(const uint8_t uuid[16], char ret[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret[at++] = '-';
        ret[at++] = hex[uuid[i] >> 4];
        ret[at++] = hex[uuid[i] & 15];
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool uuid_parse(struct str text, uint8_t ret[16])
{
    uint8_t bytes[16];
    size_t n = 0;
    if (text.n != UUID_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i += 2) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.p[i] != '-')
                return false;
            i++;
        }
        int high = hex_value(text.p[i]), low = hex_value(text.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[n++] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret, bytes, sizeof(bytes));
    return true;
}
