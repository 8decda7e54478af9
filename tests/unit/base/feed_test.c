/*
 * feed_test.c - a feed against a plain model: whatever is appended, joins, leaves, is visited and
 * stops half-way, every cursor gets exactly the frames it wants, once and in order, or is told that
 * it has lost some; and a feed that everybody has read holds nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/feed.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { CURSORS = 12, FRAMES = 4000, LINE = 160 };

struct model_frame {
    uint32_t class;
    unsigned group; // a cursor with another group does not want it; 0: everybody
    uint64_t offset;
};

struct reader {
    struct cursor cursor;
    struct sink sink;
    unsigned group;
    uint64_t due;         // number of the next frame not yet accounted for
    uint64_t last_offset; // of the frames it got
    bool joined;
};

struct world {
    struct outflow outflow;
    struct feed feed;
    struct reader readers[CURSORS];
    struct model_frame frames[FRAMES + 1];
    long publications; // references that are out
    unsigned random;
    uint64_t offset;
    int overruns;
};

static struct world *world; // feed_ops have no context

static unsigned below(unsigned n)
{
    world->random = world->random * 1103515245u + 12345u;
    return (world->random >> 16) % n;
}

static bool model_wants(const struct reader *r, uint64_t frame)
{
    const struct model_frame *m = &world->frames[frame];
    if ((r->cursor.mask & m->class) == 0)
        return false;
    return m->group == 0 || m->group == r->group;
}

static bool wants(const struct cursor *c, const struct frame_note *note)
{
    const struct reader *r = container_of(c, struct reader, cursor);
    const struct model_frame *m = note->publication;
    return m->group == 0 || m->group == r->group;
}

static void release(void *publication)
{
    assert_non_null(publication);
    world->publications--;
}

static void overrun(struct cursor *c)
{
    struct reader *r = container_of(c, struct reader, cursor);
    world->overruns++;
    if (below(2) == 0)
        cursor_lose(c);
    else
        cursor_skip(c);
    r->due = c->next;
}

static const struct feed_ops ops = {.wants = wants, .release = release, .overrun = overrun};

/* Every frame says its number and is as long as its number says. */
static size_t frame_text(uint64_t frame, char *at)
{
    size_t n = 20 + frame * 37 % (LINE - 20);
    memset(at, 'a' + (int)(frame % 26), n);
    int digits = snprintf(at, LINE, "%08lu", (unsigned long)frame);
    at[digits] = ' ';
    at[n - 1] = '\n';
    return n;
}

static void append(void)
{
    struct feed *f = &world->feed;
    static const uint32_t classes[] = {FRAME_PUBLICATION, FRAME_PUBLICATION, FRAME_PUBLICATION,
                                       FRAME_JOIN, FRAME_LEAVE};
    char text[LINE];
    struct model_frame *m = &world->frames[f->head];
    bool quiet = below(4) > 0; // mostly plain publications: whole chunks without special frames
    *m = (struct model_frame){.class = quiet ? FRAME_PUBLICATION : classes[below(5)]};
    if (!quiet && below(3) == 0)
        m->group = below(3) + 1;
    if (m->class == FRAME_PUBLICATION)
        m->offset = ++world->offset;
    world->publications++;
    assert_true(feed_append(f, (struct str){text, frame_text(f->head, text)},
                            (struct frame_info){.class = m->class,
                                                .special = m->group != 0,
                                                .offset = m->offset,
                                                .publication = m,
                                                .now_ns = 1}));
}

/* The reader gets these bytes: they must be its next frame, whole. */
static void take_frame(struct reader *r, const char *p, size_t n)
{
    char text[LINE];
    while (r->due < world->feed.head && !model_wants(r, r->due))
        r->due++;
    assert_true(r->due < world->feed.head);
    assert_int_equal(n, frame_text(r->due, text));
    assert_memory_equal(p, text, n);
    if (world->frames[r->due].offset != 0)
        r->last_offset = world->frames[r->due].offset;
    r->due++;
}

/* What the flusher does in a visit; budget: frames that the socket takes. */
static void visit(struct reader *r, unsigned budget)
{
    struct cursor *c = &r->cursor;
    uint64_t at = c->next;
    struct piece p;
    while (cursor_piece(c, &at, &p)) {
        uint32_t from = p.start;
        uint64_t next = p.next - p.count;
        assert_true(p.count > 0 && p.end > p.start && p.end <= p.chunk->len);
        for (uint32_t i = 0; i < p.count && budget > 0; i++, budget--) {
            uint32_t end;
            assert_int_equal(chunk_frame_at(p.chunk, from, &end), next);
            take_frame(r, p.chunk->bytes + from, end - from);
            from = end;
            next++;
        }
        if (from > p.start) {
            struct chunk *kept = chunk_ref(p.chunk); // as a tail does
            cursor_advance(c, p.chunk, next);
            chunk_unref(kept);
        }
        if (from < p.end)
            return;
    }
    cursor_advance(c, NULL, at);
}

static void visit_some(unsigned visits)
{
    struct feed *f = &world->feed;
    while (visits-- > 0 && !list_empty(&f->link)) {
        struct cursor *c = feed_next(f);
        if (c == NULL) {
            feed_pass_end(f);
            return;
        }
        struct reader *r = container_of(c, struct reader, cursor);
        if (cursor_overrun(c)) {
            if (!c->lost)
                overrun(c);
            continue;
        }
        if (!r->sink.blocked)
            visit(r, below(3) == 0 ? below(20) : 1000000);
        r->sink.blocked |= cursor_behind(c); // the socket is full
        feed_visited(f, c);
    }
}

/* A socket has room again: its sink is visited, not the feed. */
static void unstick(struct reader *r)
{
    struct cursor *c = &r->cursor;
    r->sink.blocked = false;
    if (!r->joined)
        return;
    if (c->lost) {
        c->lost = false;
        cursor_skip(c);
        r->due = c->next;
    } else if (cursor_overrun(c)) {
        overrun(c);
    } else {
        visit(r, 1000000);
    }
}

static void join(struct reader *r)
{
    static const uint16_t masks[] = {FRAME_PUBLICATION, FRAME_PUBLICATION | FRAME_JOIN,
                                     FRAME_PUBLICATION | FRAME_JOIN | FRAME_LEAVE, FRAME_JOIN};
    r->cursor = (struct cursor){.mask = masks[below(4)], .filtered = below(4) == 0};
    r->group = below(3) + 1;
    r->sink.blocked = false;
    r->last_offset = 0;
    assert_true(cursor_join(&r->cursor, &world->feed, &r->sink));
    r->due = r->cursor.next;
    r->joined = true;
}

/* I1 to I4 of feed.c. */
static void check(void)
{
    struct feed *f = &world->feed;
    uint64_t bytes = 0, number = f->oldest != NULL ? f->oldest->first : f->head;
    for (struct chunk *ch = f->oldest; ch != NULL; ch = ch->next) {
        assert_int_equal(ch->first, number);
        assert_true(ch->refs > 0 && ch->count > 0);
        number += ch->count;
        bytes += ch->size;
        assert_true(ch->next != NULL || ch == f->newest);
    }
    assert_int_equal(number, f->head);
    assert_int_equal(bytes, f->bytes);
    assert_true(f->bytes <= f->bytes_max * FEED_BURST || f->oldest == f->newest);
    assert_int_equal(world->outflow.crowded_count, f->bytes > f->bytes_max);
    uint32_t joined = 0, laggards = 0, behind = 0;
    for (int i = 0; i < CURSORS; i++) {
        struct reader *r = &world->readers[i];
        struct cursor *c = &r->cursor;
        if (!r->joined)
            continue;
        joined++;
        assert_ptr_equal(f->cursors[c->index], c);
        assert_true(c->next <= f->head);
        laggards += c->laggard;
        behind += !c->lost && cursor_behind(c);
        if (!c->lost && cursor_behind(c) && f->remaining == 0)
            assert_true(r->sink.blocked); // somebody will come back to it
        /* Up to its offset it has all it wants, and nothing from behind it. */
        if (!c->lost && r->last_offset != 0) {
            assert_true(c->offset >= r->last_offset);
            for (uint64_t frame = r->due; frame < f->head; frame++)
                assert_true(world->frames[frame].offset == 0 || !model_wants(r, frame) ||
                            world->frames[frame].offset > c->offset);
        }
        /* Whatever it has not been given and is not wanted is not owed either. */
        if (!c->lost && !cursor_behind(c)) {
            for (uint64_t frame = r->due; frame < f->head; frame++)
                assert_false(model_wants(r, frame));
        }
    }
    assert_int_equal(joined, f->cursor_count);
    assert_int_equal(laggards, f->laggards);
    assert_true(behind == 0 || f->cursor_count > 0);
    if (list_empty(&f->link) && behind == 0)
        assert_null(f->oldest);
    if (f->oldest == NULL)
        assert_int_equal(world->publications, 0);
}

static void leave(struct reader *r)
{
    cursor_leave(&r->cursor);
    r->joined = false;
}

static void step(void)
{
    struct reader *r = &world->readers[below(CURSORS)];
    switch (below(10)) {
    case 0:
    case 1:
    case 2:
        for (unsigned n = below(30) + 1; n > 0 && world->feed.head < FRAMES; n--) {
            if (world->feed.cursor_count > 0)
                append();
        }
        break;
    case 3:
        if (r->joined)
            leave(r);
        break;
    case 4:
    case 5:
        if (!r->joined)
            join(r);
        break;
    case 6:
        unstick(r);
        break;
    default:
        visit_some(below(2 * CURSORS));
        break;
    }
    check();
}

static void run_model(unsigned seed, uint64_t bytes_max)
{
    world = calloc(1, sizeof(*world));
    world->random = seed;
    outflow_init(&world->outflow);
    feed_init(&world->feed, &world->outflow, &ops, bytes_max);
    for (int i = 0; i < CURSORS; i++)
        sink_init(&world->readers[i].sink);
    for (int i = 0; i < 3000 && world->feed.head < FRAMES; i++)
        step();
    /* In the end everybody's socket takes everything, and nothing is held any more. */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CURSORS; i++)
            unstick(&world->readers[i]);
        visit_some(1000000);
    }
    check();
    assert_null(world->feed.oldest);
    assert_int_equal(world->publications, 0);
    for (int i = 0; i < CURSORS; i++) {
        if (world->readers[i].joined)
            leave(&world->readers[i]);
        assert_null(world->readers[i].sink.cursors);
        assert_null(world->readers[i].sink.first);
    }
    feed_fini(&world->feed);
    assert_true(list_empty(&world->outflow.feeds));
    free(world);
    world = NULL;
}

static void a_feed_behaves_like_its_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 120; seed++)
        run_model(seed, seed % 3 == 0 ? 3000 : seed % 3 == 1 ? 20000 : 1 << 20);
}

/* ---- one by one: what the model has found, or could not ---- */

static void small_world(uint64_t bytes_max)
{
    world = calloc(1, sizeof(*world));
    outflow_init(&world->outflow);
    feed_init(&world->feed, &world->outflow, &ops, bytes_max);
    for (int i = 0; i < CURSORS; i++) {
        sink_init(&world->readers[i].sink);
        world->readers[i].cursor.mask = FRAME_PUBLICATION;
    }
}

static void small_world_end(void)
{
    for (int i = 0; i < CURSORS; i++)
        cursor_leave(&world->readers[i].cursor);
    feed_fini(&world->feed);
    assert_int_equal(world->publications, 0);
    free(world);
    world = NULL;
}

static void plain_join(struct reader *r)
{
    assert_true(cursor_join(&r->cursor, &world->feed, &r->sink));
    r->due = r->cursor.next;
}

/* Who joins in the middle of a round does not take the visit of somebody else. */
static void a_newcomer_takes_nobodys_turn(void **state)
{
    (void)state;
    small_world(1 << 20);
    struct feed *f = &world->feed;
    for (int i = 0; i < 3; i++)
        plain_join(&world->readers[i]);
    f->rover = 2;
    append();
    visit_some(1);
    plain_join(&world->readers[3]);
    visit_some(10);
    for (int i = 0; i < 4; i++)
        assert_int_equal(world->readers[i].cursor.next, f->head);
    assert_null(f->oldest);
    small_world_end();
}

/* Frames of every size, on both sides of what the pool keeps, keep their last byte. */
static void long_frames_are_whole(void **state)
{
    (void)state;
    small_world(1 << 20);
    struct reader *r = &world->readers[0];
    plain_join(r);
    char *text = malloc(80000);
    for (size_t n = 65000; n < 80000; n += 331) {
        uint64_t at = r->cursor.next;
        struct piece p;
        memset(text, (int)(n % 251) + 1, n);
        assert_true(feed_append(&world->feed, (struct str){text, n},
                                (struct frame_info){.class = FRAME_PUBLICATION, .now_ns = 1}));
        assert_true(cursor_piece(&r->cursor, &at, &p));
        assert_int_equal(p.end - p.start, n);
        assert_memory_equal(p.chunk->bytes + p.start, text, n);
        cursor_advance(&r->cursor, p.chunk, p.next);
        visit_some(10);
    }
    free(text);
    assert_null(world->feed.oldest);
    small_world_end();
}

/* A join behind a publication in one piece does not hide the publication's offset. */
static void the_offset_is_of_the_last_publication(void **state)
{
    (void)state;
    small_world(1 << 20);
    struct reader *r = &world->readers[0];
    plain_join(r);
    r->cursor.mask = FRAME_PUBLICATION | FRAME_JOIN;
    for (int i = 0; i < 4; i++)
        assert_true(feed_append(&world->feed, STR("x"),
                                (struct frame_info){.class = i < 2 ? FRAME_PUBLICATION : FRAME_JOIN,
                                                    .offset = i < 2 ? (uint64_t)i + 7 : 0,
                                                    .now_ns = 1}));
    uint64_t at = r->cursor.next;
    struct piece p;
    assert_true(cursor_piece(&r->cursor, &at, &p));
    assert_int_equal(p.count, 4);
    cursor_advance(&r->cursor, p.chunk, p.next);
    assert_int_equal(r->cursor.offset, 8);
    small_world_end();
}

static void nobody_listening_holds_nothing(void **state)
{
    (void)state;
    small_world(1 << 20);
    append();
    assert_null(world->feed.oldest);
    assert_int_equal(world->publications, 0);
    plain_join(&world->readers[0]);
    append();
    assert_int_equal(world->publications, 1);
    cursor_leave(&world->readers[0].cursor);
    assert_null(world->feed.oldest);
    cursor_leave(&world->readers[0].cursor); // harmless
    visit_some(10);
    assert_true(list_empty(&world->feed.link));
    small_world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_feed_behaves_like_its_model),
        cmocka_unit_test(a_newcomer_takes_nobodys_turn),
        cmocka_unit_test(long_frames_are_whole),
        cmocka_unit_test(the_offset_is_of_the_last_publication),
        cmocka_unit_test(nobody_listening_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
