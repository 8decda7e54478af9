// links: dialect
/* What clients and back ends of the conductor say: any bytes, read as a command, as an event and as
 * a job. Whatever the readers hand out lies inside the input or its scratch, and what they write is
 * JSON. */
#include "fuzz.h"

#include "dialect/conductor_priv.h"

static void check_inside(struct str part, struct str text)
{
    MUST(part.n == 0 || (part.p >= text.p && part.p + part.n <= text.p + text.n));
}

static void read_command(struct str text)
{
    struct council_command cmd;
    struct buf b;
    if (!council_command_read(text, &cmd))
        return;
    check_inside(cmd.name, text);
    check_inside(cmd.topics, text);
    check_inside(cmd.councilor_id, text);
    buf_init(&b, 6 * text.n + 64);
    (void)command_name_write(&b, cmd.name);
    buf_clear(&b);
    struct topics *t = topics_make(cmd.topics);
    if (t != NULL) {
        MUST(t->count <= TOPICS_MAX && str_eq(t->raw, cmd.topics));
        for (uint32_t i = 0; i < t->count; i++)
            MUST(topics_want(t, t->items[i]));
    }
    free(t);
    buf_fini(&b);
}

static void read_event(struct str text)
{
    static struct council_event event;
    struct buf b;
    if (council_event_read(text, &event) != NULL)
        return;
    MUST(json_valid(event.data) && event.data.p[0] == '{');
    buf_init(&b, 2 * text.n + 64);
    MUST(debug_data_write(&b, event.data));
    MUST(json_valid(buf_str(&b)));
    struct buf f;
    buf_init(&f, 16 * text.n + 256);
    MUST(frame_write(&f, event.type, buf_str(&b), 1700000000123));
    MUST(json_valid(buf_str(&f)) && memchr(f.p, '\n', f.len) == NULL);
    buf_fini(&f);
    buf_fini(&b);
}

static void read_job(struct str text)
{
    struct str raw;
    if (json_valid(text) && text.p[0] == '{' && job_text_find(text, &raw)) {
        check_inside(raw, text);
        MUST(raw.n > 0 && raw.p[-1] == '"' && raw.p[raw.n] == '"');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    read_command(text);
    read_event(text);
    read_job(text);
    return 0;
}
