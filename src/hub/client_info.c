/*
 * client_info.c - who published, joined or left, as JSON.
 */
#include "hub/priv.h"

#include "base/json.h"

bool client_info_write(struct buf *out, struct str client, struct str user, struct str info,
                       struct str channel_info)
{
    bool ok = buf_add(out, STR("{\"user\":")) && json_write_string(out, user) &&
              buf_add(out, STR(",\"client\":")) && json_write_string(out, client);
    if (info.n > 0)
        ok = ok && buf_add(out, STR(",\"conn_info\":")) && buf_add(out, info);
    if (channel_info.n > 0)
        ok = ok && buf_add(out, STR(",\"chan_info\":")) && buf_add(out, channel_info);
    return ok && buf_add_char(out, '}');
}
