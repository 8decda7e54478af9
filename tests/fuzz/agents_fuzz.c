// links: dialect
/* What a page of agents says, and what it is told: any bytes. A message is a command or it is not,
 * what it carries is JSON, and a publication of any type comes out as one JSON object. */
#include "fuzz.h"

#include "base/json.h"
#include "base/must.h"
#include "dialect/agents.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct agents_command c = agents_read(text);
    if (c.verb != AGENTS_OTHER)
        MUST(json_valid(text));
    if (c.data.n > 0)
        MUST(json_valid(c.data) && c.data.p[0] == '{');
    if (c.permission.n > 0)
        MUST(json_valid(c.permission));
    struct str type = str_cut(&text, '\n');
    if (!json_valid(text))
        text = STR_NONE;
    struct buf out;
    buf_init(&out, 1 << 24);
    if (agents_event_write(&out, STR_NONE,
                           &(struct publication){.type = type, .data = text, .time_ms = 1}))
        MUST(json_valid(buf_str(&out)));
    buf_fini(&out);
    return 0;
}
