/*
 * config_test.c - what is set is what holds, and what is wrong is named with its place.
 */
#include "app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_MAX = 1024 * 1024 };

static char file_name[64];

static int make_file(void **state)
{
    (void)state;
    snprintf(file_name, sizeof(file_name), "/tmp/recado-config-XXXXXX");
    int fd = mkstemp(file_name);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_name);
}

static const char *write_file(const char *text)
{
    FILE *f = fopen(file_name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return file_name;
}

static struct config *load(const struct config_source *source, struct buf *messages)
{
    struct config *c = NULL;
    buf_init(messages, TEXT_MAX);
    bool ok = config_load(source, &c, messages);
    assert_true(ok == (c != NULL));
    (void)buf_reserve(messages, 1);
    messages->p[messages->len] = '\0'; // for strstr()
    return c;
}

static struct config *load_ok(const struct config_source *source)
{
    struct buf messages;
    struct config *c = load(source, &messages);
    if (c == NULL || messages.len > 0)
        fail_msg("unexpected: %s", messages.p);
    buf_fini(&messages);
    return c;
}

/* The file's faults contain each of the wanted lines; NULL ends them. %s is the file's name. */
static void assert_faults(const struct config_source *source, const char *const *wanted)
{
    struct buf messages;
    struct config *c = load(source, &messages);
    assert_null(c);
    for (; *wanted != NULL; wanted++) {
        char line[512];
        size_t mark = strcspn(*wanted, "%");
        bool named = (*wanted)[mark] == '%';
        snprintf(line, sizeof(line), "%.*s%s%s\n", (int)mark, *wanted, named ? file_name : "",
                 named ? *wanted + mark + 1 : "");
        if (strstr(messages.p, line) == NULL)
            fail_msg("no line\n%sin\n%s", line, messages.p);
    }
    buf_fini(&messages);
}

static void assert_str(struct str s, const char *want)
{
    if (!str_eq(s, str_from(want)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(s), want);
    assert_int_equal(s.p[s.n], '\0'); // every text is a C string as well
}

static const struct channel_options *options_of(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->policy.namespace_count; i++) {
        if (str_eq(c->policy.namespaces[i].name, str_from(name)))
            return &c->policy.namespaces[i].options;
    }
    fail_msg("no namespace \"%s\"", name);
    return NULL;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = load_ok(&(struct config_source){.strict = true});
    assert_int_equal(c->listen.count, 1);
    assert_str(c->listen.items[0].address, "127.0.0.1:8000");
    assert_int_equal(c->internal_listen.count, 0);
    assert_str(c->store, "");
    assert_int_equal(c->client.connections_max, 1000000);
    assert_int_equal(c->policy.channels_per_session_max, 128);
    assert_int_equal(c->policy.channel_name_max, 255);
    assert_int_equal(c->policy.feed_bytes_max, 8 * 1024 * 1024);
    assert_int_equal(c->shutdown_drain_ms, 10000);
    assert_int_equal(c->auth.require_token, REQUIRE_AUTO);
    assert_false(config_token_required(c));
    assert_int_equal(c->policy.namespace_count, 3); // "", "*" and "chat" are always there
    assert_true(options_of(c, "chat")->durable && options_of(c, "chat")->history_count == 1000);
    assert_int_equal(options_of(c, "")->history_count, 100);
    assert_true(options_of(c, "*")->recover);
    assert_false(options_of(c, "*")->client_publish);
    config_destroy(&c);
    assert_null(c);
    config_destroy(&c); // harmless
}

static void test_file(void **state)
{
    (void)state;
    const char *file = write_file(
        "# a comment\n"
        "listen:\n"
        "  - 127.0.0.1:9000\n"
        "  - {address: '[::1]:9001', tls: {cert: c.pem, key: k.pem}}\n"
        "store: memory\n"
        "auth: {hmac_secret: \"0123456789abcdef0123456789abcdef\", api_keys: [a, b], origins: "
        "\"https://x.y, https://z\"}\n"
        "http:\n"
        "  head_max: 32KiB\n"
        "  idle_timeout: 1m30s\n"
        "client: {connections_max: 2_000}\n"
        "websocket: {deflate: no}\n"
        "sse:\n"
        "namespaces:\n"
        "  chat: {history: 1000, ttl: 7d, durable: true, publish: true, ack: memory}\n"
        "  default: {presence: false}\n"
        "  quiet:\n"
        "endpoints:\n"
        "  - path: /ws/agents\n"
        "    dialect: agents\n"
        "    tenant_from: query.organizationId\n"
        "    auth: none\n");
    struct config *c = load_ok(&(struct config_source){.file = file, .strict = true});
    assert_int_equal(c->listen.count, 2);
    assert_str(c->listen.items[1].address, "[::1]:9001");
    assert_str(c->listen.items[1].tls.key, "k.pem");
    assert_int_equal(c->listen.items[1].line, 4);
    assert_int_equal(c->auth.api_keys.count, 2);
    assert_int_equal(c->auth.origins.count, 2);
    assert_str(c->auth.origins.items[1], "https://z");
    assert_int_equal(c->http.head_max_bytes, 32 * 1024);
    assert_int_equal(c->http.idle_timeout_ms, 90000);
    assert_int_equal(c->client.connections_max, 2000);
    assert_false(c->websocket.deflate);
    assert_int_equal(c->policy.namespace_count, 4);
    assert_int_equal(options_of(c, "chat")->history_ttl_ms, 7ull * 86400 * 1000);
    assert_true(options_of(c, "chat")->durable && options_of(c, "chat")->client_publish);
    assert_int_equal(c->namespaces[0].ack, ACK_MEMORY);
    assert_false(options_of(c, "")->presence);
    assert_true(options_of(c, "quiet")->presence);
    assert_int_equal(c->endpoints.count, 1);
    assert_str(c->endpoints.items[0].tenant_query, "organizationId");
    assert_int_equal(c->endpoints.items[0].auth, ENDPOINT_NONE);
    assert_int_equal(c->endpoints.items[0].line, 18);
    assert_str(c->file, file);
    config_destroy(&c);
}

/* File < inherited variables < variables < flags. */
static void test_order(void **state)
{
    (void)state;
    const char *file = write_file("http: {head_max: 2KiB, body_max: 2KiB}\n"
                                  "websocket: {message_max: 2KiB, heartbeat_timeout: 50s}\n"
                                  "listen: 127.0.0.1:1\n");
    char *env[] = {
        (char[]){"RECADO_HTTP_HEAD_MAX=3KiB"},
        (char[]){"WEBSOCKET_MAX_MESSAGE_SIZE=3072"},
        (char[]){"WEBSOCKET_TIMEOUT=120"},
        (char[]){"RECADO_WEBSOCKET_HEARTBEAT_TIMEOUT=121s"},
        (char[]){"CORS_ORIGINS=[\"https://a\", \"https://b\"]"},
        (char[]){"RECADO_NAMESPACES={\"chat\": {\"history\": 7}}"},
        (char[]){"UNRELATED"},
        NULL,
    };
    const struct config_flag flags[] = {
        {"listen", "127.0.0.1:2"},
        {"http.body_max", "4KiB"},
        {"listen", "127.0.0.1:3"},
        {"http.body_max", "5KiB"},
    };
    struct config_source source = {
        .file = file, .env = env, .flags = flags, .flag_count = 4, .strict = true};
    struct config *c = load_ok(&source);
    assert_int_equal(c->http.head_max_bytes, 3 * 1024);
    assert_int_equal(c->http.body_max_bytes, 5 * 1024);
    assert_int_equal(c->websocket.message_max_bytes, 3072);
    assert_int_equal(c->websocket.heartbeat_timeout_ms, 121000);
    assert_int_equal(c->auth.origins.count, 2);
    assert_int_equal(options_of(c, "chat")->history_count, 7);
    assert_int_equal(c->listen.count, 2);
    assert_str(c->listen.items[0].address, "127.0.0.1:2");
    assert_str(c->listen.items[1].address, "127.0.0.1:3");
    config_destroy(&c);
}

static void test_faults(void **state)
{
    (void)state;
    const char *file = write_file("listen: [\"127.0.0.1:99999\"]\n"                    // 1
                                  "htttp: {}\n"                                        // 2
                                  "http:\n"                                            // 3
                                  "  head_max: foo\n"                                  // 4
                                  "  hed_max: 1KiB\n"                                  // 5
                                  "  body_max: 1\n"                                    // 6
                                  "  idle_timeout: [1]\n"                              // 7
                                  "websocket: 5\n"                                     // 8
                                  "namespaces:\n"                                      // 9
                                  "  a: {presense: true, history: 0, durable: true}\n" // 10
                                  "  b: {join_leave: true, presence: maybe}\n"         // 11
                                  "endpoints:\n"                                       // 12
                                  "  - {path: x, tenant_from: q}\n"                    // 13
                                  "log: {level: loud}\n"                               // 14
                                  "loops: 1\n"                                         // 15
                                  "loops: 2\n"                                         // 16
                                  "tls: {cert: only.pem}\n"                            // 17
                                  "auth: {require_token: true, origins: [app.example]}\n");
    const char *const wanted[] = {
        "%:1: listen[0]: \"127.0.0.1:99999\": the port must be a number from 0 to 65535",
        "%:2: htttp: unknown key; did you mean http",
        "%:4: http.head_max: \"foo\" is not a size; write it as 65536, 64KiB or 1MiB",
        "%:5: http.hed_max: unknown key; did you mean head_max",
        "%:6: http.body_max: 1 is not allowed: from 1KiB to 256MiB",
        "%:7: http.idle_timeout: one value is wanted here, not a list",
        "%:8: websocket: a mapping (key: value) is wanted here",
        "%:10: namespaces.a.presense: unknown key; did you mean presence",
        "%:10: namespaces.a: durable needs a history",
        "%:11: namespaces.b.presence: \"maybe\" is neither true nor false",
        "%:13: endpoints[0].path: a path begins with /",
        "%:13: endpoints[0].dialect: a dialect is wanted",
        "%:13: endpoints[0].tenant_from: write it as fixed, claim or query.NAME",
        "%:14: log.level: \"loud\" is none of debug|info|warn|error|none",
        "%:16: \"loops\" is there twice",
        "%:17: tls.cert: cert and key belong together",
        "%:18: auth.origins: an origin is \"*\" or like https://app.example",
        NULL,
    };
    assert_faults(&(struct config_source){.file = file, .strict = true}, wanted);
}

static void test_other_faults(void **state)
{
    (void)state;
    char *env[] = {(char[]){"RECADO_LOOPS=many"}, (char[]){"RECADO_NAMESPACES=[1"},
                   (char[]){"WEBSOCKET_TIMEOUT=never"}, NULL};
    const struct config_flag flags[] = {{"http.head_max", "1"},
                                        {"no.key", "1"},
                                        {"store", NULL},
                                        {"cluster", "elsewhere"},
                                        {"bridge.redis", "rediss://:hidden@r"},
                                        {"bridge.tenant", "a\x7f"},
                                        {"socketio.backend", "127.0.0.1:9100/socketio"},
                                        {"conductor.backend", "/jobs"}};
    const char *const wanted[] = {
        "RECADO_LOOPS: \"many\" is not a whole number",
        "RECADO_NAMESPACES: not YAML: did not find expected ',' or ']'",
        "WEBSOCKET_TIMEOUT: \"never\" is not a duration; write it as 500ms, 25s, 1h30m or 7d",
        "command line: http.head_max: 1 is not allowed: from 1KiB to 1MiB",
        "command line: no.key: there is no such key",
        "command line: store: a value is missing",
        "command line: cluster: write it as local or redis://HOST:6379/0",
        "command line: bridge.redis: TLS to Redis is not supported",
        "command line: bridge.tenant: must be at most 255 bytes of printable UTF-8",
        "command line: socketio.backend: write it as http://.. or https://..",
        "command line: conductor.backend: write it as http://.. or https://..",
        NULL,
    };
    assert_faults(&(struct config_source){.env = env, .flags = flags, .flag_count = 8}, wanted);
    const char *const missing[] = {
        "/nonexistent: cannot read /nonexistent: No such file or directory", NULL};
    assert_faults(&(struct config_source){.file = "/nonexistent"}, missing);
    const char *const syntax[] = {"%:2: not YAML: did not find expected ',' or ']'", NULL};
    assert_faults(&(struct config_source){.file = write_file("listen: [\n a: b: c\n")},
                  (const char *const[]){NULL});
    assert_faults(&(struct config_source){.file = write_file("listen: [1\n")}, syntax);
    const char *const tab[] = {"%:3: not YAML: lines are indented with spaces, not with tabs",
                               NULL};
    assert_faults(&(struct config_source){.file = write_file("loops: 1\nauth:\n \torigins: x\n")},
                  tab);
    const char *const keyless[] = {"%:2: endpoints[0].auth: no token could be checked: set "
                                   "auth.hmac_secret, auth.rsa_public_key or "
                                   "auth.ecdsa_public_key",
                                   NULL};
    assert_faults(
        &(struct config_source){
            .file = write_file("endpoints:\n  - {path: /ws, dialect: agents, auth: required}\n")},
        keyless);
}

static void test_unknown_is_a_warning_at_start(void **state)
{
    (void)state;
    struct buf messages;
    char line[128];
    char *env[] = {(char[]){"RECADO_LOPS=2"}, NULL};
    const char *file = write_file("\nfuture: {x: 1}\nloops: 3\n");
    struct config *c = load(&(struct config_source){.file = file, .env = env}, &messages);
    assert_non_null(c);
    assert_int_equal(c->loops, 3);
    snprintf(line, sizeof(line), "warning: %s:2: future: unknown key", file);
    assert_non_null(strstr(messages.p, line));
    assert_non_null(strstr(messages.p, "warning: RECADO_LOPS: unknown variable"));
    config_destroy(&c);
    buf_fini(&messages);
}

/* Beyond this machine only with a token key and API keys, or with --insecure. */
static void test_refusal(void **state)
{
    (void)state;
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    const struct {
        struct config_flag flags[4];
        size_t count;
        bool ok, token_required;
    } cases[] = {
        {{{"listen", "0.0.0.0:80"}}, 1, false, false},
        {{{"listen", ":80"}}, 1, false, false},
        {{{"listen", "[::]:80"}}, 1, false, false},
        {{{"listen", "127.0.0.1:80"}, {"listen", "10.0.0.1:80"}}, 2, false, false},
        {{{"internal_listen", "10.0.0.1:80"}}, 1, false, false},
        {{{"listen", ":80"}, {"auth.hmac_secret", secret}}, 2, false, false},
        {{{"listen", ":80"}, {"auth.api_keys", "k"}}, 2, false, false},
        {{{"listen", ":80"}, {"auth.api_keys", "k"}, {"auth.hmac_secret", secret}}, 3, true, true},
        {{{"listen", ":80"}, {"auth.insecure", "true"}}, 2, true, false},
        {{{"listen", "unix:/run/recado.sock"}}, 1, true, false},
        {{{"listen", "[::1]:80"}}, 1, true, false},
        {{{"auth.hmac_secret", secret}}, 1, true, false},
        {{{"auth.hmac_secret", secret}, {"auth.require_token", "true"}}, 2, true, true},
        {{{"auth.require_token", "true"}}, 1, false, false},
        {{{"listen", ":80"},
          {"auth.api_keys", "k"},
          {"auth.hmac_secret", secret},
          {"auth.require_token", "false"}},
         4,
         true,
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf messages;
        struct config_source source = {.flags = cases[i].flags, .flag_count = cases[i].count};
        struct config *c = load(&source, &messages);
        if ((c != NULL) != cases[i].ok)
            fail_msg("case %zu: %s", i, messages.p);
        if (c != NULL)
            assert_true(config_token_required(c) == cases[i].token_required);
        config_destroy(&c);
        buf_fini(&messages);
    }
}

static void test_secret_files(void **state)
{
    (void)state;
    char from_file[128];
    const char *file = write_file("the-secret-of-the-file-is-quite-long\n");
    snprintf(from_file, sizeof(from_file), "file:%s", file);
    const struct config_flag flags[] = {{"auth.hmac_secret", from_file},
                                        {"auth.api_keys", from_file},
                                        {"auth.rsa_public_key", file}};
    struct config *c = load_ok(&(struct config_source){.flags = flags, .flag_count = 3});
    assert_str(c->auth.hmac_secret, "the-secret-of-the-file-is-quite-long");
    assert_str(c->auth.api_keys.items[0], "the-secret-of-the-file-is-quite-long");
    assert_str(c->auth.rsa_public_key, "the-secret-of-the-file-is-quite-long");
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_true(config_write_effective(c, &out));
    assert_int_equal(str_find(buf_str(&out), STR("quite-long")), out.len);
    buf_fini(&out);
    config_destroy(&c);
}

static void test_flags_taken(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"--listen"},
                    (char[]){"a"},
                    (char[]){"--http.head-max=1KiB"},
                    (char[]){"--insecure"},
                    (char[]){"--data"},
                    (char[]){"dir"},
                    (char[]){"--websocket.deflate=off"},
                    (char[]){"--store"},
                    NULL};
    const struct config_flag wanted[] = {
        {"listen", "a"},     {"http.head_max", "1KiB"},    {"auth.insecure", "true"},
        {"data_dir", "dir"}, {"websocket.deflate", "off"}, {"store", NULL}};
    struct config_flag f;
    int i = 0, n = 0;
    while (i < 8 && config_flag_take(8, argv, &i, &f)) {
        assert_string_equal(f.key, wanted[n].key);
        if (wanted[n].value == NULL)
            assert_null(f.value);
        else
            assert_string_equal(f.value, wanted[n].value);
        n++;
    }
    assert_int_equal(n, 6);
    char *other[] = {(char[]){"--server"}, (char[]){"listen"}, (char[]){"--"}, NULL};
    for (i = 0; i < 3; i++) {
        int at = i;
        assert_false(config_flag_take(3, other, &at, &f));
        assert_int_equal(at, i);
    }
}

static void test_flags_that_are_none(void **state)
{
    static const struct {
        const char *arg, *why;
    } rows[] = {
        {"--llm.urll", "there is no --llm.urll; did you mean --llm.url?"},
        {"--llm.urll=x", "there is no --llm.urll; did you mean --llm.url?"},
        {"--http.hed-max", "there is no --http.hed-max; did you mean --http.head_max?"},
        {"--api_keys", "there is no --api_keys; did you mean --auth.api_keys?"},
        {"--dta", "there is no --dta; did you mean --data?"},
        {"--confg", "there is no --confg; did you mean --config?"},
        {"--no.such", "there is no --no.such; see recado config doc"},
        {"--", NULL},
        {"file.yaml", NULL},
        {"-x", NULL},
    };
    char at[256], long_arg[300] = "--";
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf why = buf_on(at, sizeof(at));
        assert_int_equal(config_flag_explain(rows[i].arg, &why), rows[i].why != NULL);
        assert_true(str_eq(buf_str(&why), str_from(rows[i].why)));
    }
    memset(long_arg + 2, 'x', sizeof(long_arg) - 3);
    struct buf why = buf_on(at, sizeof(at));
    assert_true(config_flag_explain(long_arg, &why));
    assert_true(str_find(buf_str(&why), STR("see recado config doc")) < why.len);
}

static struct str effective(const struct config_source *source, struct buf *out)
{
    struct config *c = load_ok(source);
    buf_init(out, TEXT_MAX);
    assert_true(config_write_effective(c, out));
    config_destroy(&c);
    return buf_str(out);
}

/* "  #head_max: 16KiB" is a key to be used, "# Longest .." a sentence. */
static void uncomment(struct buf *text)
{
    for (size_t i = 0; i + 1 < text->len; i++) {
        char next = text->p[i + 1];
        if (text->p[i] == '#' && ((next >= 'a' && next <= 'z') || next == '"'))
            text->p[i] = ' ';
    }
}

static void drop_origins(struct buf *text)
{
    const struct str mark = STR("  # file");
    size_t at;
    while ((at = str_find(buf_str(text), mark)) < text->len) {
        memmove(text->p + at, text->p + at + mark.n, text->len - at - mark.n);
        text->len -= mark.n;
    }
}

/* The file that we give people sets every key, each to its default. */
static void test_default_file(void **state)
{
    (void)state;
    struct buf text, plain, from_file;
    buf_init(&text, TEXT_MAX);
    assert_true(config_write_default(&text));
    effective(&(struct config_source){0}, &plain);
    assert_true(buf_add_char(&text, '\0'));
    struct config *untouched =
        load_ok(&(struct config_source){.file = write_file(text.p), .strict = true});
    config_destroy(&untouched);
    uncomment(&text);
    effective(&(struct config_source){.file = write_file(text.p), .strict = true}, &from_file);
    drop_origins(&from_file);
    assert_int_equal(from_file.len > 0, 1);
    /* Namespaces may come in another order; everything before them is the same text. */
    size_t n = str_find(buf_str(&plain), STR("namespaces:\n"));
    assert_true(n < plain.len && n < from_file.len);
    assert_memory_equal(plain.p, from_file.p, n);
    buf_fini(&from_file);
    buf_fini(&plain);
    buf_fini(&text);
}

/* What print shows can be loaded again, and shows the same. */
static void test_effective_is_a_file(void **state)
{
    (void)state;
    const struct config_flag flags[] = {{"http.head_max", "3000"}, {"hub.epoch_idle", "90s"}};
    struct buf first, second;
    char *env[] = {(char[]){"RECADO_ENDPOINTS=[{path: /echo, dialect: echo, tenant: t}]"}, NULL};
    effective(&(struct config_source){.env = env, .flags = flags, .flag_count = 2}, &first);
    assert_true(str_find(buf_str(&first), STR("head_max: 3000  # command line\n")) < first.len);
    assert_true(str_find(buf_str(&first), STR("epoch_idle: 90s  # command line\n")) < first.len);
    assert_true(str_find(buf_str(&first), STR("  - path: \"/echo\"\n")) < first.len);
    assert_true(buf_add_char(&first, '\0'));
    effective(&(struct config_source){.file = write_file(first.p), .strict = true}, &second);
    assert_true(str_find(buf_str(&second), STR("head_max: 3000  # file\n")) < second.len);
    assert_true(str_find(buf_str(&second), STR("  - path: \"/echo\"\n")) < second.len);
    buf_fini(&first);
    buf_fini(&second);
}

static void test_password_is_hidden(void **state)
{
    (void)state;
    const struct config_flag flags[] = {{"store", "mysql://me:hidden@db/recado"},
                                        {"cluster", "redis://:hidden@r:1/0"}};
    struct buf out;
    effective(&(struct config_source){.flags = flags, .flag_count = 2}, &out);
    assert_true(str_find(buf_str(&out), STR("\"mysql://me:***@db/recado\"")) < out.len);
    assert_int_equal(str_find(buf_str(&out), STR("hidden")), out.len);
    buf_fini(&out);
}

static void test_reference_names_every_key(void **state)
{
    (void)state;
    static const struct str names[] = {
#define KEY(scope, section, name, type, field, value, doc) {name, sizeof(name) - 1},
#include "app/config.def"
#undef KEY
    };
    bool (*const writers[])(struct buf *) = {config_write_reference, config_write_default,
                                             config_write_flags_help};
    for (size_t w = 0; w < 3; w++) {
        struct buf out;
        buf_init(&out, TEXT_MAX);
        assert_true(writers[w](&out));
        for (size_t i = 0; w == 0 && i < sizeof(names) / sizeof(names[0]); i++)
            assert_true(str_find(buf_str(&out), names[i]) < out.len);
        buf_fini(&out);
        buf_init(&out, 100); // no room is an answer, too
        assert_false(writers[w](&out));
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_other_faults),
        cmocka_unit_test(test_unknown_is_a_warning_at_start),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_flags_taken),
        cmocka_unit_test(test_flags_that_are_none),
        cmocka_unit_test(test_default_file),
        cmocka_unit_test(test_effective_is_a_file),
        cmocka_unit_test(test_password_is_hidden),
        cmocka_unit_test(test_reference_names_every_key),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
