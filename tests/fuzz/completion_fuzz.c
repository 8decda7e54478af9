/*
 * completion_fuzz.c - what a model's server answers, cut by the input itself.
 *
 * The first byte says how long the pieces are. Whatever comes: text is UTF-8, nothing is handed out
 * after a failure, and the pieces do not change what is said.
 */
// links: llm base
#include "fuzz.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "llm/completion.h"

enum { ANSWER_MAX = 1024 };

struct said {
    struct completion c;
    struct buf text;
};

static void take(void *ctx, struct str text)
{
    struct said *s = ctx;
    MUST(s->c.failure == LLM_NONE);
    MUST(text.n > 0 && utf8_valid(text));
    MUST(buf_add(&s->text, text));
}

static void run(struct said *s, struct str wire, size_t step)
{
    buf_init(&s->text, ANSWER_MAX);
    completion_init(&s->c, ANSWER_MAX, take, s);
    bool ok = true;
    for (size_t at = 0; at < wire.n && ok; at += step) {
        size_t n = wire.n - at < step ? wire.n - at : step;
        char *piece = malloc(n);
        MUST(piece != NULL);
        memcpy(piece, wire.p + at, n);
        ok = completion_feed(&s->c, (struct str){piece, n});
        free(piece);
    }
    MUST(completion_end(&s->c) == (s->c.failure == LLM_NONE));
    MUST(ok || s->c.failure != LLM_NONE);
}

static void end(struct said *s)
{
    completion_fini(&s->c);
    buf_fini(&s->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct said whole, cut;
    char at[256];
    struct buf why = buf_on(at, sizeof(at));
    if (size == 0)
        return 0;
    struct str wire = {(const char *)data + 1, size - 1};
    run(&whole, wire, wire.n > 0 ? wire.n : 1);
    run(&cut, wire, data[0] % 16 + 1u);
    MUST(whole.c.failure == cut.c.failure);
    MUST(str_eq(buf_str(&whole.text), buf_str(&cut.text)));
    end(&whole);
    end(&cut);
    completion_read_error(wire, &why);
    MUST(utf8_valid(buf_str(&why)));
    return 0;
}
