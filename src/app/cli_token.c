/*
 * cli_token.c - recado token: makes a token, or says what is in one and whether it holds.
 *
 * Always true: the secret is the one that the server of the same file and environment would use,
 * and is never printed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/cli.h"
#include "app/config.h"
#include "auth/token.h"
#include "base/clock.h"

extern char **environ;

enum { TEXT_MAX_BYTES = 256 * 1024 };

static const char help[] =
    "usage: recado token --sub USER [--org ORG] [--role R] [--channel C]... [--expires 1h]\n"
    "       recado token --subscription --sub USER --channel C [--expires 1h]\n"
    "       recado token check [TOKEN|-]\n"
    "\n"
    "  --sub USER       who connects (\"\" or left out: nobody in particular)\n"
    "  --org ORG        the tenant\n"
    "  --role R         a claim for your own use: Recado gives it no meaning\n"
    "  --channel C      a channel that the client follows from the start; may be repeated\n"
    "  --subscription   a token for one channel that clients may not follow without\n"
    "  --info JSON      what others see of the client in presence\n"
    "  --expires TIME   how long it is good: 30s, 15m, 1h (the default), 7d; 0 is for ever\n"
    "  --alg NAME       HS256 (the default), HS384 or HS512\n"
    "  --secret S       the secret; else that of the configuration:\n"
    "  -c, --config F   the server's file; the environment counts as well\n"
    "                   (RECADO_AUTH_HMAC_SECRET, JWT_SECRET_KEY)\n"
    "\n"
    "check exits with 1 when a token is invalid or has expired.\n"
    "\n"
    "examples:\n"
    "  recado token --sub ana --secret change-me-change-me-change-me-42\n"
    "  JWT_SECRET_KEY=... recado token --sub ana --org acme --channel project:PROJ-001\n"
    "  recado token --sub ana -c recado.yaml | recado token check - -c recado.yaml\n";

struct options {
    const char *sub, *org, *role, *info, *expires, *alg, *secret, *file;
    struct cli_list channels;
    bool subscription;
};

/* ---- the secret, and all else that the configuration says of tokens ---- */

static bool load(const struct cli_spec *spec, const struct options *o, struct config **ret)
{
    struct config_flag flags[] = {
        {"auth.insecure", "true"}, // no server is started here
        {"auth.hmac_secret", o->secret},
    };
    struct config_source source = {
        .file = o->file ? o->file : config_file_default(environ),
        .env = environ,
        .flags = flags,
        .flag_count = o->secret ? 2 : 1,
    };
    struct buf messages;
    buf_init(&messages, TEXT_MAX_BYTES);
    bool ok = config_load(&source, ret, &messages);
    if (!ok)
        cli_refuse(spec, "the configuration is wrong:\n%.*s", STR_FMT(buf_str(&messages)));
    buf_fini(&messages);
    return ok;
}

/* ---- making one ---- */

static int token_print(const struct cli_spec *spec, struct str secret, const struct token_spec *t)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool ok = token_sign(secret, t, &text);
    if (ok)
        printf("%.*s\n", STR_FMT(buf_str(&text)));
    buf_fini(&text);
    return ok ? CLI_DONE
              : cli_refuse(spec, "--info must be JSON and --alg one of HS256, HS384, HS512");
}

static int make_with(const struct cli_spec *spec, const struct options *o, const struct config *c)
{
    struct str channels[CLI_LIST_MAX];
    uint64_t expires_ms = 0;
    if (!str_to_duration_ms(str_from(o->expires), &expires_ms))
        return cli_refuse(spec, "--expires %s is not a duration: write it as 30s, 15m, 1h, 7d",
                          o->expires);
    if (o->subscription && o->channels.count != 1)
        return cli_refuse(spec, "--subscription wants exactly one --channel");
    if (c->auth.hmac_secret.n == 0)
        return cli_refuse(spec, "there is no secret: give --secret, -c FILE, or set "
                                "RECADO_AUTH_HMAC_SECRET or JWT_SECRET_KEY");
    for (unsigned i = 0; i < o->channels.count; i++)
        channels[i] = str_from(o->channels.items[i]);
    int64_t now_s = clock_wall_ms() / 1000;
    struct token_spec t = {
        .algorithm = str_from(o->alg),
        .sub = str_from(o->sub),
        .tenant_claim = c->auth.tenant_claim,
        .tenant = str_from(o->org),
        .role = str_from(o->role),
        .audience = c->auth.audience,
        .issuer = c->auth.issuer,
        .info = str_from(o->info),
        .channels = channels,
        .channel_count = o->subscription ? 0 : o->channels.count,
        .channel = o->subscription ? channels[0] : STR_NONE,
        .issued_at_s = now_s,
        .expires_at_s = expires_ms ? now_s + (int64_t)(expires_ms / 1000) : 0,
    };
    return token_print(spec, c->auth.hmac_secret, &t);
}

static int make(int argc, char **argv)
{
    struct options o = {.expires = "1h", .alg = "HS256"};
    const struct cli_option options[] = {
        {"sub", 0, CLI_TEXT, &o.sub},
        {"org", 0, CLI_TEXT, &o.org},
        {"role", 0, CLI_TEXT, &o.role},
        {"channel", 0, CLI_LIST, &o.channels},
        {"subscription", 0, CLI_FLAG, &o.subscription},
        {"info", 0, CLI_TEXT, &o.info},
        {"expires", 0, CLI_TEXT, &o.expires},
        {"alg", 0, CLI_TEXT, &o.alg},
        {"secret", 0, CLI_TEXT, &o.secret},
        {"config", 'c', CLI_TEXT, &o.file},
        {0},
    };
    const struct cli_spec spec = {.command = "token", .help = help, .options = options};
    struct cli_list rest = {0};
    enum cli_parsed p = cli_parse(&spec, argc, argv, &rest);
    if (p != CLI_GO)
        return cli_parsed_exit(p);
    if (rest.count > 0)
        return cli_refuse(&spec, "\"%s\" has no place here", rest.items[0]);
    struct config *c = NULL;
    if (!load(&spec, &o, &c))
        return CLI_WRONG;
    int code = make_with(&spec, &o, c);
    config_destroy(&c);
    return code;
}

/* ---- looking at one ---- */

/* Subscription tokens carry a channel, and only they. */
static enum err verify(const struct auth *a, struct str jwt, const char **ret_reason)
{
    struct claims claims;
    struct sub_claims sub;
    int64_t now_s = clock_wall_ms() / 1000;
    enum err e = auth_verify_connection(a, jwt, now_s, &claims);
    *ret_reason = claims.reason;
    claims_fini(&claims);
    if (e != ERR_UNAUTHORIZED)
        return e;
    enum err as_sub = auth_verify_subscription(a, jwt, now_s, &sub);
    if (as_sub != ERR_UNAUTHORIZED) {
        e = as_sub;
        *ret_reason = sub.reason;
    }
    sub_claims_fini(&sub);
    return e;
}

static void print_parts(struct str jwt)
{
    struct buf header, payload;
    buf_init(&header, TEXT_MAX_BYTES);
    buf_init(&payload, TEXT_MAX_BYTES);
    if (token_decode(jwt, &header, &payload)) {
        cli_print_safe(buf_str(&header));
        putchar('\n');
        cli_print_safe(buf_str(&payload));
        putchar('\n');
    }
    buf_fini(&header);
    buf_fini(&payload);
}

static struct auth *auth_of(const struct config *c, struct buf *why)
{
    struct auth_options o = {
        .hmac_secret = c->auth.hmac_secret,
        .rsa_public_key = c->auth.rsa_public_key,
        .ecdsa_public_key = c->auth.ecdsa_public_key,
        .audience = c->auth.audience,
        .issuer = c->auth.issuer,
        .tenant_claim = c->auth.tenant_claim,
        .leeway_s = (uint32_t)(c->auth.leeway_ms / 1000),
        .token_max_bytes = c->auth.token_max_bytes,
    };
    return auth_create(&o, why);
}

static int check_with(const struct cli_spec *spec, const struct config *c, struct str jwt)
{
    const char *reason;
    struct buf why;
    buf_init(&why, TEXT_MAX_BYTES);
    struct auth *a = auth_of(c, &why);
    if (a == NULL)
        cli_refuse(spec, "the keys cannot be used: %.*s", STR_FMT(buf_str(&why)));
    buf_fini(&why);
    if (a == NULL)
        return CLI_WRONG;
    print_parts(jwt);
    if (!auth_has_token_key(a)) {
        auth_destroy(&a);
        return cli_fail(spec, "not verified: no key is configured (--secret, -c FILE)");
    }
    enum err e = verify(a, jwt, &reason);
    auth_destroy(&a);
    if (e == ERR_OK)
        printf("valid\n");
    else
        printf("%s: %s\n", e == ERR_TOKEN_EXPIRED ? "expired" : "invalid", reason);
    return e == ERR_OK ? CLI_DONE : CLI_FAILED;
}

/* One line of standard input. */
static struct str token_read(char *line, size_t size)
{
    if (fgets(line, (int)size, stdin) == NULL)
        return STR_NONE;
    return (struct str){line, strcspn(line, "\r\n")};
}

static int check(int argc, char **argv)
{
    static const size_t line_max_bytes = 64 * 1024;
    struct options o = {0};
    const struct cli_option options[] = {
        {"secret", 0, CLI_TEXT, &o.secret},
        {"config", 'c', CLI_TEXT, &o.file},
        {0},
    };
    const struct cli_spec spec = {.command = "token check", .help = help, .options = options};
    struct cli_list rest = {0};
    enum cli_parsed p = cli_parse(&spec, argc, argv, &rest);
    if (p != CLI_GO)
        return cli_parsed_exit(p);
    if (rest.count > 1)
        return cli_refuse(&spec, "one token at a time");
    struct config *c = NULL;
    if (!load(&spec, &o, &c))
        return CLI_WRONG;
    char *line = malloc(line_max_bytes);
    bool piped = rest.count == 0 || str_eq(str_from(rest.items[0]), STR("-"));
    int code = CLI_FAILED;
    if (line != NULL)
        code = check_with(&spec, c,
                          piped ? token_read(line, line_max_bytes) : str_from(rest.items[0]));
    free(line);
    config_destroy(&c);
    return code;
}

int cli_token(int argc, char **argv)
{
    if (argc > 1 && str_eq(str_from(argv[1]), STR("check")))
        return check(argc - 1, argv + 1);
    return make(argc, argv);
}
