/*
 * logbook.c - the newest log lines, in memory.
 *
 * Always true:
 *   I1. a line is told once, and after every line with a smaller seq that is told at all.
 *   I2. the lock is never held while something is told, stored or logged.
 */
#include "monitor/logbook_priv.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { LOOK_AT_ONCE = 256 };

/* ---- lines ---- */

bool log_rank_read(struct str text, enum log_rank *ret)
{
    static const struct {
        struct str name;
        enum log_rank rank;
    } ranks[] = {
        {{"debug", 5}, RANK_DEBUG},     {{"trace", 5}, RANK_DEBUG},  {{"info", 4}, RANK_INFO},
        {{"warning", 7}, RANK_WARNING}, {{"warn", 4}, RANK_WARNING}, {{"error", 5}, RANK_ERROR},
        {{"critical", 8}, RANK_ERROR},  {{"fatal", 5}, RANK_ERROR},
    };
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        if (!str_eq_nocase(text, ranks[i].name))
            continue;
        *ret = ranks[i].rank;
        return true;
    }
    return false;
}

/* Not in the middle of a character. */
static struct str text_cut(struct str s, size_t most)
{
    if (s.n <= most)
        return s;
    while (most > 0 && ((unsigned char)s.p[most] & 0xc0) == 0x80)
        most--;
    return (struct str){s.p, most};
}

/* What is no UTF-8, or a zero, becomes a question mark: databases refuse both. */
static struct str text_put(char **at, struct str s)
{
    struct str copy = str_put(at, s);
    char *p = *at - s.n, *end = *at;
    while (p < end) {
        size_t n = *p != '\0' ? utf8_sequence(p, end) : 0;
        if (n == 0)
            *p = '?';
        p += n > 0 ? n : 1;
    }
    return copy;
}

struct log_line *log_line_make(struct str tenant, const struct log_entry *e)
{
    struct str level = text_cut(e->level, LOG_LEVEL_MAX),
               source = text_cut(e->source, LOG_SOURCE_MAX);
    struct str message = text_cut(e->message, LOG_MESSAGE_MAX);
    struct log_line *l = malloc(sizeof(*l) + tenant.n + level.n + source.n + message.n);
    if (l == NULL)
        return NULL;
    char *at = l->bytes;
    *l = (struct log_line){.time_ms = e->time_ms, .rank = RANK_INFO};
    atomic_init(&l->refs, 1);
    (void)log_rank_read(level, &l->rank);
    l->tenant = str_put(&at, tenant);
    l->level = text_put(&at, level);
    l->source = text_put(&at, source);
    l->message = text_put(&at, message);
    return l;
}

static struct log_line *log_line_ref(struct log_line *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void log_line_unref(struct log_line *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        free(l);
}

size_t log_line_bytes(const struct log_line *l)
{
    return sizeof(*l) + l->tenant.n + l->level.n + l->source.n + l->message.n;
}

bool log_line_write(struct buf *out, const struct log_line *l, bool with_null)
{
    char time[ISO_TIME_MAX];
    struct json_writer w;
    size_t n = iso_time_ms(l->time_ms, time);
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("level")), l->level);
    json_put_string(json_key(&w, STR("message")), l->message);
    if (l->source.n > 0)
        json_put_string(json_key(&w, STR("source")), l->source);
    else if (with_null)
        json_put_null(json_key(&w, STR("source")));
    json_put_string(json_key(&w, STR("time")), (struct str){time, n});
    json_put_u64(json_key(&w, STR("seq")), l->seq);
    json_close_object(&w);
    return json_done(&w);
}

/* ---- telling ---- */

static bool has_room_to_tell(const struct logbook *b, size_t count, uint64_t bytes)
{
    return count <= TELL_MAX - b->waiting_count && bytes <= TELL_MAX_BYTES - b->waiting_bytes;
}

/* Takes the reference. */
static void enter(struct logbook *b, struct log_line *l, bool tell)
{
    l->seq = b->newest + 1;
    b->line_total++;
    logbook_keep(b, l);
    if (!tell) {
        b->dropped_total++;
        log_line_unref(l);
        return;
    }
    l->next = NULL;
    *b->last = l;
    b->last = &l->next;
    b->waiting_count++;
    b->waiting_bytes += log_line_bytes(l);
}

static void ring_the_bell(struct logbook *b, bool needed)
{
    if (needed)
        loop_post(b->o.loop, &b->mail);
}

static struct log_line *take_waiting(struct logbook *b, bool *ret_more)
{
    pthread_mutex_lock(&b->lock);
    struct log_line *taken = b->first, **at = &taken;
    for (int i = 0; i < TELL_A_TURN && *at != NULL; i++) {
        b->waiting_count--;
        b->waiting_bytes -= log_line_bytes(*at);
        at = &(*at)->next;
    }
    b->first = *at;
    *at = NULL;
    if (b->first == NULL)
        b->last = &b->first;
    *ret_more = b->mailed = b->first != NULL;
    pthread_mutex_unlock(&b->lock);
    return taken;
}

static void lines_wait(struct mail *m, struct loop *l)
{
    struct logbook *b = container_of(m, struct logbook, mail);
    bool more;
    struct log_line *line = take_waiting(b, &more), *next;
    (void)l;
    atomic_store(&b->teller, pthread_self());
    atomic_store(&b->telling, true);
    for (; line != NULL; line = next) {
        next = line->next;
        b->o.tell(b->o.ctx, line);
        log_line_unref(line);
    }
    atomic_store(&b->telling, false);
    ring_the_bell(b, more);
    logbook_store_soon(b);
}

/* ---- adding ---- */

static void lines_free(struct log_line *l)
{
    while (l != NULL) {
        struct log_line *next = l->next;
        free(l);
        l = next;
    }
}

/* The lines, linked; NULL: no memory, or there are none. */
static struct log_line *lines_make(struct str tenant, const struct log_entry *entries, size_t count,
                                   uint64_t *ret_bytes)
{
    struct log_line *first = NULL, **last = &first;
    *ret_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        *last = log_line_make(tenant, &entries[i]);
        if (*last == NULL) {
            lines_free(first);
            return NULL;
        }
        *ret_bytes += log_line_bytes(*last);
        last = &(*last)->next;
    }
    return first;
}

bool logbook_add(struct logbook *b, struct str tenant, const struct log_entry *entries,
                 size_t count)
{
    uint64_t bytes;
    struct log_line *l = lines_make(tenant, entries, count, &bytes), *next;
    if (l == NULL)
        return count == 0;
    pthread_mutex_lock(&b->lock);
    bool ok = has_room_to_tell(b, count, bytes);
    for (; ok && l != NULL; l = next) {
        next = l->next;
        enter(b, l, true);
    }
    bool bell = ok && !b->mailed;
    b->mailed |= ok;
    pthread_mutex_unlock(&b->lock);
    ring_the_bell(b, bell);
    lines_free(l); // none when it went well
    return ok;
}

void logbook_add_own(struct logbook *b, struct str tenant, const struct log_entry *e)
{
    if (atomic_load(&b->telling) && pthread_equal(atomic_load(&b->teller), pthread_self()))
        return;
    struct log_line *l = log_line_make(tenant, e);
    if (l == NULL)
        return;
    l->own = true;
    pthread_mutex_lock(&b->lock);
    bool tell = has_room_to_tell(b, 1, log_line_bytes(l));
    enter(b, l, tell);
    bool bell = tell && !b->mailed;
    b->mailed |= tell;
    pthread_mutex_unlock(&b->lock);
    ring_the_bell(b, bell);
}

/* ---- reading ---- */

/* Up to max lines of a tenant, newest first, with a reference each, from *next on; NULL: from the
 * newest on. *next becomes the one that follows, with a reference; NULL: there is none. When it was
 * dropped meanwhile, so was everything before it. */
static size_t take_some(struct logbook *b, struct str tenant, struct log_line **next,
                        struct log_line **ret, size_t max)
{
    struct log_line *from = *next, *l;
    size_t n = 0;
    pthread_mutex_lock(&b->lock);
    if (from == NULL)
        l = logbook_newest(b, tenant);
    else
        l = from->shelf != NULL ? from : NULL;
    for (; n < max && l != NULL; l = l->older)
        ret[n++] = log_line_ref(l);
    *next = l != NULL ? log_line_ref(l) : NULL;
    pthread_mutex_unlock(&b->lock);
    if (from != NULL)
        log_line_unref(from);
    return n;
}

/* Small ASCII letters, into as many bytes. */
static struct str text_fold(struct str s, char at[LOG_MESSAGE_MAX])
{
    MUST(s.n <= LOG_MESSAGE_MAX);
    for (size_t i = 0; i < s.n; i++)
        at[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 0x20 : s.p[i]);
    return (struct str){at, s.n};
}

/* part is folded already, and not empty. Megabytes are looked through while a loop waits: each byte
 * is folded once, and libc does the rest. */
static bool text_has(struct str text, struct str part)
{
    char at[LOG_MESSAGE_MAX];
    return str_find(text_fold(text, at), part) < text.n;
}

static bool line_matches(const struct log_line *l, const struct logbook_query *q)
{
    return l->seq < q->before && l->rank >= q->least &&
           (q->source.n == 0 || str_eq(l->source, q->source)) &&
           (q->text.n == 0 || text_has(l->message, q->text));
}

/* Of one piece of a walk; q->before is not 0. */
static void look_at(struct log_line **some, size_t n, const struct logbook_query *q,
                    struct log_line **ret, size_t *found, bool *ret_more)
{
    for (size_t i = 0; i < n; i++) {
        bool matches = !*ret_more && line_matches(some[i], q);
        if (matches && *found < q->limit) {
            ret[(*found)++] = some[i];
            continue;
        }
        *ret_more |= matches;
        log_line_unref(some[i]);
    }
}

static void reverse(struct log_line **lines, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct log_line *l = lines[i];
        lines[i] = lines[count - 1 - i];
        lines[count - 1 - i] = l;
    }
}

size_t logbook_read(struct logbook *b, const struct logbook_query *asked, struct log_line **ret,
                    bool *ret_more, uint64_t *ret_newest)
{
    struct log_line *some[LOOK_AT_ONCE], *next = NULL;
    struct logbook_query q = *asked;
    char at[LOG_MESSAGE_MAX];
    size_t found = 0;
    pthread_mutex_lock(&b->lock);
    *ret_newest = b->newest;
    pthread_mutex_unlock(&b->lock);
    *ret_more = false;
    if (q.text.n > LOG_MESSAGE_MAX)
        return 0; // no line is so long
    if (q.before == 0 || q.before > *ret_newest)
        q.before = *ret_newest + 1;
    q.text = text_fold(q.text, at);
    do {
        size_t n = take_some(b, q.tenant, &next, some, LOOK_AT_ONCE);
        look_at(some, n, &q, ret, &found, ret_more);
    } while (next != NULL && !*ret_more);
    if (next != NULL)
        log_line_unref(next);
    reverse(ret, found);
    return found;
}

void logbook_read_stats(struct logbook *b, struct logbook_stats *ret)
{
    pthread_mutex_lock(&b->lock);
    *ret = (struct logbook_stats){b->line_total, b->dropped_total, b->count};
    pthread_mutex_unlock(&b->lock);
}

/* ---- birth and end ---- */

static void store_due(struct timer *t)
{
    (void)logbook_store(container_of(t, struct logbook, timer));
}

struct logbook *logbook_create(const struct logbook_options *o)
{
    struct logbook *b = calloc(1, sizeof(*b));
    struct shelf **shelves = calloc(o->keep, sizeof(*shelves));
    if (b == NULL || shelves == NULL) {
        free(shelves);
        free(b);
        return NULL;
    }
    b->o = *o;
    b->shelves = shelves;
    map_init(&b->tenants, o->keep);
    list_init(&b->lines);
    list_init(&b->holes);
    b->unsaved = &b->lines;
    b->last = &b->first;
    b->mail.deliver = lines_wait;
    timer_init(&b->timer, store_due);
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void logbook_flush(struct logbook *b)
{
    while (logbook_store(b))
        continue;
}

void logbook_destroy(struct logbook **bp)
{
    struct logbook *b = *bp;
    *bp = NULL;
    if (b == NULL)
        return;
    timer_cancel(&b->timer);
    logbook_clear(b);
    while (b->first != NULL) {
        struct log_line *next = b->first->next;
        log_line_unref(b->first);
        b->first = next;
    }
    pthread_mutex_destroy(&b->lock);
    map_fini(&b->tenants);
    free(b->shelves);
    free(b);
}
