/*
 * redis_vet.c - what a server may say to a subscriber, decided before hiredis looks at it.
 *
 * Why it exists: hiredis asserts that replies to a subscriber have the form that Redis gives them,
 * and makes room for as many elements as a reply claims. Whatever else answers at that address
 * must end its connection, not this process.
 *
 * Always true: a reply that hiredis hands on is no array, or one of three: "message" or
 * "subscribe", a channel, and a text or a number. (Nobody here unsubscribes.)
 */
#include "cluster/redis_priv.h"

enum { VET_ELEMENTS = 3 };

static const redisReplyObjectFunctions *inner_of(const redisReadTask *t)
{
    const struct redis_vet *v = t->privdata;
    return v->inner;
}

/* hiredis takes NULL for a lack of memory, and gives the connection up. */
static void *refuse(const redisReadTask *t)
{
    struct redis_vet *v = t->privdata;
    v->refused = true;
    return NULL;
}

static bool string_is_fit(const redisReadTask *t, struct str text)
{
    if (t->parent == NULL || t->idx == VET_ELEMENTS - 1)
        return true;
    if (t->type != REDIS_REPLY_STRING)
        return false;
    return t->idx > 0 || str_eq(text, STR("message")) || str_eq(text, STR("subscribe"));
}

static void *make_string(const redisReadTask *t, char *p, size_t n)
{
    return string_is_fit(t, (struct str){p, n}) ? inner_of(t)->createString(t, p, n) : refuse(t);
}

static void *make_array(const redisReadTask *t, redis_vet_count n)
{
    return t->parent == NULL && n == VET_ELEMENTS ? inner_of(t)->createArray(t, n) : refuse(t);
}

static bool is_no_name(const redisReadTask *t)
{
    return t->parent == NULL || t->idx == VET_ELEMENTS - 1;
}

static void *make_integer(const redisReadTask *t, long long value)
{
    return is_no_name(t) ? inner_of(t)->createInteger(t, value) : refuse(t);
}

static void *make_nil(const redisReadTask *t)
{
    return is_no_name(t) ? inner_of(t)->createNil(t) : refuse(t);
}

#if HIREDIS_MAJOR >= 1 // of a protocol that nobody here asks for
static void *make_double(const redisReadTask *t, double value, char *p, size_t n)
{
    (void)value, (void)p, (void)n;
    return refuse(t);
}

static void *make_bool(const redisReadTask *t, int value)
{
    (void)value;
    return refuse(t);
}
#endif

void redis_vet_begin(struct redis_vet *v, redisReader *r)
{
    *v = (struct redis_vet){.inner = r->fn, .own = *r->fn};
    v->own.createString = make_string;
    v->own.createArray = make_array;
    v->own.createInteger = make_integer;
    v->own.createNil = make_nil;
#if HIREDIS_MAJOR >= 1
    v->own.createDouble = make_double;
    v->own.createBool = make_bool;
#endif
    r->fn = &v->own;
    r->privdata = v;
}
