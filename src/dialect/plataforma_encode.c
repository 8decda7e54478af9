/*
 * plataforma_encode.c - an event in the plataforma's envelope, and the frames that the server says
 * itself.
 *
 * Why it exists: the envelope names the project, story, task and user of an event wherever they
 * were said: by the channel, by the publication's tags, or by the data's own fields.
 */
#include "dialect/plataforma_priv.h"

#include "base/clock.h"

enum { ENVELOPE_ROOM = 256 }; // the names around, time and id

/* ---- what the envelope takes from an event ---- */

enum { REF_PROJECT, REF_STORY, REF_TASK, REF_USER, REF_COUNT };
static const struct str ref_names[REF_COUNT] = {
    {"project_id", 10}, {"story_id", 8}, {"task_id", 7}, {"user_id", 7}};

/* Raw JSON; "": not said. */
struct refs {
    struct str raw[REF_COUNT];
    struct str notification; // an object: newer pages look for it beside the data
};

static bool says_something(struct str raw)
{
    if (raw.n == 0 || str_eq(raw, STR("\"\"")))
        return false;
    return raw.p[0] == '"' || raw.p[0] == '-' || (raw.p[0] >= '0' && raw.p[0] <= '9');
}

/* Those of an object's own fields that are not known yet. */
static void refs_read(struct refs *refs, struct str object)
{
    struct json j;
    struct str key, raw;
    struct refs found = {0};
    json_init(&j, object);
    if (json_peek(&j) != JSON_OBJECT)
        return;
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        for (int i = 0; i < REF_COUNT; i++) {
            if (json_key_is(key, ref_names[i]) && json_read_raw(&j, &raw))
                found.raw[i] = raw;
        }
        if (json_key_is(key, STR("notification")) && json_peek(&j) == JSON_OBJECT &&
            json_read_raw(&j, &raw))
            refs->notification = raw;
    }
    for (int i = 0; i < REF_COUNT; i++) {
        if (refs->raw[i].n == 0 && says_something(found.raw[i]))
            refs->raw[i] = found.raw[i];
    }
}

/* ---- the envelope ---- */

static struct str type_of(const struct publication *p)
{
    if (p->type.n > 0)
        return p->type;
    return str_eq(p->channel, STR("logs")) ? STR("log_message") : STR("notification");
}

/* The same wherever it is encoded: made of nothing but the event. */
static uint32_t message_id_of(const struct publication *p)
{
    uint64_t h = str_hash(p->data, (uint64_t)p->time_ms);
    h = str_hash(p->type, h ^ p->offset);
    h = str_hash(p->channel, h ^ p->epoch);
    h = str_hash(p->id, h);
    return (uint32_t)(h ^ h >> 32);
}

size_t plat_iso_time(int64_t time_ms, char ret[ISO_TIME_MAX])
{
    size_t n = iso_time_ms(time_ms, ret);
    memcpy(ret + n - 1, "000Z", 4);
    return n + 3;
}

static void put_tail(struct json_writer *w, int64_t time_ms, uint32_t message_id)
{
    char time[ISO_TIME_MAX], id[EPOCH_TEXT];
    size_t n = plat_iso_time(time_ms, time);
    epoch_format(message_id, id);
    json_put_string(json_key(w, STR("timestamp")), (struct str){time, n});
    json_put_string(json_key(w, STR("message_id")), (struct str){id, sizeof(id)});
}

/* data is always an object: pages read its fields without asking. */
static void put_data(struct json_writer *w, struct str data)
{
    json_key(w, STR("data"));
    if (data.n > 0 && data.p[0] == '{') {
        json_put_raw(w, data);
        return;
    }
    json_open_object(w);
    if (data.n > 0 && !str_eq(data, STR("null")))
        json_put_raw(json_key(w, STR("value")), data);
    json_close_object(w);
}

bool plat_event_write(struct buf *out, struct str channel, const struct publication *p)
{
    (void)channel;
    struct json_writer w;
    struct refs refs = {0};
    struct str project = plat_channel_project(p->channel);
    refs_read(&refs, p->tags);
    refs_read(&refs, p->data);
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("type")), type_of(p));
    put_data(&w, json_trim(p->data));
    put_tail(&w, p->time_ms, message_id_of(p));
    for (int i = 0; i < REF_COUNT; i++) {
        if (i == REF_PROJECT && project.n > 0)
            json_put_string(json_key(&w, ref_names[i]), project);
        else if (refs.raw[i].n > 0)
            json_put_raw(json_key(&w, ref_names[i]), refs.raw[i]);
    }
    if (refs.notification.n > 0 && str_eq(type_of(p), STR("notification")))
        json_put_raw(json_key(&w, STR("notification")), refs.notification);
    json_close_object(&w);
    return json_done(&w);
}

/* The references are pieces of data and tags. */
size_t plat_event_bytes_max(struct str channel, const struct publication *p)
{
    (void)channel;
    return json_string_bytes_max(p->channel) + json_string_bytes_max(p->type) + p->data.n * 2 +
           p->tags.n + ENVELOPE_ROOM;
}

const struct ws_writer plat_writer = {plat_event_bytes_max, plat_event_write};

static struct plat_loop *loop_of(const struct encoding *e, int *ret_framing)
{
    *ret_framing = (int)((const int *)e->extra - ws_window_bits);
    return container_of((struct encoding *)(uintptr_t)(e - *ret_framing), struct plat_loop,
                        encodings[0]);
}

bool plat_encode(const struct encoding *e, struct str channel, const struct publication *p,
                 struct buf *out)
{
    int framing;
    struct plat_loop *pl = loop_of(e, &framing);
    if (p->kind != EVENT_PUBLICATION || !ws_encoding_event(e, &plat_writer, channel, p, out))
        return false;
    if (pl->notes != NULL)
        plat_loop_forget(pl, p);
    plat_room_count(pl, framing, channel, p);
    return true;
}

/* ---- the server's own frames ---- */

struct json_writer *plat_frame_open(struct plat_frame *f, struct str type)
{
    f->buf = buf_on(f->at, sizeof(f->at));
    json_writer_init(&f->w, &f->buf);
    json_open_object(&f->w);
    json_put_string(json_key(&f->w, STR("type")), type);
    json_open_object(json_key(&f->w, STR("data")));
    return &f->w;
}

void plat_send(struct plat_session *ps, struct str text)
{
    if (ps->ws.ending)
        return;
    ws_session_send(&ps->ws, text);
    if (ps->member->tenant != NULL)
        atomic_fetch_add_explicit(&ps->member->tenant->sent, 1, memory_order_relaxed);
}

void plat_frame_send(struct plat_frame *f, struct plat_session *ps, struct str project)
{
    json_close_object(&f->w);
    put_tail(&f->w, loop_wall_ms(ws_session_loop(&ps->ws)), (uint32_t)random_u64());
    if (project.n > 0)
        json_put_string(json_key(&f->w, STR("project_id")), project);
    json_close_object(&f->w);
    if (json_done(&f->w))
        plat_send(ps, buf_str(&f->buf));
}

void plat_say_plain(struct plat_session *ps, struct str type, struct str key, struct str value)
{
    struct plat_frame f;
    json_put_string(json_key(plat_frame_open(&f, type), key), value);
    plat_frame_send(&f, ps, STR_NONE);
}

void plat_say_project(struct plat_session *ps, struct str type, struct str words,
                      struct str project)
{
    struct plat_frame f;
    char text[PLAT_PROJECT_MAX + 64], *at = text;
    struct json_writer *w = plat_frame_open(&f, type);
    (void)str_put(&at, words);
    (void)str_put(&at, project);
    json_put_string(json_key(w, STR("project_id")), project);
    json_put_string(json_key(w, STR("message")), (struct str){text, (size_t)(at - text)});
    plat_frame_send(&f, ps, project);
}

static void welcome_to_project(struct plat_session *ps)
{
    struct plat_frame f;
    char text[PLAT_PROJECT_MAX + 64], *at = text;
    struct json_writer *w = plat_frame_open(&f, STR("connection"));
    (void)str_put(&at, STR("Conectado ao projeto "));
    (void)str_put(&at, ps->project);
    json_put_string(json_key(w, STR("status")), STR("connected"));
    json_put_string(json_key(w, STR("message")), (struct str){text, (size_t)(at - text)});
    json_put_string(json_key(w, STR("project_id")), ps->project);
    plat_frame_send(&f, ps, ps->project);
    plat_say_project(ps, STR("subscribed"), STR("Inscrito no projeto "), ps->project);
}

static void welcome_to_logs(struct plat_session *ps)
{
    struct plat_frame f;
    struct json_writer *w = plat_frame_open(&f, STR("connection"));
    json_put_string(json_key(w, STR("status")), STR("connected"));
    json_put_string(json_key(w, STR("message")), STR("Streaming de logs iniciado"));
    json_put_string(json_key(w, STR("level_filter")), ps->level);
    json_key(w, STR("source_filter"));
    if (ps->member->source.n > 0)
        json_put_string(w, ps->member->source);
    else
        json_put_null(w);
    plat_frame_send(&f, ps, STR_NONE);
}

void plat_say_welcome(struct plat_session *ps)
{
    struct plat_frame f;
    if (ps->member->kind == PLAT_PROJECT) {
        welcome_to_project(ps);
        return;
    }
    if (ps->member->kind == PLAT_LOGS) {
        welcome_to_logs(ps);
        return;
    }
    struct json_writer *w = plat_frame_open(&f, STR("connection"));
    json_put_string(json_key(w, STR("status")), STR("connected"));
    json_put_string(json_key(w, STR("message")),
                    STR("Conectado ao servidor de notificacoes em tempo real"));
    plat_frame_send(&f, ps, STR_NONE);
}

void plat_say_stats(struct plat_session *ps)
{
    struct buf b;
    buf_init(&b, PLAT_STATS_MAX);
    if (plat_register_write_stats(&plat_shared_of(ps)->reg, ps->ws.session.tenant, &b))
        plat_send(ps, buf_str(&b));
    buf_fini(&b);
}
