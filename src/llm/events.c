/*
 * events.c - from bytes to the data of events.
 *
 * Why it exists: a network cuts a stream anywhere, inside a line, inside a character, between the
 * two bytes of an end of line; a model's answer must read the same however it was cut.
 *
 * Always true between two calls:
 *   I1. line holds what came since the last end of line, without one.
 *   I2. data holds the data lines of the event under way, a newline between two of them.
 */
#include "llm/events.h"

void event_reader_init(struct event_reader *r, size_t event_max_bytes,
                       bool (*event)(void *ctx, struct str data), void *ctx)
{
    *r = (struct event_reader){.event = event, .ctx = ctx};
    buf_init(&r->line, event_max_bytes);
    buf_init(&r->data, event_max_bytes);
}

void event_reader_fini(struct event_reader *r)
{
    buf_fini(&r->line);
    buf_fini(&r->data);
}

static void dispatch(struct event_reader *r)
{
    if (!r->has_data)
        return;
    r->has_data = false;
    r->stopped = !r->event(r->ctx, buf_str(&r->data));
    buf_clear(&r->data);
}

static bool add_data(struct event_reader *r, struct str value)
{
    bool ok = (!r->has_data || buf_add_char(&r->data, '\n')) && buf_add(&r->data, value);
    r->has_data = true;
    return ok;
}

/* Of the fields only data matters: models give their events neither names nor numbers. */
static bool take_line(struct event_reader *r, struct str line)
{
    if (!r->begun && str_starts(line, STR("\xef\xbb\xbf")))
        line = str_skip(line, 3);
    r->begun = true;
    if (line.n == 0) {
        dispatch(r);
        return true;
    }
    struct str value = line;
    struct str name = str_cut(&value, ':');
    if (!str_eq(name, STR("data")))
        return true; // a comment is a line without a name
    return add_data(r, value.n > 0 && value.p[0] == ' ' ? str_skip(value, 1) : value);
}

/* The line that ends here: its begin may have come with earlier pieces. */
static bool end_line(struct event_reader *r, struct str end)
{
    if (r->line.len == 0) // the limit is the same for a line that was not cut
        return end.n <= r->line.max && take_line(r, end);
    bool ok = buf_add(&r->line, end) && take_line(r, buf_str(&r->line));
    buf_clear(&r->line);
    return ok;
}

static size_t line_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r')
        n++;
    return n;
}

bool event_reader_feed(struct event_reader *r, struct str piece)
{
    while (piece.n > 0 && !r->stopped) {
        if (r->after_cr && piece.p[0] == '\n') {
            r->after_cr = false;
            piece = str_skip(piece, 1);
            continue;
        }
        size_t n = line_length(piece);
        struct str part = {piece.p, n};
        r->after_cr = n < piece.n && piece.p[n] == '\r';
        if (n == piece.n)
            return buf_add(&r->line, part);
        if (!end_line(r, part))
            return false;
        piece = str_skip(piece, n + 1);
    }
    return true;
}

bool event_reader_end(struct event_reader *r)
{
    if (r->stopped)
        return true;
    if (r->line.len > 0 && !end_line(r, STR_NONE))
        return false;
    if (!r->stopped)
        dispatch(r);
    return true;
}
