// links: dialect
/* What clients and back ends of the plataforma say, and what events become: any bytes. The same
 * input must be understood the same way twice, what is handed out lies inside the input or its
 * scratch, and an envelope is always one JSON object. */
#include "fuzz.h"

#include "dialect/plataforma_priv.h"

static void check_inside(struct str part, struct str text, const char *at, size_t cap)
{
    if (part.n == 0)
        return;
    bool in_text = part.p >= text.p && part.p + part.n <= text.p + text.n;
    MUST(in_text || (at != NULL && part.p >= at && part.p + part.n <= at + cap));
}

static void read_command(struct str text)
{
    struct plat_command c, again;
    plat_command_read(text, &c);
    plat_command_read(text, &again);
    MUST(c.verb == again.verb && str_eq(c.project, again.project));
    MUST(c.project.n <= PLAT_PROJECT_MAX);
    check_inside(c.project, text, c.project_at, sizeof(c.project_at));
}

static void read_broadcast(struct str text)
{
    struct plat_broadcast b = {0}, data = {0};
    if (plat_broadcast_read_body(text, &b)) {
        MUST(b.wrong.n == 0 && json_valid(b.data) && b.data.p[0] == '{');
        MUST(b.event_type.n <= sizeof(b.event_type_at) && b.project.n <= sizeof(b.project_at));
        MUST(b.exclude.n <= sizeof(b.exclude_at));
        (void)plat_type_is_known(b.event_type);
    } else {
        MUST(b.wrong.n > 0);
    }
    bool ok = plat_broadcast_read_data(text, &data);
    MUST(ok == (data.wrong.n == 0));
    if (ok)
        MUST(json_valid(data.data));
}

static void write_event(struct str text, struct str tags)
{
    struct publication p = {
        .data = text, .tags = tags, .channel = STR("project:a\"b"), .time_ms = 1700000000000};
    struct plat_note note;
    struct buf out;
    plat_note_read(&p, &note);
    check_inside(note.source, text, NULL, 0);
    (void)plat_note_passes(&note, LEVEL_WARNING, STR("f\xc3\xa1"));
    buf_init(&out, plat_event_bytes_max(STR_NONE, &p));
    bool ok = plat_event_write(&out, STR_NONE, &p);
    MUST(ok && json_valid(buf_str(&out)) && out.p[0] == '{');
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    read_command(text);
    read_broadcast(text);
    if (!json_valid(text))
        return 0;
    write_event(text, STR("{\"task_id\":\"T\"}"));
    if (text.n > 0 && text.p[0] == '{')
        write_event(STR("{}"), text);
    return 0;
}
