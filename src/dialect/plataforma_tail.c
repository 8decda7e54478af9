/*
 * plataforma_tail.c - /ws/logs?tail=N: what was logged before the client came.
 *
 * Always true: the client gets each line once. Its subscriptions are there, and what they bring is
 * held back, when the newest lines are looked at; up to the newest of them, what they bring is left
 * out.
 */
#include "dialect/plataforma_priv.h"

#include "monitor/logbook.h"

#include <stdlib.h>

enum { DATA_MAX = 8 * LOG_MESSAGE_MAX };

static void send_line(struct plat_session *ps, const struct log_line *l)
{
    struct buf data, frame;
    buf_init(&data, DATA_MAX);
    if (log_line_write(&data, l, false)) {
        const struct publication p = {.channel = STR("logs"),
                                      .type = STR("log_message"),
                                      .data = buf_str(&data),
                                      .time_ms = l->time_ms};
        buf_init(&frame, plat_event_bytes_max(p.channel, &p));
        if (plat_event_write(&frame, p.channel, &p))
            plat_send(ps, buf_str(&frame));
        buf_fini(&frame);
    }
    buf_fini(&data);
}

/* How many of the newest fit into half of what may wait for the session. */
static size_t count_that_fits(const struct plat_session *ps, struct log_line *const *lines,
                              size_t count)
{
    size_t room = ps->ws.endpoint->ws.out_max_bytes / 2, n = 0;
    while (n < count) {
        const struct log_line *l = lines[count - 1 - n];
        size_t bytes = 512 + 2 * (l->message.n + l->source.n);
        if (bytes > room)
            break;
        room -= bytes;
        n++;
    }
    return n;
}

void plat_tail_send(struct plat_session *ps)
{
    struct logbook *book = ps->ws.endpoint->logbook;
    struct log_line **lines =
        ps->tail > 0 && book != NULL ? calloc(ps->tail, sizeof(*lines)) : NULL;
    const struct logbook_query q = {.tenant = ps->ws.session.tenant,
                                    .least = (enum log_rank)ps->member->least,
                                    .source = ps->member->source,
                                    .limit = ps->tail};
    bool more;
    if (lines == NULL)
        return;
    size_t count = logbook_read(book, &q, lines, &more, &ps->tail_seq);
    size_t from = count - count_that_fits(ps, lines, count);
    for (size_t i = 0; i < count; i++) {
        if (i >= from)
            send_line(ps, lines[i]);
        log_line_unref(lines[i]);
    }
    free(lines);
}
