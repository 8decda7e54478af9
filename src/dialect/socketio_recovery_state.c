/*
 * socketio_recovery_state.c - which events a socket was sent, and where in their channels it stood.
 *
 * Why it exists: a client that comes back says one number, that of the last event it received. What
 * it has to be sent is a position in each of its channels.
 *
 * Always true between two calls:
 *   I1. the events with serials in (lost, serial] are in `sent`; at most sent_cap of them.
 *   I2. a client that says `resumed` stands where the rooms did when `sent` was empty.
 */
#include "dialect/socketio_recovery.h"

enum { SENT_FIRST = 16 };

struct recovery_state *recovery_state_make(void)
{
    static const char digits[] = "0123456789abcdef";
    struct recovery_state *st = calloc(1, sizeof(*st));
    uint8_t random[PID_CHARS / 2];
    if (st == NULL)
        return NULL;
    random_bytes(random, sizeof(random));
    for (int i = 0; i < PID_CHARS; i++)
        st->pid[i] = digits[random[i / 2] >> (i % 2 * 4) & 15];
    st->node.key = (struct str){st->pid, PID_CHARS};
    list_init(&st->link);
    return st;
}

void recovery_state_free(struct recovery_state *st)
{
    if (st == NULL)
        return;
    for (uint32_t i = 0; i < st->room_count; i++)
        free((void *)(uintptr_t)st->rooms[i].channel.p);
    free(st->rooms);
    free(st->sent);
    free(st->names);
    free(st);
}

static struct recovery_room *room_add(struct recovery_state *st, struct str channel)
{
    uint32_t n = st->room_count;
    char *copy = n < RECOVERY_ROOMS_MAX ? malloc(channel.n + 1) : NULL;
    if (copy != NULL && (n == 0 || (n >= 4 && (n & (n - 1)) == 0))) {
        size_t cap = n == 0 ? 4 : 2 * (size_t)n;
        struct recovery_room *more = realloc(st->rooms, cap * sizeof(*more));
        if (more != NULL)
            st->rooms = more;
        else
            copy = (free(copy), NULL);
    }
    if (copy == NULL) {
        st->broken = true;
        return NULL;
    }
    memcpy(copy, channel.p, channel.n);
    st->rooms[n] = (struct recovery_room){.channel = {copy, channel.n}};
    st->room_count++;
    return &st->rooms[n];
}

struct recovery_room *recovery_room_find(struct recovery_state *st, struct str channel, bool add)
{
    for (uint32_t i = 0; i < st->room_count; i++) {
        if (str_eq(st->rooms[i].channel, channel))
            return &st->rooms[i];
    }
    return add ? room_add(st, channel) : NULL;
}

/* Room for one more; the oldest goes when there may be no more of them. */
static bool sent_reserve(struct recovery_state *st)
{
    if (st->serial - st->lost < st->sent_cap)
        return true;
    if (st->sent_cap >= RECOVERY_SENT_MAX) {
        st->lost++;
        return true;
    }
    uint32_t cap = st->sent_cap > 0 ? st->sent_cap * 2 : SENT_FIRST;
    struct recovery_sent *more = malloc(cap * sizeof(*more));
    if (more == NULL)
        return false;
    for (uint64_t n = st->lost + 1; st->sent_cap > 0 && n <= st->serial; n++)
        more[n % cap] = st->sent[n % st->sent_cap];
    free(st->sent);
    st->sent = more;
    st->sent_cap = cap;
    return true;
}

void recovery_note(struct recovery_state *st, struct recovery_room *room, uint64_t offset)
{
    if (!sent_reserve(st)) {
        st->broken = true;
        return;
    }
    st->serial++;
    st->sent[st->serial % st->sent_cap] =
        (struct recovery_sent){(uint32_t)(room - st->rooms), room->at.offset};
    room->at.offset = offset;
}

bool recovery_rewind(struct recovery_state *st, uint64_t serial)
{
    if (serial > st->serial || (serial < st->lost && serial != st->resumed))
        return false;
    // From the newest to the oldest: the last one of a room that is undone is the one that counts.
    for (uint64_t n = st->serial; n > serial && n > st->lost; n--) {
        const struct recovery_sent *sent = &st->sent[n % st->sent_cap];
        struct recovery_room *room = &st->rooms[sent->room];
        if (n > room->joined_serial)
            room->at.offset = sent->before;
    }
    for (uint32_t i = 0; i < st->room_count; i++)
        st->rooms[i].joined_serial = st->serial;
    st->lost = st->serial;
    st->resumed = serial; // what the client says again when it is cut off before it gets anything
    return true;
}
