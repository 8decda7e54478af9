/*
 * orquestrador_write.c - events and errors as the orchestrator's pages read them.
 */
#include "dialect/orquestrador_priv.h"

#include "base/clock.h"
#include "base/json.h"

enum { FRAME_ROOM = 128 }; // of an event, beside its type and data

static struct str type_of(struct str channel, const struct publication *p)
{
    if (p->type.n > 0)
        return p->type;
    return str_starts(channel, STR("task:")) ? STR("task:update")
           : str_eq(channel, STR("monitor")) ? STR("metrics")
                                             : STR("message");
}

/* Pages parse the time of a task's update: a back end that does not say it means now. */
static bool write_with_time(struct buf *out, const struct publication *p)
{
    char time[ISO_TIME_MAX];
    size_t n = p->data.n;
    while (n > 0 && p->data.p[n - 1] != '}')
        n--;
    struct str head = {p->data.p, n - 1};
    bool empty = memchr(head.p, '"', head.n) == NULL;
    return buf_add(out, head) &&
           buf_add(out, empty ? STR("\"timestamp\":\"") : STR(",\"timestamp\":\"")) &&
           buf_add(out, (struct str){time, iso_time_ms(p->time_ms, time)}) &&
           buf_add(out, STR("\"}"));
}

static bool lacks_time(struct str type, struct str data)
{
    struct json j;
    struct str found;
    json_init(&j, data);
    return str_eq(type, STR("task:update")) && json_peek(&j) == JSON_OBJECT &&
           !json_find(data, STR("timestamp"), &found);
}

size_t orq_event_bytes_max(struct str channel, const struct publication *p)
{
    (void)channel;
    return json_string_bytes_max(p->type) + p->data.n + FRAME_ROOM;
}

bool orq_event_write(struct buf *out, struct str channel, const struct publication *p)
{
    struct str type = type_of(channel, p);
    bool ok = buf_add(out, STR("{\"type\":")) && json_write_string(out, type) &&
              buf_add(out, STR(",\"data\":"));
    if (ok && lacks_time(type, p->data))
        ok = write_with_time(out, p);
    else
        ok = ok && buf_add(out, p->data.n > 0 ? p->data : STR("null"));
    return ok && buf_add_char(out, '}');
}

bool orq_chunk_write(struct buf *out, struct str chunk, bool done)
{
    return buf_add(out, STR("{\"type\":\"chat:streaming\",\"data\":{\"chunk\":")) &&
           json_write_string(out, chunk) &&
           buf_add(out, done ? STR(",\"done\":true}}") : STR(",\"done\":false}}"));
}

bool orq_error_write(struct buf *out, struct str before, struct str what)
{
    char at[512];
    struct buf text = buf_on(at, sizeof(at));
    return buf_add(&text, before) && buf_add(&text, what) &&
           buf_add(out, STR("{\"type\":\"error\",\"data\":{\"message\":")) &&
           json_write_string(out, buf_str(&text)) && buf_add(out, STR("}}"));
}
