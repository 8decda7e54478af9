/*
 * ws_offer.c - what a client offers in Sec-WebSocket-Extensions, and our answer.
 *
 * Why it exists: a header of several offers with parameters, some quoted, is a small language of
 * its own. An offer that is not understood to its last parameter is declined, never half accepted;
 * a header that is not well formed is declined from the first fault on.
 */
#include "carrier/ws_deflate.h"

#include <stdio.h>

/* A value is unquoted into its own few bytes; all values we know are short. */
enum { VALUE_MAX = 8 };
struct param {
    struct str name;
    char value[VALUE_MAX];
    size_t value_len;
    bool has_value;
};

static void skip_space(struct str *s)
{
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = (struct str){s->p + 1, s->n - 1};
}

static bool skip_char(struct str *s, char c)
{
    skip_space(s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = (struct str){s->p + 1, s->n - 1};
    return true;
}

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static struct str take_token(struct str *s)
{
    skip_space(s);
    size_t n = 0;
    while (n < s->n && is_token_char(s->p[n]))
        n++;
    struct str token = {s->p, n};
    *s = (struct str){s->p + n, s->n - n};
    return token;
}

static bool value_add(struct param *p, char c)
{
    if (!is_token_char(c)) // RFC 6455: what is in the quotes must be a token too
        return false;
    if (p->value_len < VALUE_MAX)
        p->value[p->value_len] = c;
    p->value_len++;
    return true;
}

static bool take_quoted(struct str *s, struct param *p)
{
    while (s->n > 0) {
        char c = s->p[0];
        *s = (struct str){s->p + 1, s->n - 1};
        if (c == '"')
            return p->value_len > 0;
        if (c == '\\' && s->n > 0) {
            c = s->p[0];
            *s = (struct str){s->p + 1, s->n - 1};
        }
        if (!value_add(p, c))
            return false;
    }
    return false;
}

/* Behind a ';'. False: not well formed. */
static bool take_param(struct str *s, struct param *ret)
{
    *ret = (struct param){.name = take_token(s)};
    if (ret->name.n == 0)
        return false;
    if (!skip_char(s, '='))
        return true;
    ret->has_value = true;
    if (skip_char(s, '"'))
        return take_quoted(s, ret);
    struct str token = take_token(s);
    for (size_t i = 0; i < token.n; i++)
        (void)value_add(ret, token.p[i]);
    return token.n > 0;
}

/* 8 to 15 in plain decimal; 0: something else. */
static int param_bits(const struct param *p)
{
    uint64_t v;
    bool plain = p->value_len <= 2 && p->value_len > 0 && p->value[0] != '0';
    if (!plain || !str_to_u64((struct str){p->value, p->value_len}, &v))
        return 0;
    return v >= 8 && v <= WS_WINDOW_BITS_MAX ? (int)v : 0;
}

enum {
    SEEN_SERVER_NO_CONTEXT = 1,
    SEEN_CLIENT_NO_CONTEXT = 2,
    SEEN_SERVER_BITS = 4,
    SEEN_CLIENT_BITS = 8
};

struct offer {
    bool deflate, refused;
    unsigned seen;
    int window_bits;
};

static unsigned param_kind(struct str name)
{
    if (str_eq_nocase(name, STR("server_no_context_takeover")))
        return SEEN_SERVER_NO_CONTEXT;
    if (str_eq_nocase(name, STR("client_no_context_takeover")))
        return SEEN_CLIENT_NO_CONTEXT;
    if (str_eq_nocase(name, STR("server_max_window_bits")))
        return SEEN_SERVER_BITS;
    if (str_eq_nocase(name, STR("client_max_window_bits")))
        return SEEN_CLIENT_BITS;
    return 0;
}

/* False: the offer cannot be accepted. */
static bool offer_add(struct offer *o, const struct param *p)
{
    unsigned kind = param_kind(p->name);
    if (kind == 0 || (o->seen & kind) != 0)
        return false;
    o->seen |= kind;
    if (kind == SEEN_SERVER_BITS) {
        o->window_bits = param_bits(p);
        return o->window_bits >= WS_WINDOW_BITS_MIN;
    }
    if (kind == SEEN_CLIENT_BITS) // a permission that we make no use of: we inflate any window
        return !p->has_value || param_bits(p) > 0;
    return !p->has_value;
}

static bool take_offer(struct str *s, struct offer *ret)
{
    struct str name = take_token(s);
    *ret = (struct offer){.deflate = str_eq_nocase(name, STR("permessage-deflate")),
                          .window_bits = WS_WINDOW_BITS_MAX};
    if (name.n == 0)
        return false;
    while (skip_char(s, ';')) {
        struct param p;
        if (!take_param(s, &p))
            return false;
        if (ret->deflate && !offer_add(ret, &p))
            ret->refused = true;
    }
    skip_space(s);
    return s->n == 0 || s->p[0] == ',';
}

bool ws_deflate_choose(struct str offers, struct ws_deflate_choice *ret)
{
    for (;;) {
        while (skip_char(&offers, ','))
            continue;
        struct offer o;
        if (offers.n == 0 || !take_offer(&offers, &o))
            return false;
        if (o.deflate && !o.refused) {
            *ret = (struct ws_deflate_choice){o.window_bits, (o.seen & SEEN_SERVER_BITS) != 0};
            return true;
        }
    }
}

size_t ws_deflate_answer(const struct ws_deflate_choice *choice, char at[WS_DEFLATE_ANSWER_MAX])
{
    static const char base[] =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    int n = choice->bits_asked
                ? snprintf(at, WS_DEFLATE_ANSWER_MAX, "%s; server_max_window_bits=%d", base,
                           choice->window_bits)
                : snprintf(at, WS_DEFLATE_ANSWER_MAX, "%s", base);
    return (size_t)n;
}
