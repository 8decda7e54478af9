/*
 * config_promises.c - what a configuration asks for and this version does not do, or what it leaves
 * open: said loudly, because somebody may rely on it.
 */
#include "app/config.h"

void config_promises(const struct config *c, struct buf *out)
{
    bool has_key =
        c->auth.hmac_secret.n > 0 || c->auth.rsa_public_key.n > 0 || c->auth.ecdsa_public_key.n > 0;
    if (c->cluster.n > 0 && !str_eq(c->cluster, STR("local")))
        buf_add(out, STR("cluster: this version is one node; other nodes are not told anything\n"));
    if (has_key && c->auth.require_token == REQUIRE_AUTO && !config_token_required(c))
        buf_add(out, STR("auth.require_token: auto lets clients without a token in, because only "
                         "this machine reaches the server; behind a proxy set it to true\n"));
}
