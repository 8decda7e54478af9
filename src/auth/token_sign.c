/*
 * token_sign.c - tokens that Recado makes itself, for people who try it out and for tests.
 *
 * Why it exists: an application signs its own tokens; `recado token` saves the first half hour.
 *
 * Always true: what is signed here, auth_verify_connection() or auth_verify_subscription() of the
 * same secret accepts until it expires.
 */
#include "auth/token.h"

#include "auth/auth_priv.h"
#include "base/json.h"

enum { PAYLOAD_MAX_BYTES = 64 * 1024 };

static void put_string(struct json_writer *w, struct str key, struct str value)
{
    if (value.n > 0)
        json_put_string(json_key(w, key), value);
}

static void put_json(struct json_writer *w, struct str key, struct str value)
{
    if (value.n > 0)
        json_put_raw(json_key(w, key), value);
}

static void put_time(struct json_writer *w, struct str key, int64_t value_s)
{
    if (value_s != 0)
        json_put_i64(json_key(w, key), value_s);
}

static void put_channels(struct json_writer *w, const struct str *channels, size_t n)
{
    if (n == 0)
        return;
    json_open_array(json_key(w, STR("channels")));
    for (size_t i = 0; i < n; i++)
        json_put_string(w, channels[i]);
    json_close_array(w);
}

static bool payload_write(const struct token_spec *t, struct buf *ret)
{
    struct json_writer w;
    json_writer_init(&w, ret);
    json_open_object(&w);
    put_string(&w, STR("sub"), t->sub);
    put_string(&w, t->tenant_claim.n ? t->tenant_claim : STR("org"), t->tenant);
    put_string(&w, STR("role"), t->role);
    put_string(&w, STR("client"), t->client);
    put_string(&w, STR("channel"), t->channel);
    put_channels(&w, t->channels, t->channel_count);
    put_json(&w, STR("info"), t->info);
    put_json(&w, STR("meta"), t->meta);
    put_string(&w, STR("aud"), t->audience);
    put_string(&w, STR("iss"), t->issuer);
    put_string(&w, STR("jti"), t->token_id);
    put_time(&w, STR("iat"), t->issued_at_s);
    put_time(&w, STR("exp"), t->expires_at_s);
    json_close_object(&w);
    return json_done(&w);
}

static bool algorithm_is_ours(struct str s)
{
    return str_eq(s, STR("HS256")) || str_eq(s, STR("HS384")) || str_eq(s, STR("HS512"));
}

bool token_sign(struct str secret, const struct token_spec *spec, struct buf *ret)
{
    struct str algorithm = spec->algorithm.n ? spec->algorithm : STR("HS256");
    bool info_ok = spec->info.n == 0 || json_valid(spec->info);
    bool meta_ok = spec->meta.n == 0 || json_valid(spec->meta);
    if (secret.n == 0 || !algorithm_is_ours(algorithm) || !info_ok || !meta_ok)
        return false;
    struct buf payload;
    buf_init(&payload, PAYLOAD_MAX_BYTES);
    bool ok =
        payload_write(spec, &payload) && secret_sign(secret, algorithm, buf_str(&payload), ret);
    buf_fini(&payload);
    return ok;
}
