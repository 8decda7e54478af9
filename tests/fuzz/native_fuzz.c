// links: dialect
/* What a native client says, read as a command: any bytes. The same input must be understood the
 * same way twice, and whatever the reader hands out must lie inside the input or its scratch. */
#include "fuzz.h"

#include "dialect/native_priv.h"

static void check_inside(struct str part, struct str text, const char *at, size_t cap)
{
    if (part.n == 0)
        return;
    bool in_text = part.p >= text.p && part.p + part.n <= text.p + text.n;
    bool in_scratch = at != NULL && part.p >= at && part.p + part.n <= at + cap;
    MUST(in_text || in_scratch);
}

static void read_line(struct str line)
{
    static struct command c;
    const char *why = NULL;
    if (!native_command_read(line, &c))
        return;
    const struct params *q = &c.params;
    check_inside(q->channel, line, c.channel_at, sizeof(c.channel_at));
    check_inside(q->token, line, c.token_at, sizeof(c.token_at));
    check_inside(q->data, line, NULL, 0);
    check_inside(q->tf, line, NULL, 0);
    check_inside(q->subs, line, NULL, 0);
    if (q->data.n > 0)
        MUST(json_valid(q->data));
    if (q->tf.n > 0) {
        struct filter *f = filter_parse(q->tf, &why);
        MUST(f != NULL || why != NULL);
        if (f != NULL)
            (void)filter_match(f, &(struct publication){.tags = STR("{\"a\":\"1\"}")});
        filter_destroy(&f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    while (text.n > 0)
        read_line(str_cut(&text, '\n'));
    return 0;
}
