/*
 * redis_address.c - a Redis URL, taken apart.
 */
#include "cluster/redis.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-decoded, with a terminator. False: does not fit, or is not well encoded. */
static bool decode(struct str s, char *at, size_t cap)
{
    size_t n = 0;
    while (s.n > 0) {
        char c = s.p[0];
        size_t used = 1;
        if (c == '%') {
            int high = s.n >= 3 ? hex_digit(s.p[1]) : -1;
            int low = s.n >= 3 ? hex_digit(s.p[2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return false;
            c = (char)(high * 16 + low);
            used = 3;
        }
        if (n + 1 >= cap)
            return false;
        at[n++] = c;
        s = str_skip(s, used);
    }
    at[n] = '\0';
    return true;
}

static bool read_scheme(struct str *url, const char **ret_why)
{
    static const struct str schemes[] = {{"redis://", 8}, {"valkey://", 9}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!str_starts(*url, schemes[i]))
            continue;
        *url = str_skip(*url, schemes[i].n);
        return true;
    }
    *ret_why = str_starts(*url, STR("rediss://")) ? "TLS to Redis is not supported"
                                                  : "write it as redis://HOST:6379/0";
    return false;
}

/* What stands in front of the last '@'. */
static bool read_login(struct str *place, struct redis_address *ret)
{
    size_t at = place->n;
    while (at > 0 && place->p[at - 1] != '@')
        at--;
    if (at == 0)
        return true;
    struct str password = {place->p, at - 1};
    struct str user = str_cut(&password, ':');
    *place = str_skip(*place, at);
    return decode(user, ret->user, sizeof(ret->user)) &&
           decode(password, ret->password, sizeof(ret->password));
}

static bool read_place(struct str place, struct redis_address *ret)
{
    struct str host, port;
    if (place.n > 0 && place.p[0] == '[') {
        place = str_skip(place, 1);
        host = str_cut(&place, ']');
        if (place.n > 0 && place.p[0] != ':')
            return false;
        port = str_skip(place, 1);
    } else {
        host = str_cut(&place, ':');
        port = place;
    }
    uint64_t number = 6379;
    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return false;
    ret->port = (uint16_t)number;
    return decode(host.n > 0 ? host : STR("localhost"), ret->host, sizeof(ret->host));
}

bool redis_address_parse(struct str url, struct redis_address *ret, const char **ret_why)
{
    *ret = (struct redis_address){0};
    if (!read_scheme(&url, ret_why))
        return false;
    struct str rest = url;
    url = str_cut(&rest, '?');
    struct str place = str_cut(&url, '/');
    uint64_t database = 0;
    if (!read_login(&place, ret)) {
        *ret_why = "user or password: too long or not percent-encoded";
        return false;
    }
    if (!read_place(place, ret)) {
        *ret_why = "host or port: not valid";
        return false;
    }
    if (url.n > 0 && (!str_to_u64(url, &database) || database > 65535)) {
        *ret_why = "database: must be a number";
        return false;
    }
    ret->database = (unsigned)database;
    return true;
}
