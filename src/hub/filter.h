/* filter.h - which publications of a channel a subscriber wants: by type and tags.
 * Thread:  the subscription's loop.
 * Memory:  one object per subscription, bounded in nodes and bytes.
 * Failure: filter_parse() says what is wrong and makes nothing. */
#ifndef HUB_FILTER_H
#define HUB_FILTER_H

#include "hub/publication.h"

struct filter;

/* The tags filter of the Centrifuge protocol, as JSON: {"key":"type","cmp":"eq","val":"done"},
 * {"op":"and","nodes":[..]}, "or", "not"; cmp: eq neq in nin ex nex sw ew ct lt lte gt gte. The
 * event's type is the tag "type". ret_why: a static text. */
struct filter *filter_parse(struct str json, const char **ret_why);
/* Any of these types. NULL: no memory. */
struct filter *filter_types(const struct str *types, size_t count);
/* Those that wants() says, whenever it is asked; ctx is the caller's and outlives the filter. */
typedef bool filter_fn(void *ctx, const struct publication *p);
struct filter *filter_call(filter_fn *wants, void *ctx);
bool filter_match(const struct filter *f, const struct publication *p);
void filter_destroy(struct filter **fp);

#endif
