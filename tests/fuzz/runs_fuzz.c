// links: runs
/* What back ends say about runs, and what passes by: any bytes. The first byte chooses the verb, or
 * an event, whose first line is its channel and type. What is understood is valid JSON and fits. */
#include "fuzz.h"

#include "base/must.h"
#include "base/utf8.h"
#include "runs/run_change.h"

static void check_text(struct str s, size_t max)
{
    MUST(s.n <= max);
    MUST(utf8_valid(s));
    MUST(s.n == 0 || memchr(s.p, '\0', s.n) == NULL);
}

static void check_json(struct str s)
{
    MUST(s.n == 0 || json_valid(s));
}

static void check_said(const struct run_change *c)
{
    const struct run_said *s = &c->said;
    check_text(s->id, RUN_NAME_MAX);
    check_text(s->name, RUN_NAME_MAX);
    check_text(s->agent_id, RUN_NAME_MAX);
    check_text(s->agent_name, RUN_NAME_MAX);
    check_text(s->task_id, RUN_NAME_MAX);
    check_text(s->error, RUN_ERROR_MAX);
    check_text(c->match, 512);
    check_json(s->input);
    check_json(s->result);
    check_json(s->metadata);
    check_json(c->step.detail);
    struct buf merged;
    buf_init(&merged, 2 * RUN_METADATA_MAX);
    if (run_metadata_merge(&merged, STR("{\"a\":1}"), s->metadata))
        MUST(json_valid(buf_str(&merged)));
    buf_fini(&merged);
}

static void try_event(struct str text)
{
    struct str line = str_cut(&text, '\n');
    struct str channel = str_cut(&line, ' ');
    if (!json_valid(text))
        return; // a publication's data always is
    struct run_change *c = run_event_change(STR("t"), channel, line, text, 1000);
    if (c != NULL)
        check_said(c);
    run_change_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, copy, field;
    struct json j;
    const char *why;
    if (size == 0)
        return 0;
    unsigned verb = (unsigned)data[0] % (RUN_EVENT + 1);
    text = str_skip(text, 1);
    if (verb == RUN_EVENT) {
        try_event(text);
        return 0;
    }
    struct run_change *c =
        run_change_make((enum run_verb)verb, STR("t"), STR("id"), text, 1000, &copy);
    MUST(c != NULL);
    if (run_change_read(c, copy, &j, &field, &why))
        check_said(c);
    else
        MUST(field.n > 0 ? why != NULL : j.error != NULL);
    run_change_free(c);
    return 0;
}
