/*
 * storage.c - opens the store that the configuration names, and tells it what to keep.
 */
#include "app/server.h"
#include "store/store.h"

#include <errno.h>
#include <sys/stat.h>

enum { STREAMS_MAX = 10000000 };

/* On the store's thread: the policy is constant, and stays while a loop may use it. */
static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    const struct server *s = ctx;
    struct str channel = key;
    str_cut(&channel, '\0');
    const struct channel_options *o = policy_of(hub_policy(node_hub(s->node, 0)), channel);
    *ret = (struct store_retention){o->history_count, o->history_bytes, o->history_ttl_ms};
    if (!o->durable || o->history_count == 0) // no longer: what there is has to go
        ret->count = 1;
}

static bool data_dir_make(const struct config *c, struct buf *ret_why)
{
    if (mkdir(c->data_dir.p, 0700) == 0 || errno == EEXIST)
        return true;
    buf_add_format(ret_why, "data_dir: %.*s cannot be made: %s\n", STR_FMT(c->data_dir),
                   strerror(errno));
    return false;
}

bool storage_url(const struct config *c, struct buf *ret)
{
    if (c->store.n > 0)
        return buf_add(ret, c->store);
    return buf_add(ret, STR("sqlite:")) && buf_add(ret, c->data_dir) &&
           buf_add(ret, STR("/recado.db"));
}

bool storage_open(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    struct buf url;
    buf_init(&url, 8192);
    if ((c->store.n > 0 || data_dir_make(c, ret_why)) && storage_url(c, &url))
        s->store = store_open(&(struct store_options){.url = buf_str(&url),
                                                      .queue_bytes_max = c->store_queue_max_bytes,
                                                      .streams_max = STREAMS_MAX,
                                                      .retention = retention,
                                                      .ctx = s},
                              ret_why);
    buf_fini(&url);
    if (s->store == NULL)
        return false;
    node_set_store(s->node, s->store);
    return true;
}
