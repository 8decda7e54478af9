/*
 * bridge_test.c - messages of a broker, and the verbs that come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/bridge.h"

#include "base/log.h"

#include <cmocka.h>

#define SID   "6f1c2b3a-0000-4000-8000-00000000000a"
#define SID_2 "6f1c2b3a-0000-4000-8000-00000000000b"

static struct buf did;

static void add_part(const char *name, struct str value)
{
    if (value.n > 0)
        assert_true(buf_add_format(&did, " %s=%.*s", name, STR_FMT(value)));
}

static void publish(void *ctx, const struct publish_params *p)
{
    (void)ctx;
    assert_true(buf_add_format(&did, "%.*s %.*s %.*s", STR_FMT(p->tenant), STR_FMT(p->channel),
                               STR_FMT(p->type)));
    add_part("data", p->data);
    add_part("tags", p->tags);
    add_part("spares", p->exclude_channels);
    assert_true(buf_add_char(&did, '\n'));
}

static void control(void *ctx, const struct control_params *p)
{
    static const char *const verbs[] = {"disconnect", "subscribe", "unsubscribe", "refresh"};
    (void)ctx;
    assert_string_equal(p->dialect, "socketio");
    assert_true(p->everybody == (p->client.n == 0));
    assert_true(buf_add_format(&did, "%s %.*s", verbs[p->verb], STR_FMT(p->tenant)));
    add_part("client", p->client);
    add_part("channel", p->channel);
    assert_true(buf_add_char(&did, '\n'));
}

/* The room "both" is in two tenants, "one" and the sockets in one; nobody is in "empty". */
static void tenants(void *ctx, enum bridge_where where, struct str nsp, struct str name,
                    socketio_visitor *visit, void *visit_ctx)
{
    (void)ctx;
    bool sid = str_eq(name, STR(SID)) || str_eq(name, STR(SID_2));
    if (str_eq(nsp, STR("/none")) || (where == BRIDGE_SOCKET && !sid) ||
        (where == BRIDGE_ROOM && (sid || str_eq(name, STR("empty")))))
        return;
    visit(visit_ctx, STR("org"));
    visit(visit_ctx, STR("org"));
    if (str_eq(name, STR("both")))
        visit(visit_ctx, STR("acme"));
}

static const struct bridge_ops ops = {.publish = publish, .control = control, .tenants = tenants};

static struct bridge bridge_make(const char *tenant)
{
    log_setup(LOG_NONE, false);
    buf_init(&did, 1 << 20);
    return (struct bridge){.ops = &ops,
                           .socketio = STR("socketio"),
                           .gamification = STR("gamification"),
                           .tenant = str_from(tenant),
                           .tenant_default = STR("default")};
}

/* From a block of its own, so that reading over its end is seen. */
static void take(struct bridge *b, const char *channel, struct str payload)
{
    char *copy = malloc(payload.n + 1);
    memcpy(copy, payload.p, payload.n);
    char *exact = realloc(copy, payload.n > 0 ? payload.n : 1);
    bridge_take(b, str_from(channel), (struct str){exact, payload.n}, 1000);
    free(exact);
}

static void assert_did(const char *message, const char *want)
{
    assert_true(buf_add_char(&did, '\0'));
    if (strcmp(did.p, want) != 0)
        fail_msg("%s\ndid\n%sand should\n%s", message, did.p, want);
    buf_clear(&did);
}

struct row {
    const char *message, *did;
};

static const struct row emits[] = {
    // As the manager writes it.
    {"{\"method\":\"emit\",\"event\":\"message:new\",\"data\":[{\"id\": 1}],\"binary\":false,"
     "\"namespace\":\"/\",\"room\":\"one\",\"skip_sid\":null,\"callback\":null,\"host_id\":\"x\"}",
     "org one message:new data={\"id\": 1}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[\"x\"],\"room\":null}",
     "org socketio:/ a data=\"x\"\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"namespace\":\"/chat\"}",
     "org socketio:/chat a data=1\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"namespace\":\"/chat\",\"room\":\"one\"}",
     "org /chat:one a data=1\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":\"empty\"}", ""},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"namespace\":\"/none\"}", ""},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":7}", "org 7 a data=1\n"},
    {"{\"method\":\"\\u0065mit\",\"event\":\"\\u00e9\",\"data\":[1],\"room\":\"\\u006fne\"}",
     "org one é data=1\n"},
    // Arguments: one, several, none.
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1,[2]],\"room\":\"one\"}",
     "org one a data=[1,[2]] tags={\"socketio\":\"args\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[[1,2]],\"room\":\"one\"}",
     "org one a data=[1,2]\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":{\"x\":1},\"room\":\"one\"}",
     "org one a data={\"x\":1}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[],\"room\":\"one\"}",
     "org one a data=[] tags={\"socketio\":\"args\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[null],\"room\":\"one\"}",
     "org one a data=[] tags={\"socketio\":\"args\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[null,null],\"room\":\"one\"}",
     "org one a data=[null,null] tags={\"socketio\":\"args\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"room\":\"one\"}",
     "org one a data=[] tags={\"socketio\":\"args\"}\n"},
    // Several rooms: who is in two of them gets it once. A socket's id is a room.
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":[\"one\",\"two\",\"" SID "\"]}",
     "org one a data=1\norg two a data=1 spares=one\n"
     "org socketio:" SID " a data=1 spares=one two\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":[]}", ""},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":\"" SID "\"}",
     "org socketio:" SID " a data=1\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],"
     "\"room\":\"7f1c2b3a-0000-4000-8000-00000000000a\"}",
     "org 7f1c2b3a-0000-4000-8000-00000000000a a data=1\n"},
    // Who is skipped.
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],\"room\":\"one\",\"skip_sid\":\"" SID "\"}",
     "org one a data=1 spares=socketio:" SID "\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"data\":[1],"
     "\"skip_sid\":[\"" SID "\",\"Xy12_of-another\",\"" SID_2 "\"]}",
     "org socketio:/ a data=1 spares=socketio:" SID " socketio:" SID_2 "\n"},
    // Binary: the arguments with placeholders, then the attachments.
    {"{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"room\":\"one\","
     "\"data\":[[{\"_placeholder\":true,\"num\":0}],\"AAEC\"]}",
     "org one a data={\"_placeholder\":true,\"num\":0} tags={\"attachments\":\"AAEC\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"room\":\"one\",\"data\":"
     "[[1,{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}],\"AA==\",\"\\/"
     "w==\"]}",
     "org one a data=[1,{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}] "
     "tags={\"socketio\":\"args\",\"attachments\":\"AA==,/w==\"}\n"},
    {"{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"room\":\"one\","
     "\"data\":[[{\"_placeholder\":true,\"num\":0}],\"\"]}",
     "org one a data={\"_placeholder\":true,\"num\":0} tags={\"attachments\":\",\"}\n"},
};

static const struct row controls[] = {
    {"{\"method\":\"enter_room\",\"sid\":\"" SID "\",\"room\":\"r\",\"namespace\":\"/\"}",
     "subscribe org client=" SID " channel=r\n"},
    {"{\"method\":\"leave_room\",\"sid\":\"" SID "\",\"room\":\"r\",\"namespace\":\"/x\"}",
     "unsubscribe org client=" SID " channel=/x:r\n"},
    {"{\"method\":\"disconnect\",\"sid\":\"" SID "\",\"namespace\":\"/\"}",
     "disconnect org client=" SID "\n"},
    {"{\"method\":\"disconnect\",\"sid\":\"Xy12_of-another\",\"namespace\":\"/\"}", ""},
    {"{\"method\":\"close_room\",\"room\":\"both\",\"namespace\":\"/\"}",
     NULL}, // two tenants, in any order
    {"{\"method\":\"callback\",\"sid\":\"x\",\"id\":1,\"args\":[]}", ""},
};

static void understands_the_manager(void **state)
{
    (void)state;
    struct bridge b = bridge_make("*");
    for (size_t i = 0; i < sizeof(emits) / sizeof(emits[0]); i++) {
        take(&b, "socketio", str_from(emits[i].message));
        assert_did(emits[i].message, emits[i].did);
    }
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
        take(&b, "socketio", str_from(controls[i].message));
        if (controls[i].did != NULL) {
            assert_did(controls[i].message, controls[i].did);
            continue;
        }
        assert_true(str_find(buf_str(&did), STR("unsubscribe org channel=both\n")) < did.len);
        assert_true(str_find(buf_str(&did), STR("unsubscribe acme channel=both\n")) < did.len);
        buf_clear(&did);
    }
    for (size_t i = 0; i < BRIDGE_COMPLAINTS; i++)
        assert_int_equal(b.complaints[i].logged_ms, 0);
    take(&b, "another", str_from(emits[0].message));
    assert_did("another channel", "");
    b.socketio = STR_NONE;
    take(&b, "", str_from(emits[0].message));
    assert_did("no channel", "");
    buf_fini(&did);
}

static void goes_to_the_tenant_that_is_said(void **state)
{
    (void)state;
    struct bridge b = bridge_make("acme");
    take(&b, "socketio", str_from(emits[0].message));
    take(&b, "socketio", str_from(controls[0].message));
    assert_did("a room and a socket", "acme one message:new data={\"id\": 1}\n"
                                      "subscribe acme client=" SID " channel=r\n");
    take(&b, "gamification", STR("{\"type\":\"system_alert\"}"));
    assert_did("an event", "acme gamification system_alert data={}\n");
    buf_fini(&did);
}

static void understands_plain_events(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"type\":\"councilor_started\",\"data\":{\"councilor_id\":\"c\"},"
         "\"timestamp\":1761447539.123456}",
         "default gamification councilor_started data={\"councilor_id\":\"c\"}\n"},
        {" {\"data\":[1],\"type\":\"x\\\"y\"} ", "default gamification x\"y data=[1]\n"},
        {"{\"type\":\"a\",\"data\":null}", "default gamification a data={}\n"},
        {"{\"type\":\"a\",\"data\":0}", "default gamification a data=0\n"},
        {"{\"type\":\"\",\"data\":{}}", ""},
        {"{\"type\":1,\"data\":{}}", ""},
        {"{\"data\":{}}", ""},
        {"[]", ""},
        {"", ""},
    };
    struct bridge b = bridge_make("*");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        take(&b, "gamification", str_from(rows[i].message));
        assert_did(rows[i].message, rows[i].did);
    }
    assert_int_equal(b.complaints[BRIDGE_FORM].count, 2); // since the first, which was logged
    buf_fini(&did);
}

static void drops_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        struct str message;
        enum bridge_complaint kind;
    } rows[] = {
        {STR("\x80\x04\x95\x10\0\0\0}\x94."), BRIDGE_PICKLE},
        {STR("\x80\x02}q\0."), BRIDGE_PICKLE},
        {STR("\x80"), BRIDGE_NO_JSON},
        {STR("\x80\x09x"), BRIDGE_NO_JSON},
        {STR(""), BRIDGE_NO_JSON},
        {STR("null"), BRIDGE_NO_JSON},
        {STR("[]"), BRIDGE_NO_JSON},
        {STR("{\"method\":\"emit\""), BRIDGE_NO_JSON},
        {STR("{\"method\":\"emit\",\"event\":\"a\xff\"}"), BRIDGE_NO_JSON},
        {STR("{}"), BRIDGE_FORM},
        {STR("{\"method\":7}"), BRIDGE_FORM},
        {STR("{\"method\":\"explode\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"\",\"data\":[1]}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"connect\",\"data\":[1]}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":[\"a\"],\"data\":[1]}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"namespace\":\"x\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"namespace\":7}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"room\":{}}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"room\":\"\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"room\":\"a b\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"room\":[[\"a\"]]}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"skip_sid\":{}}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"data\":{}}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"data\":[]}"), BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"data\":[[1],7]}"),
         BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,\"data\":[[1],\"A,B=\"]}"),
         BRIDGE_FORM},
        {STR("{\"method\":\"emit\",\"event\":\"a\",\"binary\":true,"
             "\"data\":[[{\"_placeholder\":true,\"num\":1}],\"AAAA\"]}"),
         BRIDGE_FORM},
        {STR("{\"method\":\"enter_room\",\"sid\":\"" SID "\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"enter_room\",\"room\":\"r\"}"), BRIDGE_FORM},
        {STR("{\"method\":\"close_room\",\"room\":[\"a\"]}"), BRIDGE_FORM},
        {STR("{\"method\":\"disconnect\",\"sid\":null}"), BRIDGE_FORM},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bridge b = bridge_make("*");
        take(&b, "socketio", rows[i].message);
        assert_did(rows[i].message.p, "");
        for (size_t kind = 0; kind < BRIDGE_COMPLAINTS; kind++) {
            if ((b.complaints[kind].logged_ms != 0) != (kind == rows[i].kind))
                fail_msg("row %zu: complaint %zu", i, kind);
        }
        buf_fini(&did);
    }
}

static void complains_once_a_minute(void **state)
{
    (void)state;
    struct bridge b = bridge_make("*");
    bridge_complain(&b, BRIDGE_REFUSED, "why", 0);
    for (int i = 0; i < 5; i++)
        bridge_complain(&b, BRIDGE_REFUSED, "why", 60000);
    assert_int_equal(b.complaints[BRIDGE_REFUSED].count, 5);
    bridge_complain(&b, BRIDGE_REFUSED, "why", 60001);
    assert_int_equal(b.complaints[BRIDGE_REFUSED].count, 0);
    buf_fini(&did);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_the_manager),
        cmocka_unit_test(goes_to_the_tenant_that_is_said),
        cmocka_unit_test(understands_plain_events),
        cmocka_unit_test(drops_what_is_wrong),
        cmocka_unit_test(complains_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
