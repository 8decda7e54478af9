/*
 * keys.c - the keys that José works with, and signatures made and checked by it.
 *
 * Why it exists: PEM texts and shared secrets become JWKs here and nowhere else.
 *
 * Always true: nothing is printed, whatever a stranger's token holds.
 */
#include "auth/auth_priv.h"

#include <jose/b64.h>
#include <jose/jws.h>
#include <jose/openssl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { RSA_BITS_MIN = 2048, SECRET_PADDED_BYTES = 64 };

/* Without it José prints what is wrong with a stranger's token on standard error. */
static void keep_silent(void *misc, const char *file, int line, uint64_t err, const char *format,
                        va_list args)
{
    (void)misc, (void)file, (void)line, (void)err, (void)format, (void)args;
}

bool signature_holds(const json_t *jws, const json_t *key)
{
    jose_cfg_t *cfg = jose_cfg();
    if (cfg == NULL)
        return false;
    jose_cfg_set_err_func(cfg, keep_silent, NULL);
    bool ok = jose_jws_ver(cfg, jws, NULL, key, false);
    jose_cfg_decref(cfg);
    ERR_clear_error();
    return ok;
}

json_t *secret_to_jwk(struct str secret)
{
    /* José refuses keys shorter than the digest, people have them. HMAC itself pads a key with
     * zeros to its block (64 bytes or more), so a key padded here gives the same signature. */
    char padded[AUTH_SECRET_MAX_BYTES] = {0};
    if (secret.n == 0 || secret.n > sizeof(padded))
        return NULL;
    memcpy(padded, secret.p, secret.n);
    size_t n = secret.n < SECRET_PADDED_BYTES ? SECRET_PADDED_BYTES : secret.n;
    json_t *jwk = json_pack("{s:s,s:o}", "kty", "oct", "k", jose_b64_enc(padded, n));
    OPENSSL_cleanse(padded, sizeof(padded));
    return jwk;
}

static EVP_PKEY *pem_to_key(struct str pem, int kind)
{
    BIO *bio = pem.n > 0 && pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key != NULL && EVP_PKEY_base_id(key) == kind)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static json_t *key_to_jwk(EVP_PKEY *key)
{
    json_t *jwk = jose_openssl_jwk_from_EVP_PKEY(NULL, key);
    EVP_PKEY_free(key);
    return jwk;
}

json_t *rsa_to_jwk(struct str pem, const char **ret_reason)
{
    EVP_PKEY *key = pem_to_key(pem, EVP_PKEY_RSA);
    *ret_reason = "the RSA public key is not a PEM text of \"BEGIN PUBLIC KEY\"";
    if (key == NULL)
        return NULL;
    if (EVP_PKEY_bits(key) < RSA_BITS_MIN) {
        EVP_PKEY_free(key);
        *ret_reason = "the RSA public key has less than 2048 bits";
        return NULL;
    }
    *ret_reason = "the RSA public key cannot be used";
    return key_to_jwk(key);
}

json_t *ecdsa_to_jwk(struct str pem, const char **ret_reason)
{
    EVP_PKEY *key = pem_to_key(pem, EVP_PKEY_EC);
    *ret_reason = "the ECDSA public key is not a PEM text of \"BEGIN PUBLIC KEY\"";
    if (key == NULL)
        return NULL;
    *ret_reason = "the ECDSA public key is not of curve P-256, P-384 or P-521";
    return key_to_jwk(key);
}

static bool add_part(struct buf *ret, const json_t *jws, const char *part, const char *end)
{
    struct str text = {json_string_value(json_object_get(jws, part)),
                       json_string_length(json_object_get(jws, part))};
    return text.n > 0 && buf_add(ret, text) && buf_add(ret, str_from(end));
}

bool secret_sign(struct str secret, struct str algorithm, struct str payload, struct buf *ret)
{
    size_t start = ret->len;
    json_t *key = secret_to_jwk(secret);
    json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(payload.p, payload.n));
    json_t *head =
        json_pack("{s:{s:s%,s:s}}", "protected", "alg", algorithm.p, algorithm.n, "typ", "JWT");
    bool ok = key != NULL && jws != NULL && head != NULL && jose_jws_sig(NULL, jws, head, key);
    ok = ok && add_part(ret, jws, "protected", ".") && add_part(ret, jws, "payload", ".") &&
         add_part(ret, jws, "signature", "");
    if (!ok)
        ret->len = start;
    json_decref(head);
    json_decref(jws);
    json_decref(key);
    return ok;
}

bool base64url_decode(struct str text, struct buf *ret)
{
    if (text.n == 0)
        return true;
    size_t n = jose_b64_dec_buf(NULL, text.n, NULL, 0);
    if (n == SIZE_MAX || !buf_reserve(ret, n + 1))
        return false;
    if (jose_b64_dec_buf(text.p, text.n, ret->p + ret->len, n) != n)
        return false;
    ret->len += n;
    return true;
}
