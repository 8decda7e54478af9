/*
 * serve_witness.c - who looks on at the events that pass, each at those of its own types.
 *
 * Why it exists: the hub knows one witness, and several services keep rows of what they see. Most
 * events are nobody's here, so the type is looked at before anybody is called.
 */
#include "app/server.h"

static const struct witness *const witnesses[] = {
#define WITNESS(name) &name##_witness,
#include "app/witnesses.def"
#undef WITNESS
    NULL, // the end
};

static bool is_wanted(const struct witness *w, struct str type)
{
    for (size_t i = 0; i < w->head_count; i++) {
        if (str_starts(type, w->heads[i]))
            return true;
    }
    return false;
}

static void saw(void *ctx, struct hub *home, struct publication *p)
{
    if (p->type.n == 0)
        return;
    for (size_t i = 0; witnesses[i] != NULL; i++) {
        if (is_wanted(witnesses[i], p->type))
            witnesses[i]->saw(ctx, home, p);
    }
}

static bool make(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    if (witnesses[0] != NULL)
        node_set_witness(s->node, saw, s);
    return true;
}

const struct service witness_service = {.name = "witness", .make = make};
