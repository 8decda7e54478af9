/*
 * record_home.c - messages that are still being written, at the home of their channel.
 *
 * Why it exists: a late joiner gets the text so far and then the tail. Only the home can say where
 * the one ends and the other begins, for it answers the joiner and sends the tail in one order of
 * mail.
 *
 * Always true between two calls:
 *   R1. an open record is in home->records and in its channel's list, and that channel stays.
 *   R2. text is what was appended, as it stands between the quotes in JSON; seq counts the appends.
 *   R3. snapshot, unless NULL, says what the record is now.
 *   R4. one whose state is final waits for the store, and is tried again by its timer.
 */
#include "hub/record_priv.h"

#include "base/json.h"

enum { RETRY_MS = 1000, ESCAPED_MAX = 6 /* bytes of JSON for one of text */ };

struct open_record {
    struct map_node node; // by number
    struct list link;     // of its channel
    struct channel *channel;
    uint64_t number, seq;
    enum record_state state;
    struct publication *snapshot;
    struct buf text, tail;
    struct timer again;
    struct request *finisher; // of its end, which could not be stored yet; NULL: none
    struct str id, role, head;
    char bytes[];
};

/* ---- what is said of one ---- */

static bool members_write(struct buf *out, struct str members)
{
    return members.n == 0 || (buf_add_char(out, ',') && buf_add(out, members));
}

static bool message_write(struct buf *out, const struct open_record *o)
{
    return buf_add(out, STR("{\"id\":")) && buf_add(out, o->id) &&
           buf_add(out, STR(",\"role\":")) && json_write_string(out, o->role) &&
           buf_add(out, STR(",\"state\":")) &&
           json_write_string(out, record_state_name(o->state)) &&
           buf_add(out, STR(",\"content\":\"")) && buf_add(out, buf_str(&o->text)) &&
           buf_add(out, STR("\",\"seq\":")) && buf_add_u64(out, o->seq) &&
           members_write(out, o->head) && members_write(out, buf_str(&o->tail)) &&
           buf_add_char(out, '}');
}

static bool append_write(struct buf *out, const struct open_record *o, struct str escaped)
{
    return buf_add(out, STR("{\"id\":")) && buf_add(out, o->id) && buf_add(out, STR(",\"seq\":")) &&
           buf_add_u64(out, o->seq) && buf_add(out, STR(",\"text\":\"")) && buf_add(out, escaped) &&
           buf_add(out, STR("\"}"));
}

/* data is in the hub's scratch, which delivering uses again. */
static struct publication *publication_with(const struct channel *ch, struct str type)
{
    return publication_make(&(struct publication_parts){
        .kind = EVENT_PUBLICATION,
        .tenant = key_tenant(ch->node.key),
        .channel = key_name(ch->node.key),
        .type = type,
        .data = buf_str(&ch->hub->scratch),
        .time_ms = loop_wall_ms(ch->hub->loop),
    });
}

/* NULL: no memory. One reference is the caller's. */
static struct publication *message_make(const struct open_record *o)
{
    struct buf *data = &o->channel->hub->scratch;
    buf_clear(data);
    return message_write(data, o) ? publication_with(o->channel, STR("chat:message")) : NULL;
}

static void snapshot_drop(struct open_record *o)
{
    publication_unref(o->snapshot);
    o->snapshot = NULL;
}

static struct publication *snapshot_of(struct open_record *o)
{
    if (o->snapshot == NULL)
        o->snapshot = message_make(o);
    return o->snapshot;
}

static void say_message(struct open_record *o)
{
    struct publication *p = snapshot_of(o);
    if (p != NULL)
        channel_send(o->channel, p);
}

/* ---- its life ---- */

static struct open_record *record_find(struct hub *home, uint64_t number)
{
    struct str key = {(const char *)&number, sizeof(number)};
    struct map_node *n = map_find(&home->records, key);
    return n != NULL ? container_of(n, struct open_record, node) : NULL;
}

static void record_free(struct open_record *o)
{
    struct channel *ch = o->channel;
    timer_cancel(&o->again);
    list_remove(&o->link);
    ch->record_count--;
    map_remove(&ch->hub->records, &o->node);
    count_down(&ch->hub->counters.records, 1);
    if (o->finisher != NULL)
        request_abandon(o->finisher);
    snapshot_drop(o);
    buf_fini(&o->text);
    buf_fini(&o->tail);
    free(o);
}

void channel_drop_records(struct channel *ch)
{
    list_each_safe(it, &ch->records)
    {
        record_free(container_of(it, struct open_record, link));
    }
}

static void record_retry(struct timer *t);

static struct open_record *record_make(struct channel *ch, const struct record_seed *seed)
{
    struct open_record *o = calloc(1, sizeof(*o) + seed->id.n + seed->role.n + seed->head.n);
    if (o == NULL)
        return NULL;
    char *at = o->bytes;
    o->number = seed->number;
    o->id = str_put(&at, seed->id);
    o->role = str_put(&at, seed->role);
    o->head = str_put(&at, seed->head);
    o->node.key = (struct str){(const char *)&o->number, sizeof(o->number)};
    if (!map_add(&ch->hub->records, &o->node)) {
        free(o);
        return NULL;
    }
    o->channel = ch;
    buf_init(&o->text, seed->text_max_bytes * ESCAPED_MAX + 2);
    timer_init(&o->again, record_retry);
    list_add(&ch->records, &o->link);
    ch->record_count++;
    count_up(&ch->hub->counters.records, 1);
    return o;
}

enum err record_home_open(struct hub *home, struct str key, const struct record_seed *seed,
                          struct answer *ret)
{
    struct channel *ch = channel_get(home, key);
    if (ch == NULL) {
        ret->why = "channels_max is reached";
        return ERR_LIMIT_EXCEEDED;
    }
    if (ch->record_count >= RECORDS_PER_CHANNEL_MAX) {
        ret->why = "as many messages of the channel as may be are being written";
        return ERR_LIMIT_EXCEEDED;
    }
    struct open_record *o = record_make(ch, seed);
    if (o == NULL) {
        channel_settle(ch);
        return ERR_INTERNAL;
    }
    if (channel_policy(ch)->history_count > 0)
        ret->position = (struct position){ch->offset, ch->epoch};
    say_message(o);
    return ERR_OK;
}

/* Into the text without the quotes; what was added stands at its end. */
static bool text_add(struct buf *text, struct str s, struct str *ret_escaped)
{
    size_t from = text->len;
    if (!json_write_string(text, s))
        return false;
    size_t n = text->len - from - 2;
    memmove(text->p + from, text->p + from + 1, n);
    text->len = from + n;
    *ret_escaped = (struct str){text->p + from, n};
    return true;
}

void record_home_append(struct hub *home, uint64_t number, struct str text)
{
    struct open_record *o = record_find(home, number);
    struct str escaped;
    if (o == NULL || o->state != RECORD_STREAMING || text.n == 0)
        return;
    if (!text_add(&o->text, text, &escaped))
        return; // no memory: its end says so by what it holds
    o->seq++;
    snapshot_drop(o);
    count_up(&home->counters.record_appends, 1);
    struct buf *data = &home->scratch;
    buf_clear(data);
    struct publication *p =
        append_write(data, o, escaped) ? publication_with(o->channel, STR("chat:append")) : NULL;
    if (p != NULL)
        channel_send(o->channel, p);
    publication_unref(p);
}

/* ---- its end ---- */

/* As an ordinary publication of the channel. False: it has to be tried again. */
static bool record_publish(struct request *r, struct open_record *o)
{
    struct channel *ch = o->channel;
    struct publication *p = message_make(o);
    if (p == NULL) {
        r->answer.err = ERR_INTERNAL;
        return false;
    }
    publish_here(r, ch->hub, p, false); // the record still keeps the channel
    if (r->answer.err == ERR_BAD_REQUEST)
        channel_send(ch, p); // no store will ever take it: it is told, and gone
    publication_unref(p);
    if (r->answer.err != ERR_OK && r->answer.err != ERR_BAD_REQUEST)
        return false;
    record_free(o);
    channel_settle(ch);
    return true;
}

void record_home_finish(struct request *r, struct hub *home, uint64_t number,
                        enum record_state state, struct str tail)
{
    struct open_record *o = record_find(home, number);
    if (o == NULL || o->state != RECORD_STREAMING) {
        r->answer.err = ERR_NOT_AVAILABLE;
        r->answer.why = "the record is not open";
        return;
    }
    o->state = state;
    snapshot_drop(o);
    buf_init(&o->tail, tail.n);
    if (!buf_add(&o->tail, tail))
        buf_clear(&o->tail);
    if (record_publish(r, o))
        return;
    r->parked = true;
    o->finisher = r;
    say_message(o);
    timer_arm(home->loop, &o->again, RETRY_MS);
}

static void record_retry(struct timer *t)
{
    struct open_record *o = container_of(t, struct open_record, again);
    struct loop *l = o->channel->hub->loop;
    struct request *r = o->finisher;
    r->parked = false;
    r->answer = (struct answer){0};
    o->finisher = NULL;
    if (record_publish(r, o)) { // and o is gone
        if (!r->parked)
            request_resume(r);
        return;
    }
    r->parked = true;
    o->finisher = r;
    timer_arm(l, t, RETRY_MS);
}

/* ---- for those who ask ---- */

bool records_show(struct request *r, const struct channel *ch, bool first)
{
    if (ch->record_count == 0)
        return true;
    struct publication **all = pool_alloc((r->pub_count + ch->record_count) * sizeof(all[0]));
    if (all == NULL)
        return false;
    size_t n = 0;
    list_each(it, &ch->records)
    {
        struct publication *p = snapshot_of(container_of(it, struct open_record, link));
        if (p != NULL)
            all[n++] = publication_ref(p);
    }
    if (r->pub_count > 0) {
        if (!first)
            memmove(all + r->pub_count, all, n * sizeof(all[0]));
        memcpy(all + (first ? n : 0), r->pubs, r->pub_count * sizeof(all[0]));
    }
    pool_free(r->pubs);
    r->pubs = all;
    r->pub_count += n;
    r->record_count = n;
    return true;
}
