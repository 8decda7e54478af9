// links: dialect
/* What the orchestrator's pages say: any bytes. A text is a command, or there are words about why
 * it is none; whatever is read of it lies inside it. */
#include "fuzz.h"

#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"
#include "dialect/orquestrador_priv.h"

static void read_text(struct str text)
{
    struct orq_command c;
    char at[ORQ_SYNTAX_MAX], channel_at[ORQ_CHANNEL_MAX];
    struct str channel;
    struct buf why = buf_on(at, sizeof(at));
    if (!orq_command_read(text, &c)) {
        MUST(orq_syntax_write(&why, text) && utf8_valid(buf_str(&why)));
        MUST(str_find(buf_str(&why), STR("this server cannot read it")) == why.len);
        return;
    }
    MUST(json_valid(text));
    int64_t n;
    if (orq_number_read(c.conversation_id, 1, &n) || orq_number_read(c.limit, 50, &n))
        MUST(n > 0);
    MUST(c.message.n == 0 || json_valid(c.message));
    if (c.task_id.n == 0)
        return;
    MUST(c.task_id.p >= text.p && c.task_id.p + c.task_id.n <= text.p + text.n);
    MUST(json_valid(c.task_id));
    if (orq_task_channel(c.task_id, channel_at, &channel))
        MUST(channel.n > 5 && channel.n <= ORQ_CHANNEL_MAX);
}

static void write_event(struct str data)
{
    struct publication p = {
        .kind = EVENT_PUBLICATION, .type = STR("task:update"), .data = data, .time_ms = 1};
    struct buf out;
    buf_init(&out, orq_event_bytes_max(STR_NONE, &p));
    MUST(orq_event_write(&out, STR("task:1"), &p) && json_valid(buf_str(&out)));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct buf text;
    buf_init(&text, size * 3 + 1);
    MUST(orq_text_write(&text, bytes) && utf8_valid(buf_str(&text)));
    read_text(buf_str(&text));
    if (json_valid(buf_str(&text)))
        write_event(buf_str(&text));
    buf_fini(&text);
    return 0;
}
