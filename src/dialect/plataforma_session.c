/*
 * plataforma_session.c - the life of a client: what it follows, what it says, when it ends.
 *
 * Always true between two calls:
 *   I1. the first frame of a client is its welcome, and it leaves when all subscriptions are there,
 *       so that who has read it misses nothing that is published from then on.
 *   I2. a notifications client follows everything from its birth to its end; while it has projects
 *       of its own its seats are choosy, so that to (un)subscribe makes neither gap nor duplicate.
 *   I3. a session has its member of the register from its birth until its connection is gone.
 */
#include "dialect/plataforma_priv.h"

#include "base/must.h"

#include <stdlib.h>

/* Seats of a notifications client. */
enum { SEAT_NOTIFICATIONS, SEAT_PROJECTS, SEAT_LOGS };

static struct plat_session *session_from(struct session *s)
{
    return plat_session_of(ws_session_of(s));
}

/* ---- who wants what ---- */

static bool wants_project(void *ctx, const struct publication *p)
{
    const struct plat_seat *seat = ctx;
    const struct plat_member *m = seat->session->member;
    return m != NULL &&
           (m->projects.count == 0 || plat_member_follows(m, plat_channel_project(p->channel)));
}

/* Recado's own lines are for those who read logs: boards never had them. */
static bool is_own_line(const struct publication *p)
{
    struct str own;
    return p->tags.n > 0 && str_eq(p->type, STR("log_message")) &&
           json_find(p->tags, STR("own"), &own);
}

static bool wants_of_no_project(void *ctx, const struct publication *p)
{
    const struct plat_seat *seat = ctx;
    const struct plat_member *m = seat->session->member;
    return m != NULL && m->projects.count == 0 && !is_own_line(p);
}

static bool wants_log(void *ctx, const struct publication *p)
{
    const struct plat_seat *seat = ctx;
    const struct plat_session *ps = seat->session;
    if (ps->member == NULL)
        return false;
    if (!str_eq(p->channel, STR("logs")) && !str_eq(p->type, STR("log_message")))
        return false;
    const struct plat_note *note = plat_loop_note(ps->loop, p);
    if (note->seq > 0 && note->seq <= ps->tail_seq)
        return false; // it was among the older ones
    return plat_note_passes(note, ps->member->least, ps->member->source);
}

/* ---- subscriptions ---- */

static void welcome(struct plat_session *ps)
{
    if (ps->welcomed)
        return;
    ps->welcomed = true;
    if (ps->member->kind == PLAT_PROJECT)
        (void)plat_register_subscribe(&plat_shared_of(ps)->reg, ps->member, ps->project);
    plat_say_welcome(ps);
}

static void ready(struct plat_session *ps)
{
    plat_register_hear(&plat_shared_of(ps)->reg, ps->member);
    welcome(ps);
    plat_tail_send(ps);
    sink_release(hub_outflow(ps->ws.session.hub), carrier_sink(ps->ws.carrier));
    conn_resume_reading(ps->ws.carrier->conn);
}

static void seat_taken(struct plat_seat *seat, struct subscription *sub)
{
    struct plat_session *ps = seat->session;
    if (ps->replaced) {
        hub_unsubscribe(sub);
        return;
    }
    seat->sub = sub;
    if (plat_seat_take(seat, subscription_channel(sub)))
        plat_seat_set_choosy(seat, seat->choosy);
    else
        ws_session_end(&ps->ws, CLOSE_INTERNAL, 0, STR_NONE);
}

static void seat_subscribed(void *ctx, const struct answer *a)
{
    struct plat_seat *seat = ctx;
    struct plat_session *ps = seat->session;
    ps->joining--;
    if (!ps->ws.ending) {
        if (a->err == ERR_OK)
            seat_taken(seat, a->subscription);
        else
            ws_session_end(&ps->ws, CLOSE_INTERNAL, 0, STR_NONE);
    }
    if (ps->joining == 0 && !ps->ws.ending)
        ready(ps);
    if (a->err == ERR_OK && !ps->ws.ending && ps->member->kind == PLAT_PROJECT && seat->sub != NULL)
        ws_session_resync(&ps->ws, &plat_writer, subscription_channel(seat->sub), a->publications,
                          a->publication_count, ws_session_send); // behind the welcome
    session_unref(&ps->ws.session);
}

/* The endpoint itself has let the client in: the namespace's subscribe option is for clients that
 * name their channels. */
static void seat_subscribe(struct plat_seat *seat, struct str channel)
{
    struct plat_session *ps = seat->session;
    struct filter *filter = NULL;
    if (ps->ws.ending)
        return;
    if (seat->wants != NULL && (filter = filter_call(seat->wants, seat)) == NULL) {
        ws_session_end(&ps->ws, CLOSE_INTERNAL, 0, STR_NONE);
        return;
    }
    session_ref(&ps->ws.session);
    hub_subscribe(&ps->ws.session,
                  &(struct subscribe_params){
                      .channel = channel,
                      .encoding = ws_encoding(ps->loop->encodings, ps->ws.carrier->framing),
                      .authorized = true,
                      .filter = filter,
                  },
                  seat_subscribed, seat);
}

struct seat_plan {
    struct str channel;
    filter_fn *wants;
    bool choosy;
};

static void subscribe_all(struct plat_session *ps)
{
    static const struct seat_plan notifications[] = {
        [SEAT_NOTIFICATIONS] = {{"notifications", 13}, NULL, false},
        [SEAT_PROJECTS] = {{"project:*", 9}, wants_project, false},
        [SEAT_LOGS] = {{"logs", 4}, wants_of_no_project, true},
    };
    static const struct seat_plan logs[] = {
        {{"logs", 4}, wants_log, true},
        {{"project:*", 9}, wants_log, true},
        {{"notifications", 13}, wants_log, true},
    };
    char at[PLAT_CHANNEL_MAX];
    struct seat_plan one = {.channel = plat_project_channel(ps->project, at)};
    enum plat_kind kind = ps->member->kind;
    const struct seat_plan *plan = kind == PLAT_LOGS            ? logs
                                   : kind == PLAT_NOTIFICATIONS ? notifications
                                                                : &one;
    ps->joining = kind == PLAT_PROJECT ? 1 : 3;
    sink_hold(carrier_sink(ps->ws.carrier));
    conn_pause_reading(ps->ws.carrier->conn);
    for (int i = 0, n = ps->joining; i < n; i++) {
        ps->seats[i].session = ps;
        ps->seats[i].wants = plan[i].wants;
        ps->seats[i].choosy = plan[i].choosy;
        seat_subscribe(&ps->seats[i], plan[i].channel);
    }
}

/* ---- what a back end told the client to follow besides ---- */

static void extra_free(struct plat_extra **at)
{
    struct plat_extra *x = *at;
    *at = x->next;
    plat_seat_leave(&x->seat);
    free(x);
}

static bool hears_already(const struct plat_session *ps, struct str channel)
{
    return ps->member->kind == PLAT_NOTIFICATIONS && str_starts(channel, PLAT_PREFIX);
}

static bool extra_begin(struct plat_session *ps, struct subscription *sub)
{
    struct str channel = subscription_channel(sub);
    struct plat_extra *x = NULL;
    if (!ps->replaced && !hears_already(ps, channel))
        x = calloc(1, sizeof(*x));
    if (x == NULL) {
        hub_unsubscribe(sub);
        return false;
    }
    x->seat.session = ps;
    if (!plat_seat_take(&x->seat, channel)) {
        free(x);
        hub_unsubscribe(sub);
        return false;
    }
    x->seat.sub = sub;
    x->next = ps->extras;
    ps->extras = x;
    return true;
}

/* ---- a newer connection has its place ---- */

static void seat_end(struct plat_seat *seat)
{
    struct subscription *sub = seat->sub;
    plat_seat_leave(seat);
    if (sub != NULL)
        hub_unsubscribe(sub);
}

void plat_session_replaced(struct plat_session *ps)
{
    ps->replaced = true;
    for (size_t i = 0; i < sizeof(ps->seats) / sizeof(ps->seats[0]); i++)
        seat_end(&ps->seats[i]);
    while (ps->extras != NULL) {
        seat_end(&ps->extras->seat);
        extra_free(&ps->extras);
    }
}

/* ---- commands ---- */

static void projects_changed(struct plat_session *ps)
{
    bool choosy = ps->member->projects.count > 0;
    plat_seat_set_choosy(&ps->seats[SEAT_PROJECTS], choosy);
}

static void do_subscribe(struct plat_session *ps, struct str project)
{
    struct plat_register *reg = &plat_shared_of(ps)->reg;
    if (project.n == 0)
        return;
    if (plat_register_subscribe(reg, ps->member, project) == CHANGE_REFUSED) {
        plat_say_plain(ps, STR("error"), STR("message"), STR("Limite de projetos atingido"));
        return;
    }
    projects_changed(ps);
    plat_say_project(ps, STR("subscribed"), STR("Inscrito no projeto "), project);
}

static void do_unsubscribe(struct plat_session *ps, struct str project)
{
    if (project.n == 0)
        return;
    (void)plat_register_unsubscribe(&plat_shared_of(ps)->reg, ps->member, project);
    projects_changed(ps);
    plat_say_project(ps, STR("unsubscribed"), STR("Removido do projeto "), project);
}

static void run(struct plat_session *ps, const struct plat_command *c)
{
    bool notifications = ps->member->kind == PLAT_NOTIFICATIONS;
    if (c->verb == PLAT_PING)
        plat_say_plain(ps, STR("pong"), STR("status"), STR("pong"));
    else if (notifications && c->verb == PLAT_SUBSCRIBE)
        do_subscribe(ps, c->project);
    else if (notifications && c->verb == PLAT_UNSUBSCRIBE)
        do_unsubscribe(ps, c->project);
    else if (notifications && c->verb == PLAT_STATS)
        plat_say_stats(ps);
}

static void message(struct ws_session *ws, struct str payload, bool binary)
{
    struct plat_session *ps = plat_session_of(ws);
    struct plat_command c;
    atomic_fetch_add_explicit(&ps->member->tenant->received, 1, memory_order_relaxed);
    bool plain_only = ps->member->kind == PLAT_LOGS;
    if (binary || (plain_only && !str_eq(payload, STR("ping"))))
        return;
    plat_command_read(payload, &c);
    welcome(ps); // one that speaks before its subscriptions are there is greeted all the same
    run(ps, &c);
}

/* ---- time ---- */

static void alive(struct ws_session *ws)
{
    plat_session_of(ws)->alive_ms = loop_now_ms(ws_session_loop(ws));
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void tick_arm(struct plat_session *ps, uint64_t now_ms)
{
    uint64_t silent_ms = ps->alive_ms + ps->ws.endpoint->options->heartbeat_timeout_ms + 1;
    uint64_t due_ms = sooner(ps->heartbeat_ms, silent_ms);
    timer_arm(ws_session_loop(&ps->ws), &ps->ws.tick, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void ticked(struct ws_session *ws)
{
    struct plat_session *ps = plat_session_of(ws);
    const struct dialect_options *o = ws->endpoint->options;
    uint64_t now_ms = loop_now_ms(ws_session_loop(ws));
    if (now_ms - ps->alive_ms > o->heartbeat_timeout_ms) {
        ws_session_end(ws, CLOSE_NO_PONG, 0, STR_NONE);
        return;
    }
    if (now_ms >= ps->heartbeat_ms) {
        welcome(ps);
        plat_say_plain(ps, STR("heartbeat"), STR("status"), STR("alive"));
        ps->heartbeat_ms = now_ms + o->heartbeat_interval_ms;
    }
    tick_arm(ps, now_ms);
}

/* ---- the end ---- */

static void close_words(enum close_reason reason, unsigned *code, struct str *text)
{
    if (reason == CLOSE_FULL) {
        *code = 1013;
        *text = STR("Limite de conexoes atingido");
    } else if (reason == CLOSE_NO_PONG) {
        *code = 1001;
        *text = STR("Heartbeat timeout");
    }
}

static void closed(struct ws_session *ws)
{
    struct plat_session *ps = plat_session_of(ws);
    for (size_t i = 0; i < sizeof(ps->seats) / sizeof(ps->seats[0]); i++)
        plat_seat_leave(&ps->seats[i]);
    while (ps->extras != NULL)
        extra_free(&ps->extras);
    plat_register_leave(&plat_shared_of(ps)->reg, ps->member);
    plat_member_unref(ps->member);
    ps->member = NULL;
    free(ps->strings);
    ps->strings = NULL;
}

/* ---- what the hub asks of a session ---- */

/* Of a channel that a back end told the client to follow. */
static const struct encoding *ops_encoding(struct session *s)
{
    struct plat_session *ps = session_from(s);
    return ps->ws.carrier != NULL ? ws_encoding(ps->loop->encodings, ps->ws.carrier->framing)
                                  : NULL;
}

/* They were counted when they were encoded. */
static void ops_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    ws_session_resync(ws_session_of(s), &plat_writer, subscription_channel(sub), pubs, count,
                      ws_session_send);
}

static void ops_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    struct plat_session *ps = session_from(s);
    if (ps->member != NULL && extra_begin(ps, sub))
        ops_resync(s, sub, a->publications, a->publication_count);
}

static bool seat_is_in(const struct plat_seat *seat, struct str channel)
{
    size_t tenant_n = seat->session != NULL ? seat->session->ws.session.tenant.n : 0;
    return seat->room != NULL && str_eq(str_skip(seat->room->node.key, tenant_n + 1), channel);
}

static void ops_unsubscribed(struct session *s, struct str channel, unsigned code,
                             struct str reason)
{
    struct plat_session *ps = session_from(s);
    (void)code;
    (void)reason;
    for (size_t i = 0; i < sizeof(ps->seats) / sizeof(ps->seats[0]); i++) {
        if (seat_is_in(&ps->seats[i], channel))
            plat_seat_leave(&ps->seats[i]);
    }
    for (struct plat_extra **at = &ps->extras; *at != NULL;) {
        if (seat_is_in(&(*at)->seat, channel))
            extra_free(at);
        else
            at = &(*at)->next;
    }
}

const struct ws_kind plat_session_kind = {
    .ops = {WS_SESSION_OPS("plataforma"), .encoding = ops_encoding, .subscribed = ops_subscribed,
            .unsubscribed = ops_unsubscribed, .resync = ops_resync},
    .size = sizeof(struct plat_session),
    .message = message,
    .alive = alive,
    .ticked = ticked,
    .closed = closed,
    .close_words = close_words,
};

/* ---- birth ---- */

/* The strings of the request, which is about to go. */
static bool session_keep(struct plat_session *ps, const struct plat_ask *ask)
{
    ps->strings = malloc(ask->project.n + ask->level.n + 1);
    if (ps->strings == NULL)
        return false;
    char *at = ps->strings;
    ps->project = str_put(&at, ask->project);
    ps->level = str_put(&at, ask->level);
    return true;
}

static bool loop_prepare(struct plat_loop *pl, enum plat_kind what)
{
    if (what == PLAT_LOGS && pl->notes == NULL)
        pl->notes = calloc(PLAT_NOTES, sizeof(*pl->notes));
    return what != PLAT_LOGS || pl->notes != NULL;
}

void plat_session_begin(struct plat_session *ps, const struct plat_ask *ask)
{
    struct plat_register *reg = &plat_shared_of(ps)->reg;
    struct ws_session *ws = &ps->ws;
    uint64_t now_ms = loop_now_ms(ws_session_loop(ws));
    bool ok = session_keep(ps, ask) && loop_prepare(ps->loop, ask->kind);
    ps->tail = ask->tail;
    ps->alive_ms = now_ms;
    ps->heartbeat_ms = now_ms + ws->endpoint->options->heartbeat_interval_ms;
    if (!ok) {
        ws_session_end(ws, CLOSE_INTERNAL, 0, STR_NONE);
    } else if (!plat_register_join(reg, ps->member, ws->session.tenant)) {
        ws_session_end(ws, CLOSE_FULL, 0, STR_NONE);
    } else {
        memcpy(ws->session.client, ps->member->client, sizeof(ws->session.client));
        tick_arm(ps, now_ms);
        subscribe_all(ps);
    }
}
