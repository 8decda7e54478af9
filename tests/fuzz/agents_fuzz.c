// links: dialect
/* What a page of agents says, and what it is told: any bytes. A message is a ping or it is not, and
 * a publication of any type comes out as one JSON object. */
#include "fuzz.h"

#include "base/json.h"
#include "base/must.h"
#include "dialect/agents.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    if (agents_is_ping(text))
        MUST(json_valid(text));
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
