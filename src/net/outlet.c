/*
 * outlet.c - a sink without a connection of its own.
 * Always true: an open outlet is in its flusher's list; a closed one is in none.
 */
#include "net/outlet.h"

#include "net/priv.h"

void outlet_open(struct outlet *o, struct flusher *f, const struct outlet_ops *ops)
{
    sink_init(&o->sink);
    o->sink.outlet = true;
    o->sink.blocked = true;
    o->flusher = f;
    o->ops = ops;
    list_init(&o->link);
    list_add(&f->outlets, &o->link);
}

void outlet_close(struct outlet *o)
{
    o->sink.closed = true;
    list_remove(&o->sink.link);
    list_remove(&o->link);
}

void outlet_unblock(struct outlet *o)
{
    if (o->sink.closed)
        return;
    o->sink.blocked = false;
    sink_wake(&o->flusher->outflow, &o->sink);
}

void outlet_count_frames(struct outlet *o, uint64_t frames)
{
    stat_add(&o->flusher->frames_out, frames);
}
