/* record_reader.h - a subscriber that puts a streamed message together from what it is told, and
 * asserts that nothing of it is missing and nothing comes twice.
 * Thread:  the session's loop.
 * Memory:  the test's.
 * Failure: MUST(). */
#ifndef TESTS_HUB_RECORD_READER_H
#define TESTS_HUB_RECORD_READER_H

#include "base/json.h"
#include "hub/record.h"
#include "unit/hub/fake_session.h"

struct record_reader {
    struct fake *fake;
    struct buf text;      // of the message
    uint64_t seq, offset; // of the last append; of the last publication with one
    uint32_t plain_count; // publications that are no part of a record
    bool knows, ended;    // it has heard of the message; of its end
    bool asking, following;
    char state[16];
};

static inline void reader_take(struct record_reader *rd, struct str data, uint64_t offset)
{
    struct str raw, text;
    struct json j;
    uint64_t seq = 0;
    char at[64 * 1024];
    if (offset > 0) {
        MUST(offset == rd->offset + 1);
        rd->offset = offset;
    }
    if (!json_find(data, STR("seq"), &raw)) {
        rd->plain_count++;
        return;
    }
    json_init(&j, raw);
    MUST(json_read_u64(&j, &seq));
    bool append = json_find(data, STR("text"), &raw);
    MUST(append || json_find(data, STR("content"), &raw));
    json_init(&j, raw);
    MUST(json_read_string(&j, at, sizeof(at), &text));
    if (append) {
        MUST(rd->knows && !rd->ended && seq == rd->seq + 1);
    } else {
        MUST(seq >= rd->seq && text.n >= rd->text.len);
        MUST(rd->text.len == 0 || memcmp(rd->text.p, text.p, rd->text.len) == 0);
        buf_clear(&rd->text);
        rd->knows = true;
        rd->ended = !json_find(data, STR("state"), &raw) || !str_eq(raw, STR("\"streaming\""));
        snprintf(rd->state, sizeof(rd->state), "%.*s", STR_FMT(raw));
    }
    MUST(buf_add(&rd->text, text));
    rd->seq = seq;
}

/* Every line of the fake encoding is "CHANNEL#OFFSET DATA". */
static inline void reader_read(struct record_reader *rd)
{
    fake_read(rd->fake);
    struct str rest = buf_str(&rd->fake->told);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        uint64_t offset;
        str_cut(&line, '#');
        struct str number = str_cut(&line, ' ');
        if (str_to_u64(number, &offset))
            reader_take(rd, line, offset);
    }
    buf_clear(&rd->fake->told);
}

static inline void reader_joined(void *ctx, const struct answer *a)
{
    struct record_reader *rd = ctx;
    rd->asking = false;
    if (a->err == ERR_EXPIRED)
        return; // it has closed meanwhile
    MUST(a->err == ERR_OK);
    if (!a->recovered)
        rd->offset = a->position.offset;
    for (size_t i = 0; i < a->publication_count; i++)
        reader_take(rd, a->publications[i]->data, a->recovered ? a->publications[i]->offset : 0);
    rd->following = true;
}

static inline void reader_join(struct record_reader *rd, struct str channel, bool recover)
{
    rd->asking = true;
    hub_subscribe(&rd->fake->session,
                  &(struct subscribe_params){.channel = channel,
                                             .encoding = &fake_encoding,
                                             .recover = recover,
                                             .since = {.offset = rd->offset}},
                  reader_joined, rd);
}

static inline struct record_reader *reader_make(struct hub *hub)
{
    struct record_reader *rd = calloc(1, sizeof(*rd));
    MUST(rd != NULL);
    buf_init(&rd->text, 64 << 20);
    rd->fake = fake_open(hub, "t", "");
    return rd;
}

/* The session is closed and its last reference gone. */
static inline void reader_free(struct record_reader *rd)
{
    fake_free(rd->fake);
    buf_fini(&rd->text);
    free(rd);
}

#endif
