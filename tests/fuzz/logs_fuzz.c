// links: api
/* What back ends send as log lines: any bytes. What is understood is understood the same way twice,
 * lies inside the batch's own memory, and becomes a line that is one JSON object. */
#include "fuzz.h"

#include "api/log_lines.h"
#include "base/must.h"
#include "monitor/logbook_priv.h"

static void check_line(const struct log_batch *b, const struct log_entry *e)
{
    const char *from = b->text.p, *to = b->text.p + b->text.len;
    MUST(e->message.n == 0 || (e->message.p >= from && e->message.p + e->message.n <= to));
    MUST(e->level.n > 0 && e->time_ms >= 0);
    struct log_line *l = log_line_make(STR("t"), e);
    struct buf out;
    MUST(l != NULL && l->message.n <= LOG_MESSAGE_MAX && l->source.n <= LOG_SOURCE_MAX);
    buf_init(&out, 1 << 20);
    bool ok = log_line_write(&out, l, true);
    MUST(ok && json_valid(buf_str(&out)));
    buf_fini(&out);
    log_line_unref(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct log_batch b, again;
    bool ok = log_batch_read(text, 1796040000000, &b);
    MUST(ok == log_batch_read(text, 1796040000000, &again) && b.count == again.count);
    MUST(ok == (b.j.error == NULL) && b.count <= LOG_BATCH_MAX);
    for (size_t i = 0; ok && i < b.count; i++) {
        MUST(str_eq(b.entries[i].message, again.entries[i].message));
        if (i < 16)
            check_line(&b, &b.entries[i]);
    }
    log_batch_fini(&b);
    log_batch_fini(&again);
    return 0;
}
