/*
 * socketio_read.c - the text of a Socket.IO packet, taken apart and checked.
 *
 * Why it exists: <type>[<attachments>-][<namespace>,][<id>][<JSON>] is read once, strictly, so that
 * nobody behind this has to ask again whether a packet is what it says: events have a name that may
 * be used, acks an id, and every placeholder its attachment.
 */
#include "dialect/socketio_priv.h"

static bool take_digits(struct str *text, uint64_t *ret)
{
    size_t n = 0;
    while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
        n++;
    if (!str_to_u64((struct str){text->p, n}, ret))
        return false;
    *text = str_skip(*text, n);
    return true;
}

static const char *take_attachments(struct str *text, uint32_t *ret)
{
    uint64_t count;
    if (!take_digits(text, &count) || text->n == 0 || text->p[0] != '-')
        return "attachments: expected their number and '-'";
    if (count > SIO_ATTACHMENTS_MAX)
        return "attachments: too many";
    *text = str_skip(*text, 1);
    *ret = (uint32_t)count;
    return NULL;
}

bool sio_nsp_ok(struct str nsp)
{
    for (size_t i = 0; i < nsp.n; i++) {
        if ((unsigned char)nsp.p[i] <= ' ' || nsp.p[i] == 0x7f || nsp.p[i] == ',')
            return false;
    }
    return nsp.n > 0 && nsp.p[0] == '/' && nsp.n <= SIO_NSP_MAX && utf8_valid(nsp);
}

static const char *take_namespace(struct str *text, struct str *ret)
{
    *ret = STR("/");
    if (text->n == 0 || text->p[0] != '/')
        return NULL;
    struct str nsp = str_cut(text, ',');
    nsp = str_cut(&nsp, '?'); // some clients leave the query of their URL in it
    if (!sio_nsp_ok(nsp))
        return "namespace: too long, or not printable";
    *ret = nsp;
    return NULL;
}

/* ---- JSON ---- */

/* {"_placeholder":true,"num":n} with n below count, wherever it stands. */
static bool check_value(struct json *j, uint32_t count);

static bool check_object(struct json *j, uint32_t count)
{
    struct str key;
    bool placeholder = false, has_number = false;
    uint64_t number = 0;
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        enum json_type type = json_peek(j);
        if (type == JSON_BOOL && json_key_is(key, STR("_placeholder"))) {
            if (!json_read_bool(j, &placeholder))
                return false;
        } else if (type == JSON_NUMBER && json_key_is(key, STR("num"))) {
            struct str raw;
            if (!json_read_raw(j, &raw))
                return false;
            has_number = str_to_u64(raw, &number);
        } else if (!check_value(j, count)) {
            return false;
        }
    }
    if (placeholder && (!has_number || number >= count))
        return json_fail(j, "placeholder: no such attachment");
    return j->error == NULL;
}

static bool check_value(struct json *j, uint32_t count)
{
    enum json_type type = json_peek(j);
    if (type == JSON_OBJECT)
        return check_object(j, count);
    if (type != JSON_ARRAY)
        return json_skip(j);
    if (!json_array_begin(j))
        return false;
    while (json_array_next(j)) {
        if (!check_value(j, count))
            return false;
    }
    return j->error == NULL;
}

bool sio_placeholders_ok(struct str data, uint32_t count)
{
    struct json j;
    json_init(&j, data);
    return check_value(&j, count) && json_end(&j);
}

/* raw: a JSON string with its quotes. */
bool sio_name_is_reserved(struct str raw)
{
    static const struct str reserved[] = {
        {"connect", 7},        {"connect_error", 13}, {"disconnect", 10},
        {"disconnecting", 13}, {"newListener", 11},   {"removeListener", 14},
    };
    struct str body = {raw.p + 1, raw.n - 2};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (json_key_is(body, reserved[i]))
            return true;
    }
    return false;
}

static const char *read_array(struct sio_packet *p, bool named)
{
    struct json j;
    json_init(&j, p->data);
    if (!json_array_begin(&j))
        return "payload: must be an array";
    for (uint32_t i = 0; json_array_next(&j); i++) {
        struct str raw;
        enum json_type type = json_peek(&j);
        if (!json_read_raw(&j, &raw))
            break;
        if (i > 0 || !named) {
            p->argument_count++;
            continue;
        }
        if (type != JSON_STRING && type != JSON_NUMBER)
            return "event: its name must be a string";
        if (type == JSON_STRING && sio_name_is_reserved(raw))
            return "event: the name is reserved";
        p->name = raw;
    }
    if (!json_end(&j))
        return "payload: not JSON";
    if (named && p->name.n == 0)
        return "event: has no name";
    return NULL;
}

static const char *read_object(const struct sio_packet *p)
{
    struct json j;
    if (p->data.n == 0)
        return NULL;
    json_init(&j, p->data);
    if (json_peek(&j) != JSON_OBJECT || !json_skip(&j) || !json_end(&j))
        return "payload: must be an object";
    return NULL;
}

static const char *read_payload(struct sio_packet *p)
{
    const char *why;
    switch (p->type) {
    case SIO_CONNECT:
        return read_object(p);
    case SIO_DISCONNECT:
        return p->data.n == 0 ? NULL : "disconnect: has a payload";
    case SIO_CONNECT_ERROR:
        return "type: only a server refuses connections";
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        why = read_array(p, true);
        break;
    default:
        why = p->has_id ? read_array(p, false) : "ack: has no id";
        break;
    }
    bool binary = p->type == SIO_BINARY_EVENT || p->type == SIO_BINARY_ACK;
    if (why == NULL && binary && !sio_placeholders_ok(p->data, p->attachment_count))
        return "placeholder: no such attachment";
    return why;
}

const char *sio_packet_read(struct str text, struct sio_packet *ret)
{
    *ret = (struct sio_packet){0};
    if (text.n == 0 || text.p[0] < '0' || text.p[0] > '0' + SIO_BINARY_ACK)
        return "type: unknown";
    ret->type = (enum sio_type)(text.p[0] - '0');
    text = str_skip(text, 1);
    const char *why = NULL;
    if (ret->type == SIO_BINARY_EVENT || ret->type == SIO_BINARY_ACK)
        why = take_attachments(&text, &ret->attachment_count);
    if (why == NULL)
        why = take_namespace(&text, &ret->nsp);
    if (why != NULL)
        return why;
    if (text.n > 0 && text.p[0] >= '0' && text.p[0] <= '9') {
        ret->has_id = take_digits(&text, &ret->id);
        if (!ret->has_id)
            return "id: too large";
    }
    ret->data = text;
    return read_payload(ret);
}
