/* fake_session.h - a dialect without a wire: what a session is told is written into a buffer, a
 * line each, and what its feeds hold for it is read by hand. Thread:  the session's loop. Memory:
 * the test's. Failure: asserted. */
#ifndef TESTS_HUB_FAKE_SESSION_H
#define TESTS_HUB_FAKE_SESSION_H

#include "base/must.h"
#include "base/random.h"
#include "hub/hub.h"

#include <stdio.h>
#include <stdlib.h>

struct fake {
    struct session session;
    struct sink sink;
    struct buf told;
    bool buried, resyncs;
};

static inline struct fake *fake_of(struct session *s)
{
    return container_of(s, struct fake, session);
}

/* "channel#offset data" and so on: the frames of the fake encoding. */
static inline bool fake_encode(const struct encoding *e, struct str channel,
                               const struct publication *p, struct buf *out)
{
    static const char *const kinds[] = {"", "+", "-"};
    (void)e;
    return buf_add_format(out, "%s%.*s#%lu %.*s%.*s\n", kinds[p->kind], STR_FMT(channel),
                          (unsigned long)p->offset, STR_FMT(p->data), STR_FMT(p->info));
}

static const struct encoding fake_encoding = {.name = "fake", .encode = fake_encode};

static inline const struct encoding *fake_encoding_of(struct session *s)
{
    (void)s;
    return &fake_encoding;
}

static inline void fake_subscribed(struct session *s, struct subscription *sub,
                                   const struct answer *a)
{
    (void)a;
    buf_add_format(&fake_of(s)->told, "subscribed %.*s\n", STR_FMT(subscription_channel(sub)));
}

static inline void fake_unsubscribed(struct session *s, struct str channel, unsigned code,
                                     struct str reason)
{
    buf_add_format(&fake_of(s)->told, "unsubscribed %.*s %u %.*s\n", STR_FMT(channel), code,
                   STR_FMT(reason));
}

static inline void fake_disconnect(struct session *s, enum close_reason reason, unsigned code,
                                   struct str text)
{
    (void)text;
    buf_add_format(&fake_of(s)->told, "disconnect %s %u\n", close_name(reason), code);
}

static inline void fake_resync(struct session *s, struct subscription *sub,
                               struct publication *const *pubs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fake_encode(NULL, subscription_channel(sub), pubs[i], &fake_of(s)->told);
}

static inline void fake_bury(struct session *s)
{
    fake_of(s)->buried = true;
}

static const struct session_ops fake_ops = {
    .dialect = "fake",
    .encoding = fake_encoding_of,
    .subscribed = fake_subscribed,
    .unsubscribed = fake_unsubscribed,
    .disconnect = fake_disconnect,
    .resync = fake_resync,
    .bury = fake_bury,
};

static inline struct fake *fake_open(struct hub *hub, const char *tenant, const char *user)
{
    struct fake *f = calloc(1, sizeof(*f));
    MUST(f != NULL);
    buf_init(&f->told, 64 << 20);
    sink_init(&f->sink);
    uuid_make(f->session.client);
    f->session.tenant = str_from(tenant);
    f->session.user = str_from(user);
    MUST(session_open(&f->session, hub, &fake_ops, &f->sink));
    return f;
}

/* What its feeds hold for it goes to told; lost cursors are resynchronised. */
static inline void fake_read(struct fake *f)
{
    for (struct cursor *c = f->sink.cursors; c != NULL; c = c->next_in_sink) {
        uint64_t at = c->next;
        struct piece p;
        if (cursor_overrun(c)) {
            c->feed->ops->overrun(c);
            continue;
        }
        while (cursor_piece(c, &at, &p)) {
            MUST(buf_add(&f->told, (struct str){p.chunk->bytes + p.start, p.end - p.start}));
            cursor_advance(c, p.chunk, p.next);
        }
        cursor_advance(c, NULL, at);
    }
    list_remove(&f->sink.link);
}

static inline void fake_close(struct fake *f)
{
    session_close(&f->session);
}

/* After the last reference has gone. */
static inline void fake_free(struct fake *f)
{
    MUST(f->buried);
    buf_fini(&f->told);
    free(f);
}

#endif
