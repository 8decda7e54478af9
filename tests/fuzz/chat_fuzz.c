// links: chat
/* What is asked about conversations: any bytes. What is read lies inside the text or its room, and
 * is within its limits; what is not is told in words. */
#include "fuzz.h"

#include "base/must.h"
#include "base/utf8.h"
#include "chat/fields.h"

#include <stdlib.h>

static void check_text(struct str s, struct str text, const char *room)
{
    bool inside = (s.p >= text.p && s.p + s.n <= text.p + text.n) ||
                  (s.p >= room && s.p + s.n <= room + text.n);
    MUST(s.n == 0 || (inside && utf8_valid(s) && memchr(s.p, '\0', s.n) == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    char at[512];
    struct buf why = buf_on(at, sizeof(at));
    struct chat_fields f;
    char *room = malloc(size + 1);
    MUST(room != NULL);
    if (chat_fields_read(text, room, &f, &why)) {
        MUST(size == 0 || json_valid(text));
        check_text(f.message, text, room);
        check_text(f.title, text, room);
        check_text(f.system_prompt, text, room);
        check_text(f.model, text, room);
        check_text(f.tenant, text, room);
        check_text(f.channel, text, room);
        MUST(f.conversation >= 1 && f.conversation <= CHAT_CONVERSATION_MAX);
        MUST(f.limit >= 1 && f.limit <= CHAT_LIMIT_MAX && f.offset >= 0 && f.before >= 0);
        MUST(f.temperature <= 10 && f.max_tokens >= 0);
    } else {
        MUST(why.len > 0 && utf8_valid(buf_str(&why)));
    }
    free(room);
    return 0;
}
