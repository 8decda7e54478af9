/*
 * token_fuzz.c - tokens from strangers, and payloads that a key holder wrote badly.
 *
 * The input is taken as a whole token, and once more as the payload of one that is signed for it:
 * otherwise no input would ever get behind the signature. Claims must lie in their block (the
 * sanitizer says so when they are read).
 */
// links: auth
#include "fuzz.h"

#include <stdlib.h>

#include "auth/auth_priv.h"
#include "auth/token.h"
#include "base/json.h"
#include "base/must.h"

enum { NOW_S = 1700000000, TOKEN_MAX = 128 * 1024 };

static const struct str secret = {"0123456789abcdef0123456789abcdef", 32};

static void read_all(struct str s)
{
    MUST(str_hash(s, 1) == str_hash(s, 1)); // touches every byte
}

static void read_json(struct str s)
{
    MUST(s.n == 0 || json_valid(s)); // it is spliced into messages as it is
}

static void check_connection(const struct auth *a, struct str jwt)
{
    struct claims c;
    enum err e = auth_verify_connection(a, jwt, NOW_S, &c);
    MUST((e == ERR_OK) == (c.reason[0] == '\0'));
    MUST(e == ERR_OK || c.block == NULL);
    read_all(c.user);
    read_all(c.tenant);
    read_all(c.role);
    read_all(c.token_id);
    read_json(c.info);
    read_json(c.meta);
    for (size_t i = 0; i < c.sub_count; i++) {
        MUST(c.subs[i].channel.n > 0);
        read_all(c.subs[i].channel);
        read_json(c.subs[i].info);
        read_json(c.subs[i].data);
    }
    claims_fini(&c);
}

static void check_subscription(const struct auth *a, struct str jwt)
{
    struct sub_claims c;
    enum err e = auth_verify_subscription(a, jwt, NOW_S, &c);
    MUST((e == ERR_OK) == (c.reason[0] == '\0'));
    MUST(e != ERR_OK || c.channel.n > 0);
    read_all(c.user);
    read_all(c.channel);
    read_all(c.client);
    read_json(c.info);
    read_json(c.data);
    sub_claims_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct auth_options options = {.hmac_secret = secret, .token_max_bytes = TOKEN_MAX};
    struct auth *a = auth_create(&options, NULL);
    struct buf jwt, parts;
    MUST(a != NULL);
    buf_init(&jwt, TOKEN_MAX);
    buf_init(&parts, TOKEN_MAX);
    check_connection(a, input);
    check_subscription(a, input);
    (void)token_decode(input, &parts, &parts);
    if (secret_sign(secret, STR("HS256"), input, &jwt)) {
        check_connection(a, buf_str(&jwt));
        check_subscription(a, buf_str(&jwt));
    }
    buf_fini(&parts);
    buf_fini(&jwt);
    auth_destroy(&a);
    return 0;
}
