/*
 * group.c - several commands in one request: batch, broadcast and the older form.
 *
 * Why it exists: commands end at any time and on their own terms; the answers are given in the
 * order of the commands, when the last one is there.
 *
 * Always true:
 *   G1. a group keeps its own copy of the commands, so they are carried out to the end even when
 *       the peer has gone.
 *   G2. unless it is parallel, a command starts after the one before it has its answer.
 */
#include "api/api_priv.h"

#include "base/must.h"
#include "base/pool.h"

static void group_free(struct group *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        pool_free((void *)(uintptr_t)g->slots[i].text.p);
    pool_free(g);
}

/* ---- the answer ---- */

struct frame {
    struct str before, between, after;
};

static const struct frame frames[] = {
    [GROUP_BATCH] = {{"{\"replies\":[", 12}, {",", 1}, {"]}", 2}},
    [GROUP_BROADCAST] = {{"{\"responses\":[", 14}, {",", 1}, {"]}", 2}},
    [GROUP_LINES] = {{NULL, 0}, {"\n", 1}, {NULL, 0}},
};

static bool add_slot(struct buf *out, const struct slot *s)
{
    if (s->text.p == NULL)
        return buf_add(out,
                       STR("{\"error\":{\"code\":100,\"message\":\"internal server error\"}}"));
    return buf_add(out, s->text);
}

static bool write_group(struct buf *out, const struct group *g)
{
    const struct frame *f = &frames[g->kind];
    bool ok = buf_add(out, f->before);
    for (uint32_t i = 0; i < g->count && ok; i++)
        ok = (i == 0 || buf_add(out, f->between)) && add_slot(out, &g->slots[i]);
    return ok && buf_add(out, f->after);
}

static void group_finish(struct group *g)
{
    struct slot *up = g->up;
    struct buf out;
    buf_init(&out, API_ANSWER_MAX);
    bool ok = write_group(&out, g);
    group_free(g);
    if (ok)
        slot_done_raw(up, buf_str(&out));
    else
        slot_fail(up, ERR_LIMIT_EXCEEDED, "the answers are too big");
    buf_fini(&out);
}

/* ---- starting, one after another or all at once ---- */

/* {"publish":{..}}: the verb and the text of its fields. */
static const struct verb *command_verb(struct str command, struct str *ret_fields)
{
    struct json j;
    struct str key;
    const struct verb *verb = NULL;
    json_init(&j, command);
    json_object_begin(&j);
    while (verb == NULL && json_object_next(&j, &key)) {
        verb = api_verb_find(key);
        if (verb != NULL)
            json_read_raw(&j, ret_fields);
    }
    return verb;
}

static const struct field line_fields[] = {
    {"id", FIELD_INTEGER, offsetof(struct params, limit)},
    {"method", FIELD_STRING, offsetof(struct params, type)},
    {"params", FIELD_JSON, offsetof(struct params, data)},
    {0},
};

static const struct verb *line_verb(struct slot *s, struct str command, struct str *ret_fields)
{
    struct params p;
    struct json j;
    json_init(&j, command);
    if (!api_params_read(&j, line_fields, &p) || p.wrong != NULL)
        return NULL;
    s->id = p.limit > 0 ? (uint64_t)p.limit : 0;
    *ret_fields = p.data.n > 0 ? p.data : STR("{}");
    return api_verb_find(p.type);
}

static void start_command(struct group *g, struct slot *s)
{
    struct str command = STR_NONE, fields = STR_NONE;
    if (g->kind == GROUP_BATCH)
        json_array_next(&g->reader);
    json_read_raw(&g->reader, &command);
    const struct verb *verb =
        g->kind == GROUP_BATCH ? command_verb(command, &fields) : line_verb(s, command, &fields);
    if (verb == NULL)
        slot_fail(s, ERR_METHOD_NOT_FOUND, NULL);
    else
        slot_start(s, verb, fields);
}

static void start_publish(struct group *g, struct slot *s)
{
    struct params p;
    struct str raw = STR_NONE;
    memcpy(&p, g->publish, offsetof(struct params, text));
    p.text_used = 0;
    json_array_next(&g->reader);
    json_read_string_raw(&g->reader, &raw);
    char *at = params_room(&p, raw.n);
    if (at == NULL || !json_string_decode(raw, at, raw.n, &p.channel))
        slot_refuse(s, "channel", "is too long or not a string");
    else
        publish_start(s, &p);
}

static void group_go(struct group *g)
{
    if (g->going)
        return; // the loop below is on the stack
    g->going = true;
    while (g->next < g->count && (g->parallel || g->under_way == 0)) {
        struct slot *s = &g->slots[g->next++];
        g->under_way++;
        if (g->kind == GROUP_BROADCAST)
            start_publish(g, s);
        else
            start_command(g, s);
    }
    g->going = false;
    if (g->next == g->count && g->under_way == 0)
        group_finish(g);
}

void group_slot_done(struct slot *s)
{
    MUST(s->group->under_way > 0);
    s->group->under_way--;
    group_go(s->group);
}

/* ---- birth ---- */

static struct group *group_make(struct slot *up, enum group_kind kind, uint32_t count,
                                struct str text)
{
    size_t slots_bytes = count * sizeof(struct slot);
    struct group *g = pool_alloc(sizeof(*g) + slots_bytes + text.n);
    if (g == NULL)
        return NULL;
    *g = (struct group){.kind = kind, .up = up, .count = count};
    g->slots = (struct slot *)(void *)(g + 1);
    g->text = (char *)(g + 1) + slots_bytes;
    memset(g->slots, 0, slots_bytes);
    memcpy(g->text, text.p, text.n);
    json_init(&g->reader, (struct str){g->text, text.n});
    for (uint32_t i = 0; i < count; i++) {
        g->slots[i].ask = up->ask;
        g->slots[i].group = g;
    }
    return g;
}

static uint32_t count_elements(struct str array)
{
    struct json j;
    uint32_t count = 0;
    json_init(&j, array);
    json_array_begin(&j);
    while (json_array_next(&j))
        count++;
    return count;
}

static struct group *group_of_array(struct slot *up, enum group_kind kind, const char *field,
                                    struct str array)
{
    if (array.n == 0) {
        slot_refuse(up, field, "is required");
        return NULL;
    }
    uint32_t count = count_elements(array);
    if (count > up->ask->api->commands_max) {
        slot_fail(up, ERR_LIMIT_EXCEEDED, "too many commands or channels");
        return NULL;
    }
    struct group *g = group_make(up, kind, count, array);
    if (g == NULL)
        slot_fail(up, ERR_INTERNAL, "out of memory");
    else
        json_array_begin(&g->reader);
    return g;
}

void batch_start(struct slot *s, struct params *p)
{
    struct group *g = group_of_array(s, GROUP_BATCH, "commands", p->commands);
    if (g == NULL)
        return;
    g->parallel = p->parallel;
    group_go(g);
}

void broadcast_start(struct slot *s, struct params *p)
{
    if (p->data.n == 0) {
        slot_refuse(s, "data", "is required");
        return;
    }
    struct group *g = group_of_array(s, GROUP_BROADCAST, "channels", p->channels);
    if (g == NULL)
        return;
    if (g->count == 0) {
        group_free(g);
        slot_refuse(s, "channels", "must not be empty");
        return;
    }
    g->parallel = true; // all start before p is gone
    g->publish = p;
    group_go(g);
}

void lines_start(struct slot *s, struct str text)
{
    struct json j;
    uint32_t count = 0;
    json_init(&j, text);
    while (json_more(&j)) {
        json_skip(&j);
        count++;
    }
    if (count > s->ask->api->commands_max) {
        slot_fail(s, ERR_LIMIT_EXCEEDED, "too many commands");
        return;
    }
    struct group *g = group_make(s, GROUP_LINES, count, text);
    if (g == NULL)
        slot_fail(s, ERR_INTERNAL, "out of memory");
    else
        group_go(g);
}
