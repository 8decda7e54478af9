/*
 * follower_commands.c - what a follower says to the server.
 *
 * Always true: every command has an id of its own; a subscription with a known position asks for
 * what was missed.
 */
#include "app/follower.h"
#include "base/json.h"

enum { COMMAND_MAX = 65536 };

static void begin(struct follower *f, struct buf *b, struct json_writer *w)
{
    buf_init(b, COMMAND_MAX);
    json_writer_init(w, b);
    json_open_object(w);
    json_put_u64(json_key(w, STR("id")), ++f->last_id);
}

static bool finish(struct follower *f, struct buf *b, struct json_writer *w)
{
    json_close_object(w);
    json_close_object(w);
    bool ok = json_done(w) && ws_client_send(&f->ws, buf_str(b));
    buf_fini(b);
    return ok;
}

bool follower_send_connect(struct follower *f)
{
    struct json_writer w;
    struct buf b;
    begin(f, &b, &w);
    json_open_object(json_key(&w, STR("connect")));
    if (f->token != NULL)
        json_put_string(json_key(&w, STR("token")), str_from(f->token));
    json_put_string(json_key(&w, STR("name")), STR("recado"));
    return finish(f, &b, &w);
}

bool follower_send_subscribe(struct follower *f, struct follower_channel *ch)
{
    struct json_writer w;
    struct buf b;
    begin(f, &b, &w);
    ch->asked_id = f->last_id;
    json_open_object(json_key(&w, STR("subscribe")));
    json_put_string(json_key(&w, STR("channel")), str_from(ch->name));
    if (ch->positioned) {
        json_put_bool(json_key(&w, STR("recover")), true);
        json_put_u64(json_key(&w, STR("offset")), ch->offset);
        json_put_string(json_key(&w, STR("epoch")), str_from(ch->epoch));
    }
    return finish(f, &b, &w);
}

bool follower_send_unsubscribe(struct follower *f, const struct follower_channel *ch)
{
    struct json_writer w;
    struct buf b;
    begin(f, &b, &w);
    json_open_object(json_key(&w, STR("unsubscribe")));
    json_put_string(json_key(&w, STR("channel")), str_from(ch->name));
    return finish(f, &b, &w);
}
