/* socketio_write.c and socketio_rooms.c: publications as frames, and who is in which room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/socketio_priv.h"

#include <cmocka.h>

struct place {
    struct endpoint endpoint;
    struct sio_shared shared;
};

static void place_open(struct place *p)
{
    static const struct dialect dialect = {.name = "socketio", .handle = sio_handle};
    *p = (struct place){0};
    p->endpoint = (struct endpoint){.dialect = &dialect, .shared = &p->shared};
    p->shared.endpoint = &p->endpoint;
    assert_int_equal(pthread_mutex_init(&p->shared.lock, NULL), 0);
    sio_rooms_init(&p->shared);
}

static void place_close(struct place *p)
{
    sio_rooms_fini(&p->shared);
    for (struct sio_space *space = p->shared.spaces, *next; space != NULL; space = next) {
        next = space->next;
        free(space);
    }
    pthread_mutex_destroy(&p->shared.lock);
}

/* ---- publications ---- */

struct row {
    const char *nsp, *type, *data, *tags;
    const char *want; // NULL: dropped; the frames' payloads, with ' ' between
};

static void check_row(struct place *p, const struct row *row)
{
    struct sio_space *space = sio_space_add(&p->shared, str_from(row->nsp), true);
    const struct encoding *e = sio_encoding(space, &ws_framing_text);
    struct publication *pub = publication_make(&(struct publication_parts){
        .type = str_from(row->type), .data = str_from(row->data), .tags = str_from(row->tags)});
    struct buf out;
    buf_init(&out, 65536);
    assert_true(buf_add(&out, STR("before")));
    bool ok = e->encode(e, STR("c"), pub, &out);
    if (ok != (row->want != NULL))
        fail_msg("%s %s %s", row->type, row->data, row->tags);
    struct str wire = str_skip(buf_str(&out), 6);
    struct str want = str_from(row->want);
    while (wire.n > 0) {
        size_t n = (unsigned char)wire.p[1]; // short frames only
        struct str payload = {wire.p + 2, n};
        struct str one = str_cut(&want, ' ');
        assert_true((unsigned char)wire.p[0] == (one.p[0] == '4' ? 0x81 : 0x82));
        if (!str_eq(payload, one))
            fail_msg("%.*s, not %.*s", STR_FMT(payload), STR_FMT(one));
        wire = str_skip(wire, 2 + n);
    }
    assert_int_equal(want.n, 0);
    buf_fini(&out);
    publication_unref(pub);
}

static void test_publications(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"/", "a", "{\"n\":1}", "", "42[\"a\",{\"n\":1}]"},
        {"/", "", "5", "", "42[\"message\",5]"},
        {"/", "a", "", "", "42[\"a\"]"},
        {"/", "a\"b", "1", "", "42[\"a\\\"b\",1]"},
        {"/x", "a", "[1,2]", "{\"k\":\"v\"}", "42/x,[\"a\",[1,2]]"},
        {"/", "a", "[1,2]", "{\"socketio\":\"args\"}", "42[\"a\",1,2]"},
        {"/", "a", "\t[\n]\n", "{\"socketio\":\"args\"}", "42[\"a\"]"},
        {"/", "a", "{\"x\":1}", "{\"socketio\":\"args\"}", "42[\"a\",{\"x\":1}]"},
        {"/", "a", "[1]", "{\"socketio\":\"other\"}", "42[\"a\",[1]]"},
        {"/", "a", "{\"_placeholder\":true,\"num\":0}", "{\"attachments\":\"eHl6\"}",
         "451-[\"a\",{\"_placeholder\":true,\"num\":0}] xyz"},
        {"/x", "a", "[{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]",
         "{\"socketio\":\"args\",\"attachments\":\"eA==,eHk=\"}",
         "452-/x,[\"a\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}] x xy"},
        {"/", "a", "1", "{\"attachments\":\"fn5+Pz8\\/\"}", "451-[\"a\",1] ~~~???"},
        {"/", "a", "1", "{\"attachments\":\"eHl\"}", NULL},
        {"/", "a", "1", "{\"attachments\":\"eHl6,!\"}", NULL},
        {"/", "a", "1", "{\"attachments\":\"e=l6\"}", NULL},
        {"/", "a", "{\"_placeholder\":true,\"num\":1}", "{\"attachments\":\"eHl6\"}", NULL},
        {"/", "connect", "1", "", NULL},
        {"/", "connect_error", "1", "", NULL},
        {"/", "disconnect", "1", "", NULL},
        {"/", "disconnecting", "1", "", NULL},
        {"/", "newListener", "1", "", NULL},
        {"/", "removeListener", "1", "", NULL},
        {"/", "Connect", "1", "", "42[\"Connect\",1]"},
    };
    struct place p;
    place_open(&p);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&p, &rows[i]);
    place_close(&p);
}

static void test_joins_are_not_events(void **state)
{
    (void)state;
    struct place p;
    struct buf out;
    place_open(&p);
    buf_init(&out, 1024);
    struct sio_space *space = sio_space_add(&p.shared, STR("/"), true);
    const struct encoding *e = sio_encoding(space, &ws_framing_text);
    struct publication *pub = publication_make(&(struct publication_parts){.kind = EVENT_JOIN});
    assert_false(e->encode(e, STR("c"), pub, &out));
    publication_unref(pub);
    buf_fini(&out);
    place_close(&p);
}

/* One encoding for each framing, and the same one each time: frames are shared by it. */
static void test_encodings_stay(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    struct sio_space *space = sio_space_add(&p.shared, STR("/x"), true);
    assert_ptr_equal(sio_space_add(&p.shared, STR("/x"), true), space);
    assert_null(sio_space_add(&p.shared, STR("/y"), false));
    assert_null(sio_space_find(&p.shared, STR("/y")));
    p.shared.any_namespace = true;
    assert_non_null(sio_space_find(&p.shared, STR("/y")));
    assert_null(sio_space_find(&p.shared, STR("no")));
    const struct encoding *e = sio_encoding(space, ws_framing_deflate(15));
    assert_ptr_equal(sio_encoding(space, ws_framing_deflate(15)), e);
    assert_ptr_not_equal(sio_encoding(space, &ws_framing_text), e);
    char name[8] = "/aa";
    for (int i = 0; i < 2 * SIO_SPACES_MAX; i++) {
        name[1] = (char)('a' + i % 26);
        name[2] = (char)('a' + i / 26);
        (void)sio_space_find(&p.shared, str_from(name));
    }
    assert_int_equal(p.shared.space_count, SIO_SPACES_MAX);
    place_close(&p);
}

/* ---- rooms ---- */

static void note(void *ctx, struct str tenant)
{
    struct buf *out = ctx;
    assert_true(buf_add(out, tenant) && buf_add_char(out, ' '));
}

static void check_tenants(const struct place *p, const char *nsp, const char *room,
                          const char *want)
{
    struct buf out;
    buf_init(&out, 1024);
    size_t n = socketio_room_tenants(&p->endpoint, str_from(nsp), str_from(room), note, &out);
    if (!str_eq(buf_str(&out), str_from(want)))
        fail_msg("%s %s: %.*s, not %s", nsp, room, STR_FMT(buf_str(&out)), want);
    size_t spaces = 0;
    for (size_t i = 0; i < out.len; i++)
        spaces += out.p[i] == ' ';
    assert_int_equal(n, spaces);
    buf_fini(&out);
}

static void test_rooms(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    struct sio_shared *sh = &p.shared;
    assert_true(socketio_is(&p.endpoint));
    check_tenants(&p, "/", "r", "");
    assert_true(sio_rooms_add(sh, STR("r"), STR("a")) && sio_rooms_add(sh, STR("r"), STR("a")));
    assert_true(sio_rooms_add(sh, STR("r"), STR("b")) && sio_rooms_add(sh, STR("r"), STR("c")));
    assert_true(sio_rooms_add(sh, STR("/x:r"), STR("d")));
    check_tenants(&p, "/", "r", "a c b ");
    check_tenants(&p, "/x", "r", "d ");
    sio_rooms_remove(sh, STR("r"), STR("a"));
    check_tenants(&p, "/", "r", "a c b ");
    sio_rooms_remove(sh, STR("r"), STR("a")); // the one in the map
    check_tenants(&p, "/", "r", "c b ");
    sio_rooms_remove(sh, STR("r"), STR("b")); // the last of the chain
    check_tenants(&p, "/", "r", "c ");
    sio_rooms_remove(sh, STR("r"), STR("nobody"));
    sio_rooms_remove(sh, STR("r"), STR("c"));
    check_tenants(&p, "/", "r", "");
    assert_int_equal(sh->rooms.count, 1);
    assert_true(sio_rooms_add(sh, STR("socketio:/x"), STR("d")));
    struct buf out;
    buf_init(&out, 64);
    assert_int_equal(socketio_namespace_tenants(&p.endpoint, STR("/x"), note, &out), 1);
    buf_fini(&out);
    place_close(&p);
}

static void test_sockets_by_sid(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    struct sio_space *space = sio_space_add(&p.shared, STR("/x"), true);
    struct sio_socket sk = {.space = space, .session = {.tenant = STR("acme")}}, twin = sk;
    uint8_t id[16];
    char text[UUID_TEXT];
    uuid_make(sk.session.client);
    memcpy(twin.session.client, sk.session.client, 16);
    uuid_format(sk.session.client, text);
    struct str sid = {text, UUID_TEXT};
    assert_true(sio_sid_parse(sid, id));
    assert_memory_equal(id, sk.session.client, 16);
    assert_false(sio_sid_parse((struct str){text, UUID_TEXT - 1}, id));
    assert_false(sio_sid_parse(STR("AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA"), id));
    assert_false(sio_sid_parse(STR("aaaaaaaa-aaaa-aaaa-aaaaaaaaa-aaaaaaa"), id));

    struct buf out;
    buf_init(&out, 64);
    assert_int_equal(socketio_socket_tenant(&p.endpoint, STR("/x"), sid, note, &out), 0);
    assert_true(sio_sids_add(&p.shared, &sk));
    assert_false(sio_sids_add(&p.shared, &twin));
    sio_sids_remove(&p.shared, &twin); // which is not there
    assert_int_equal(socketio_socket_tenant(&p.endpoint, STR("/"), sid, note, &out), 0);
    assert_int_equal(socketio_socket_tenant(&p.endpoint, STR("/x"), sid, note, &out), 1);
    assert_true(str_eq(buf_str(&out), STR("acme ")));
    sio_sids_remove(&p.shared, &sk);
    assert_int_equal(socketio_socket_tenant(&p.endpoint, STR("/x"), sid, note, &out), 0);
    buf_fini(&out);
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publications),   cmocka_unit_test(test_joins_are_not_events),
        cmocka_unit_test(test_encodings_stay), cmocka_unit_test(test_rooms),
        cmocka_unit_test(test_sockets_by_sid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
