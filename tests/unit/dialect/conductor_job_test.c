/* conductor_job.c: what is kept of jobs, for whom and how much; on two loops. */
#include "unit/hub/hub_world.h"

#include "dialect/conductor_priv.h"

enum { EVENTS_MAX = 100 };

struct scene {
    struct world *world;
    struct dialect_options options;
    struct endpoint endpoint;
    struct conductor *c;
};

extern const struct dialect dialect_conductor;

static void scene_begin(struct scene *s)
{
    *s = (struct scene){.world = world_make(2)};
    s->options.conductor.jobs_max = 3;
    s->options.conductor.job_events_max = EVENTS_MAX;
    s->options.conductor.job_keep_ms = 60000;
    s->options.conductor.job_idle_ms = 10000;
    s->endpoint = (struct endpoint){.dialect = &dialect_conductor,
                                    .node = s->world->node,
                                    .options = &s->options,
                                    .tenant = STR("t")};
    dialect_conductor.prepare(&s->endpoint);
    s->c = s->endpoint.shared;
    assert_non_null(s->c);
}

static void scene_end(struct scene *s)
{
    for (unsigned i = 0; i < s->world->count; i++) {
        struct hub *hub = world_hub(s->world, i);
        hub_drain(hub, hub_session_count(hub));
    }
    world_turn(s->world);
    dialect_conductor.release(&s->endpoint);
    world_end(s->world);
}

static void note_start(void *ctx, bool ok)
{
    int *calls = ctx;
    assert_true(ok);
    ++*calls;
}

static void no_start(void *ctx, bool ok)
{
    (void)ctx;
    (void)ok;
    fail();
}

static struct str make(struct scene *s, unsigned loop, char at[JOB_ID_TEXT])
{
    int calls = 0;
    struct hub *hub = world_hub(s->world, loop);
    assert_int_equal(job_make(s->c, hub, STR("t"), at, note_start, &calls), JOB_MADE);
    world_turn(s->world);
    assert_int_equal(calls, 1);
    return (struct str){at, JOB_ID_TEXT};
}

/* From the other loop than the job's: by mail. */
static void emit(struct scene *s, struct str id, const char *type, struct str data)
{
    job_publish(world_hub(s->world, 1), STR("t"), id, str_from(type), data);
    world_turn(s->world);
}

struct told {
    uint32_t count;
    uint64_t lost;
    bool ended;
    char first[32], last[32];
};

static void keep_type(const struct publication *p, char at[32])
{
    memcpy(at, p->type.p, p->type.n);
    at[p->type.n] = '\0';
}

static struct told read_all(struct job *job)
{
    struct told t = {0};
    struct publication *batch[7];
    uint64_t at = 0, lost;
    for (;;) {
        uint32_t n = job_events(job, &at, batch, 7, &lost, &t.ended);
        t.lost += lost;
        for (uint32_t i = 0; i < n; i++) {
            if (t.count++ == 0)
                keep_type(batch[i], t.first);
            keep_type(batch[i], t.last);
            publication_unref(batch[i]);
        }
        at += n;
        if (n == 0)
            return t;
    }
}

static struct told told_of(struct scene *s, struct str id)
{
    struct job *job = job_find(s->c, STR("t"), id);
    assert_non_null(job);
    struct told t = read_all(job);
    job_unref(job);
    return t;
}

static void test_events_are_kept(void **state)
{
    struct scene s;
    char at[JOB_ID_TEXT];
    (void)state;
    scene_begin(&s);
    struct str id = make(&s, 0, at);
    emit(&s, id, "job_started", STR("{}"));
    emit(&s, id, "status_update", STR("{}"));
    struct told t = told_of(&s, id);
    assert_true(t.count == 2 && t.lost == 0 && !t.ended);
    assert_string_equal(t.first, "job_started");
    emit(&s, id, "end_of_stream", STR("{}"));
    emit(&s, id, "late", STR("{}"));
    t = told_of(&s, id);
    assert_true(t.count == 2 && t.ended);
    assert_string_equal(t.last, "status_update");
    assert_null(job_find(s.c, STR("u"), id));
    assert_null(job_find(s.c, STR("t"), STR("job_")));
    assert_null(job_find(s.c, STR("t"), STR_NONE));
    world_wait(s.world, 59000);
    job_unref(job_find(s.c, STR("t"), id));
    world_wait(s.world, 2000);
    assert_null(job_find(s.c, STR("t"), id));
    scene_end(&s);
}

static void test_the_oldest_go(void **state)
{
    struct scene s;
    char at[JOB_ID_TEXT];
    (void)state;
    scene_begin(&s);
    struct str id = make(&s, 0, at);
    emit(&s, id, "first", STR("{}"));
    for (int i = 0; i < EVENTS_MAX; i++)
        emit(&s, id, "more", STR("{}"));
    struct told t = told_of(&s, id);
    assert_true(t.count == EVENTS_MAX && t.lost == 1);
    assert_string_equal(t.first, "more");
    scene_end(&s);
}

static void test_bytes_are_bounded(void **state)
{
    enum { EVENT_BYTES = 1 << 20, COUNT = 20 };
    struct scene s;
    char at[JOB_ID_TEXT];
    (void)state;
    scene_begin(&s);
    struct str id = make(&s, 0, at);
    char *data = malloc(EVENT_BYTES);
    assert_non_null(data);
    memset(data, '1', EVENT_BYTES);
    for (int i = 0; i < COUNT; i++)
        emit(&s, id, "big", (struct str){data, EVENT_BYTES});
    free(data);
    struct told t = told_of(&s, id);
    assert_int_equal(t.count + t.lost, COUNT);
    assert_in_range(t.count, 1, JOB_MAX_BYTES / EVENT_BYTES);
    assert_in_range(s.c->job_bytes, EVENT_BYTES, JOB_MAX_BYTES);
    scene_end(&s);
}

static void test_room_is_made_by_those_that_ended(void **state)
{
    struct scene s;
    char at[4][JOB_ID_TEXT], more[JOB_ID_TEXT];
    (void)state;
    scene_begin(&s);
    struct str a = make(&s, 0, at[0]), b = make(&s, 1, at[1]);
    (void)make(&s, 0, at[2]);
    assert_int_equal(job_make(s.c, world_hub(s.world, 0), STR("t"), more, no_start, NULL),
                     JOB_NO_ROOM);
    emit(&s, b, "result", STR("{}"));
    emit(&s, b, "end_of_stream", STR("{}"));
    emit(&s, a, "end_of_stream", STR("{}"));
    struct job *read = job_find(s.c, STR("t"), b);
    assert_non_null(read);
    (void)make(&s, 0, at[3]); // the one that ended first goes, on whichever loop it is
    assert_null(job_find(s.c, STR("t"), b));
    world_turn(s.world);
    struct told t = read_all(read); // who has it already loses nothing
    assert_true(t.count == 1 && t.ended);
    job_unref(read);
    job_unref(job_find(s.c, STR("t"), a));
    (void)make(&s, 1, more);
    assert_null(job_find(s.c, STR("t"), a));
    scene_end(&s);
    assert_true(a.n == b.n);
}

static void test_silence(void **state)
{
    struct scene s;
    char at[JOB_ID_TEXT];
    (void)state;
    scene_begin(&s);
    struct str id = make(&s, 0, at);
    world_wait(s.world, 9000);
    emit(&s, id, "status_update", STR("{}"));
    struct told t = told_of(&s, id);
    assert_int_equal(t.count, 1);
    scene_end(&s);
}

struct ear {
    struct job_reader reader;
    int calls;
};

static void ear_mailed(struct mail *m, struct loop *l)
{
    struct job_reader *rd = container_of(m, struct job_reader, mail);
    (void)l;
    container_of(rd, struct ear, reader)->calls++;
}

static void test_readers_are_called(void **state)
{
    struct scene s;
    char at[JOB_ID_TEXT];
    struct ear ear = {.reader = {.mail = {.deliver = ear_mailed}}};
    (void)state;
    scene_begin(&s);
    struct str id = make(&s, 0, at);
    struct job *job = job_find(s.c, STR("t"), id);
    ear.reader.loop = s.world->loops[1];
    job_attach(job, &ear.reader);
    emit(&s, id, "a", STR("{}"));
    emit(&s, id, "b", STR("{}"));
    assert_int_equal(ear.calls, 1); // once until it has looked
    job_heard(job, &ear.reader);
    emit(&s, id, "end_of_stream", STR("{}"));
    assert_int_equal(ear.calls, 2);
    job_heard(job, &ear.reader);
    assert_false(job_detach(job, &ear.reader));
    job_unref(job);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_kept),
        cmocka_unit_test(test_the_oldest_go),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_room_is_made_by_those_that_ended),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_readers_are_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
