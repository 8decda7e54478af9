/*
 * policy.c - what a channel may do and how much it may keep.
 */
#include "hub/policy.h"

#include "base/utf8.h"

struct str channel_namespace(struct str channel)
{
    const char *colon = channel.n ? memchr(channel.p, ':', channel.n) : NULL;
    return (struct str){channel.p, colon ? (size_t)(colon - channel.p) : 0};
}

const struct channel_options *policy_of(const struct policy *p, struct str channel)
{
    static const struct channel_options nothing_said = {.client_subscribe = true};
    const struct channel_options *other = &nothing_said;
    struct str name = channel_namespace(channel);
    for (size_t i = 0; i < p->namespace_count; i++) {
        if (str_eq(p->namespaces[i].name, name))
            return &p->namespaces[i].options;
        if (str_eq(p->namespaces[i].name, STR("*")))
            other = &p->namespaces[i].options;
    }
    return other;
}

bool channel_is_pattern(struct str channel)
{
    if (str_eq(channel, STR("*")))
        return true;
    return channel.n > 2 && memcmp(channel.p + channel.n - 2, ":*", 2) == 0 &&
           memchr(channel.p, ':', channel.n) == channel.p + channel.n - 2;
}

bool channel_is_personal(struct str channel)
{
    return str_starts(channel, STR("user:"));
}

bool policy_lets_subscribe(const struct policy *p, struct str channel, struct str user)
{
    bool all = str_eq(channel, STR("*"));
    for (size_t i = 0; all && i < p->namespace_count; i++) {
        if (!p->namespaces[i].options.client_subscribe)
            return false;
    }
    if (p->personal_channels && channel_is_personal(channel))
        return user.n > 0 && str_eq(str_skip(channel, 5), user);
    return policy_of(p, channel)->client_subscribe;
}

static bool bytes_are_from(struct str s, unsigned char least)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < least || c == 0x7f)
            return false;
    }
    return true;
}

bool tenant_name_ok(struct str tenant)
{
    return tenant.n <= NAME_BYTES_MAX && bytes_are_from(tenant, ' ') && utf8_valid(tenant);
}

bool user_name_ok(struct str user)
{
    return user.n <= NAME_BYTES_MAX && bytes_are_from(user, ' ') && utf8_valid(user);
}

bool channel_name_ok(const struct policy *p, struct str channel, const char **ret_why)
{
    *ret_why = NULL;
    if (channel.n == 0)
        *ret_why = "channel: must not be empty";
    else if (channel.n > p->channel_name_max || channel.n > CHANNEL_NAME_MOST)
        *ret_why = "channel: name is too long";
    else if (!utf8_valid(channel))
        *ret_why = "channel: name is not UTF-8";
    else if (!bytes_are_from(channel, channel_is_personal(channel) ? ' ' : ' ' + 1))
        *ret_why = "channel: name has a space or control character";
    return *ret_why == NULL;
}
