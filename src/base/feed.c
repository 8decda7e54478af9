/*
 * feed.c - a short log of encoded frames and the cursors that follow it.
 *
 * Why it exists: fan-out is bound by the number of sends, not by their size. A log that everybody
 * reads from at his own position turns any number of waiting messages into one send per
 * subscriber, with no work per subscriber and message.
 *
 * Always true between two calls:
 *   I1. the chunks hold the frames oldest->first .. head - 1, without a gap; none: all of them
 *       have been dropped or delivered.
 *   I2. a cursor's next is at most the head.
 *   I3. cursors[c->index] == c for every joined cursor.
 *   I4. while a cursor is behind, it will be visited (remaining > 0), or its sink is blocked or
 *       woken, or it is counted as a laggard.
 */
#include "base/feed.h"

#include "base/must.h"
#include "base/pool.h"

#include <stdlib.h>

void outflow_init(struct outflow *o)
{
    *o = (struct outflow){0};
    list_init(&o->feeds);
    list_init(&o->sinks);
}

void sink_init(struct sink *s)
{
    *s = (struct sink){0};
    list_init(&s->link);
}

void sink_wake(struct outflow *o, struct sink *s)
{
    if (list_empty(&s->link))
        list_add(&o->sinks, &s->link);
}

void sink_hold(struct sink *s)
{
    s->held = true;
}

void sink_release(struct outflow *o, struct sink *s)
{
    s->held = false;
    sink_wake(o, s);
}

void sink_move(struct outflow *o, struct sink *from, struct sink *to)
{
    struct cursor **end = &to->cursors;
    while (*end != NULL)
        end = &(*end)->next_in_sink;
    *end = from->cursors;
    for (struct cursor *c = from->cursors; c != NULL; c = c->next_in_sink)
        c->sink = to;
    to->cursor_count += from->cursor_count;
    to->has_lost |= from->has_lost;
    to->held |= from->held;
    from->cursors = from->first = NULL;
    from->cursor_count = 0;
    from->has_lost = from->held = false;
    if (!to->closed)
        sink_wake(o, to);
}

void feed_init(struct feed *f, struct outflow *o, const struct feed_ops *ops, uint64_t bytes_max)
{
    *f = (struct feed){
        .ops = ops, .outflow = o, .bytes_max = bytes_max, .chunk_size = FEED_CHUNK_MIN, .head = 1};
    list_init(&f->link);
}

/* ---- chunks ---- */

/* Notes grow down from the end of the bytes; note 0 is the last struct of the block. */
static struct frame_note *chunk_note(const struct chunk *ch, uint32_t i)
{
    return (struct frame_note *)(uintptr_t)(ch->bytes + ch->size) - 1 - i;
}

static uint32_t chunk_start_of(const struct chunk *ch, uint32_t i)
{
    return i == 0 ? 0 : chunk_note(ch, i - 1)->end;
}

static bool chunk_fits(const struct chunk *ch, size_t n)
{
    return ch->size - ch->len >= n + ((size_t)ch->count + 1) * sizeof(struct frame_note);
}

static struct chunk *chunk_new(struct feed *f, size_t frame_bytes)
{
    /* A quarter of the log at most, so that dropping the oldest chunk takes nobody by surprise. */
    if (f->newest != NULL && f->chunk_size < FEED_CHUNK_MAX && f->chunk_size <= f->bytes_max / 8)
        f->chunk_size *= 2;
    size_t want = f->chunk_size;
    /* The notes are aligned from the end: what rounding takes away must not be the frame's. */
    size_t least = ((frame_bytes + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1)) +
                   sizeof(struct frame_note);
    if (want < sizeof(struct chunk) + least)
        want = sizeof(struct chunk) + least;
    struct chunk *ch = pool_alloc(want);
    if (ch == NULL)
        return NULL;
    size_t room = pool_size(ch) - sizeof(struct chunk);
    *ch = (struct chunk){.refs = 1, .first = f->head, .ops = f->ops};
    ch->size = (uint32_t)(room & ~(sizeof(uint64_t) - 1)); // notes stay aligned
    return ch;
}

struct chunk *chunk_ref(struct chunk *ch)
{
    ch->refs++;
    return ch;
}

void chunk_unref(struct chunk *ch)
{
    MUST(ch->refs > 0);
    if (--ch->refs > 0)
        return;
    for (uint32_t i = 0; i < ch->count; i++) {
        void *pub = chunk_note(ch, i)->publication;
        if (pub != NULL)
            ch->ops->release(pub);
    }
    pool_free(ch);
}

static void feed_count_bytes(struct feed *f, int64_t change)
{
    gauge_add(&f->outflow->log_bytes, change);
    bool was_crowded = f->bytes > f->bytes_max;
    f->bytes += (uint64_t)change;
    bool is_crowded = f->bytes > f->bytes_max;
    f->outflow->crowded_count += (uint32_t)is_crowded - (uint32_t)was_crowded;
}

static void feed_drop_oldest(struct feed *f)
{
    struct chunk *ch = f->oldest;
    f->oldest = ch->next;
    if (f->oldest == NULL)
        f->newest = NULL;
    feed_count_bytes(f, -(int64_t)ch->size);
    ch->next = NULL;
    chunk_unref(ch);
}

static void feed_drop_all(struct feed *f)
{
    bool roomy = f->newest != NULL && f->newest == f->oldest && f->newest->len < f->chunk_size / 4;
    if (roomy && f->chunk_size > FEED_CHUNK_MIN)
        f->chunk_size /= 2;
    while (f->oldest != NULL)
        feed_drop_oldest(f);
}

void feed_fini(struct feed *f)
{
    MUST(f->cursor_count == 0);
    feed_drop_all(f);
    list_remove(&f->link);
    free(f->cursors);
    f->cursors = NULL;
}

/* The first frame that somebody lacks whose socket would take it: he waits for his visit. */
static uint64_t feed_first_owed(const struct feed *f)
{
    uint64_t first = f->head;
    for (uint32_t i = 0; i < f->cursor_count; i++) {
        const struct cursor *c = f->cursors[i];
        if (c->next < first && !c->lost && !c->sink->blocked && !c->sink->closed)
            first = c->next;
    }
    return first;
}

/* A feed's own limit, or when all together hold too much, a small part of it. */
static uint64_t feed_limit(const struct feed *f)
{
    const struct outflow *o = f->outflow;
    uint64_t held = (uint64_t)gauge_get(&o->log_bytes);
    bool scarce = o->log_bytes_max > 0 && held > o->log_bytes_max;
    return scarce ? f->bytes_max / FEED_SCARCE : f->bytes_max;
}

/* Back to the limit. Whoever still needed what goes is found out at his next visit. */
static void feed_shrink(struct feed *f)
{
    uint64_t limit = feed_limit(f);
    while (f->bytes > limit * FEED_BURST && f->oldest != f->newest)
        feed_drop_oldest(f);
    if (f->bytes <= limit)
        return;
    uint64_t owed = feed_first_owed(f);
    while (f->bytes > limit && f->oldest != f->newest &&
           f->oldest->first + f->oldest->count <= owed)
        feed_drop_oldest(f);
}

/* A chunk with room for n bytes at the end of the log, or NULL. */
static struct chunk *feed_room(struct feed *f, size_t n)
{
    if (f->newest != NULL && chunk_fits(f->newest, n))
        return f->newest;
    struct chunk *ch = chunk_new(f, n);
    if (ch == NULL)
        return NULL;
    if (f->newest != NULL)
        f->newest->next = ch;
    else
        f->oldest = ch;
    f->newest = ch;
    feed_count_bytes(f, ch->size);
    feed_shrink(f);
    return ch;
}

static void feed_mark(struct feed *f, uint64_t now_ns)
{
    f->remaining = f->cursor_count;
    f->all_reached = true;
    if (f->since_ns == 0)
        f->since_ns = now_ns;
    if (list_empty(&f->link))
        list_add(&f->outflow->feeds, &f->link);
}

bool feed_append(struct feed *f, struct str bytes, struct frame_info info)
{
    struct chunk *ch = f->cursor_count > 0 ? feed_room(f, bytes.n) : NULL;
    if (ch == NULL) {
        if (info.publication != NULL)
            f->ops->release(info.publication);
        return f->cursor_count == 0;
    }
    memcpy(ch->bytes + ch->len, bytes.p, bytes.n);
    ch->len += (uint32_t)bytes.n;
    *chunk_note(ch, ch->count) = (struct frame_note){
        .end = ch->len,
        .class = info.class,
        .offset = info.offset,
        .publication = info.publication,
    };
    ch->count++;
    ch->special |= info.special || info.class != FRAME_PUBLICATION;
    ch->numbered |= info.offset != 0;
    f->head++;
    feed_mark(f, info.now_ns);
    return true;
}

/* ---- cursors ---- */

static bool feed_grow(struct feed *f)
{
    uint32_t cap = f->cursor_cap ? f->cursor_cap * 2 : 1;
    struct cursor **cursors = realloc(f->cursors, cap * sizeof(*cursors));
    if (cursors == NULL)
        return false;
    f->cursors = cursors;
    f->cursor_cap = cap;
    return true;
}

bool cursor_join(struct cursor *c, struct feed *f, struct sink *s)
{
    if (f->cursor_count == f->cursor_cap && !feed_grow(f))
        return false;
    c->feed = f;
    c->sink = s;
    c->next = f->head;
    c->laggard = false;
    c->lost = false;
    c->index = f->cursor_count;
    f->cursors[f->cursor_count++] = c;
    c->next_in_sink = s->cursors;
    s->cursors = c;
    s->cursor_count++;
    if (f->remaining > 0)
        f->remaining++; // it may stand between the rover and those not yet seen
    return true;
}

static void laggard_done(struct cursor *c)
{
    struct feed *f = c->feed;
    if (!c->laggard)
        return;
    c->laggard = false;
    f->laggards--;
    /* Within a pass somebody else may just have stayed behind: its end counts anew. */
    if (f->laggards == 0 && list_empty(&f->link))
        feed_drop_all(f);
}

void cursor_leave(struct cursor *c)
{
    struct feed *f = c->feed;
    if (f == NULL)
        return;
    laggard_done(c);
    struct cursor *last = f->cursors[--f->cursor_count];
    f->cursors[c->index] = last;
    last->index = c->index;
    if (f->remaining > 0)
        f->remaining = f->cursor_count; // the one that moved may not have been seen
    f->round_min = 0;
    if (f->cursor_count == 0)
        feed_drop_all(f);

    struct cursor **at = &c->sink->cursors;
    while (*at != c)
        at = &(*at)->next_in_sink;
    *at = c->next_in_sink;
    if (c->sink->first == c)
        c->sink->first = c->next_in_sink;
    c->sink->cursor_count--;
    c->feed = NULL;
    c->sink = NULL;
}

void cursor_skip(struct cursor *c)
{
    cursor_advance(c, NULL, c->feed->head);
}

void cursor_lose(struct cursor *c)
{
    cursor_skip(c);
    c->lost = true;
    c->sink->has_lost = true;
}

/* The last publication with an offset among the frames it gets now: joins and leaves have none. */
static void cursor_note_offset(struct cursor *c, const struct chunk *ch, uint64_t next)
{
    uint64_t from = c->next > ch->first ? c->next : ch->first;
    for (uint64_t frame = next; frame > from; frame--) {
        uint64_t offset = chunk_note(ch, (uint32_t)(frame - 1 - ch->first))->offset;
        if (offset != 0) {
            c->offset = offset;
            return;
        }
    }
}

void cursor_advance(struct cursor *c, const struct chunk *ch, uint64_t next)
{
    MUST(next <= c->feed->head);
    if (ch != NULL && ch->numbered)
        cursor_note_offset(c, ch, next);
    c->next = next;
    if (next == c->feed->head)
        laggard_done(c);
}

uint64_t chunk_frame_at(const struct chunk *ch, uint32_t at, uint32_t *ret_end)
{
    uint32_t lo = 0, hi = ch->count - 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (chunk_note(ch, mid)->end > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    *ret_end = chunk_note(ch, lo)->end;
    return ch->first + lo;
}

static struct chunk *feed_chunk(const struct feed *f, uint64_t frame)
{
    if (f->newest != NULL && frame >= f->newest->first)
        return f->newest;
    struct chunk *ch = f->oldest;
    while (ch != NULL && frame >= ch->first + ch->count)
        ch = ch->next;
    return ch;
}

static bool frame_wanted(const struct cursor *c, const struct frame_note *note)
{
    if ((c->mask & note->class) == 0)
        return false;
    return note->publication == NULL || c->feed->ops->wants(c, note);
}

/* The run of wanted frames of ch at or behind index *i; false: none, *i is the count. */
static bool chunk_run(const struct cursor *c, struct chunk *ch, uint32_t *i, struct piece *ret)
{
    while (*i < ch->count && !frame_wanted(c, chunk_note(ch, *i)))
        ++*i;
    if (*i == ch->count)
        return false;
    uint32_t from = *i;
    while (*i < ch->count && frame_wanted(c, chunk_note(ch, *i)))
        ++*i;
    *ret = (struct piece){ch, chunk_start_of(ch, from), chunk_note(ch, *i - 1)->end, *i - from,
                          ch->first + *i};
    return true;
}

bool cursor_piece(const struct cursor *c, uint64_t *at, struct piece *ret)
{
    const struct feed *f = c->feed;
    if (*at >= f->head)
        return false;
    for (struct chunk *ch = feed_chunk(f, *at); ch != NULL; ch = ch->next) {
        uint32_t i = *at > ch->first ? (uint32_t)(*at - ch->first) : 0;
        bool found;
        if (!ch->special && !c->filtered && (c->mask & FRAME_PUBLICATION)) {
            *ret = (struct piece){ch, chunk_start_of(ch, i), ch->len, ch->count - i,
                                  ch->first + ch->count};
            i = ch->count;
            found = true;
        } else {
            found = chunk_run(c, ch, &i, ret);
        }
        *at = ch->first + i;
        if (found)
            return true;
    }
    *at = f->head;
    return false;
}

/* ---- rounds ---- */

/* Frees the chunks that end at or before position. */
static void feed_trim(struct feed *f, uint64_t position)
{
    while (f->oldest != NULL && f->oldest != f->newest &&
           f->oldest->first + f->oldest->count <= position)
        feed_drop_oldest(f);
}

struct cursor *feed_next(struct feed *f)
{
    if (f->remaining == 0)
        return NULL;
    if (f->rover >= f->cursor_count) {
        feed_trim(f, f->round_min);
        f->rover = 0;
        f->round_min = UINT64_MAX;
    }
    f->remaining--;
    struct cursor *c = f->cursors[f->rover++];
    /* The sends between two visits push everything out of the nearest cache. */
    if (f->rover + 1 < f->cursor_count) {
        __builtin_prefetch(f->cursors[f->rover + 1]);
        __builtin_prefetch(f->cursors[f->rover]->sink);
    }
    return c;
}

void feed_visited(struct feed *f, const struct cursor *c)
{
    if (c->lost)
        return; // holds nothing of the log
    if (c->next < f->round_min)
        f->round_min = c->next;
    if (c->next < f->head)
        f->all_reached = false;
}

/* Everybody has been seen; some are behind because their sockets are full. */
static void feed_count_laggards(struct feed *f)
{
    uint64_t least = f->head;
    f->laggards = 0;
    for (uint32_t i = 0; i < f->cursor_count; i++) {
        struct cursor *c = f->cursors[i];
        c->laggard = !c->lost && c->next < f->head;
        f->laggards += c->laggard;
        if (!c->lost && c->next < least)
            least = c->next;
    }
    feed_trim(f, least);
    feed_shrink(f);
    if (f->laggards == 0)
        feed_drop_all(f);
}

void feed_pass_end(struct feed *f)
{
    MUST(f->remaining == 0);
    list_remove(&f->link);
    f->since_ns = 0;
    if (f->all_reached) {
        for (uint32_t i = 0; f->laggards > 0 && i < f->cursor_count; i++)
            f->cursors[i]->laggard = false;
        f->laggards = 0;
        feed_drop_all(f);
    } else {
        feed_count_laggards(f);
    }
}
