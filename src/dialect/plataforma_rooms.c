/*
 * plataforma_rooms.c - who of one loop follows a channel.
 *
 * Why it exists: the statistics say how many messages were sent, and they must be true. An event is
 * encoded once for all who follow its channel: there, on the loop that sends it, they are counted,
 * without a lock and without looking at those who get everything.
 *
 * Always true between two calls: a seat that is taken is in one list of its room, and plain_counts
 * are the plain seats by framing.
 */
#include "dialect/plataforma_priv.h"

#include "base/must.h"

#include <stdlib.h>

static int framing_of(const struct plat_seat *seat)
{
    return ws_framing_index(seat->session->ws.carrier->framing);
}

static struct plat_room *room_find(const struct plat_loop *pl, struct str tenant,
                                   struct str channel, char *at)
{
    struct str key = {at, tenant.n + 1 + channel.n};
    (void)str_put(&at, tenant);
    *at++ = '\0';
    (void)str_put(&at, channel);
    struct map_node *n = map_find(&pl->rooms, key);
    return n != NULL ? container_of(n, struct plat_room, node) : NULL;
}

enum { KEY_MAX = NAME_BYTES_MAX + 1 + CHANNEL_NAME_MOST };

static struct plat_room *room_get(struct plat_session *ps, struct str channel)
{
    char at[KEY_MAX];
    struct plat_loop *pl = ps->loop;
    struct str tenant = ps->ws.session.tenant;
    MUST(tenant.n + 1 + channel.n <= sizeof(at));
    struct plat_room *room = room_find(pl, tenant, channel, at);
    if (room != NULL)
        return room;
    size_t n = tenant.n + 1 + channel.n;
    room = calloc(1, sizeof(*room) + n);
    if (room == NULL)
        return NULL;
    memcpy((char *)(room + 1), at, n);
    room->node.key = (struct str){(char *)(room + 1), n};
    room->tenant = ps->member->tenant;
    list_init(&room->plain);
    list_init(&room->choosy);
    if (map_add(&pl->rooms, &room->node))
        return room;
    free(room);
    return NULL;
}

static void seat_enter_list(struct plat_seat *seat)
{
    struct plat_room *room = seat->room;
    list_add(seat->choosy ? &room->choosy : &room->plain, &seat->link);
    if (!seat->choosy)
        room->plain_counts[framing_of(seat)]++;
}

static void seat_leave_list(struct plat_seat *seat)
{
    list_remove(&seat->link);
    if (!seat->choosy)
        seat->room->plain_counts[framing_of(seat)]--;
}

bool plat_seat_take(struct plat_seat *seat, struct str channel)
{
    seat->room = room_get(seat->session, channel);
    if (seat->room == NULL)
        return false;
    seat_enter_list(seat);
    return true;
}

void plat_seat_leave(struct plat_seat *seat)
{
    struct plat_room *room = seat->room;
    seat->sub = NULL;
    if (room == NULL)
        return;
    seat_leave_list(seat);
    seat->room = NULL;
    if (!list_empty(&room->plain) || !list_empty(&room->choosy))
        return;
    map_remove(&seat->session->loop->rooms, &room->node);
    free(room);
}

void plat_seat_set_choosy(struct plat_seat *seat, bool choosy)
{
    if (seat->room != NULL && choosy != seat->choosy) {
        seat_leave_list(seat);
        seat->choosy = choosy;
        seat_enter_list(seat);
    }
    seat->choosy = choosy;
    if (seat->sub != NULL)
        seat->sub->cursor.filtered = choosy; // one that lets everything pass need not be asked
}

void plat_rooms_fini(struct plat_loop *pl)
{
    for (struct map_node *n = map_first(&pl->rooms), *next; n != NULL; n = next) {
        next = map_next(&pl->rooms, n);
        map_remove(&pl->rooms, n);
        free(container_of(n, struct plat_room, node));
    }
    map_fini(&pl->rooms);
    free(pl->notes);
}

/* ---- counting ---- */

static bool is_excluded(const struct publication *p, const struct session *s)
{
    return (p->exclude != 0 && p->exclude == s->id) ||
           (p->excludes_client && memcmp(p->exclude_client, s->client, sizeof(s->client)) == 0);
}

static uint64_t count_list(const struct list *seats, int framing, const struct publication *p)
{
    uint64_t n = 0;
    list_each(it, seats)
    {
        struct plat_seat *seat = container_of(it, struct plat_seat, link);
        if (framing_of(seat) != framing || is_excluded(p, &seat->session->ws.session))
            continue;
        n += !seat->choosy || seat->wants(seat, p);
    }
    return n;
}

void plat_room_count(struct plat_loop *pl, int framing, struct str channel,
                     const struct publication *p)
{
    char at[KEY_MAX];
    if (p->tenant.n + 1 + channel.n > sizeof(at))
        return;
    const struct plat_room *room = room_find(pl, p->tenant, channel, at);
    if (room == NULL)
        return;
    uint64_t n = room->plain_counts[framing];
    if (p->exclude != 0 || p->excludes_client)
        n = count_list(&room->plain, framing, p);
    n += count_list(&room->choosy, framing, p);
    atomic_fetch_add_explicit(&room->tenant->sent, n, memory_order_relaxed);
}

/* ---- log messages ---- */

static struct plat_note *note_of(struct plat_loop *pl, const struct publication *p)
{
    return &pl->notes[((uintptr_t)p >> 6) & (PLAT_NOTES - 1)];
}

/* What a filter is asked about is in a log, so it lives, and was encoded after its memory was
 * another's: since then the note is its own or a stranger's. */
const struct plat_note *plat_loop_note(struct plat_loop *pl, const struct publication *p)
{
    struct plat_note *note = note_of(pl, p);
    if (note->publication != p)
        plat_note_read(p, note);
    return note;
}

void plat_loop_forget(struct plat_loop *pl, const struct publication *p)
{
    note_of(pl, p)->publication = NULL;
}
