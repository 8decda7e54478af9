/*
 * conductor_hand.c - how a job gets to whoever runs it: a request to the configured back end, or,
 * without one, an event of the channel jobs that workers follow.
 *
 * Always true: a job that the back end refuses or cannot be given ends with an event "error"; one
 * that nobody takes ends with one when its time of silence is over.
 */
#include "dialect/conductor_priv.h"

/* A job on its way to the back end. */
struct handing {
    struct list link; // in conductor.handings
    struct conductor *conductor;
    struct hub *hub;
    struct str tenant, id;
    char bytes[];
};

/* ---- asking the back end ---- */

struct http_call *backend_ask(const struct conductor *c, const struct loop *l, struct str body,
                              void (*done)(void *ctx, const struct http_result *result), void *ctx)
{
    const struct dialect_options *o = c->endpoint->options;
    struct http_client *client = endpoint_client(c->endpoint, l);
    struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("X-API-Key"), o->conductor.backend_key},
    };
    if (client == NULL)
        return NULL;
    return http_call_start(client, &(struct http_call_params){
                                       .method = HTTP_POST,
                                       .url = o->conductor.backend,
                                       .headers = headers,
                                       .header_count = o->conductor.backend_key.n > 0 ? 2 : 1,
                                       .body = body,
                                       .timeout_ms = o->conductor.backend_timeout_ms,
                                       .body_max_bytes = HTTP_TEXT_MAX,
                                       .done = done,
                                       .ctx = ctx,
                                   });
}

/* ---- its answer ---- */

static bool event_publish(const struct handing *h, struct str event)
{
    char at[EVENT_TYPE_MAX + 1];
    struct str raw, type = STR_NONE, data;
    if (!json_find(event, STR("event"), &raw) && !json_find(event, STR("type"), &raw))
        return false;
    if (raw.n < 2 || raw.p[0] != '"' ||
        !json_string_decode((struct str){raw.p + 1, raw.n - 2}, at, sizeof(at), &type))
        return false;
    if (!json_find(event, STR("data"), &data))
        data = STR("{}");
    job_publish(h->hub, h->tenant, h->id, type, data);
    return true;
}

static bool events_publish(const struct handing *h, struct str body)
{
    struct json j;
    struct str events, event;
    if (!json_find(body, STR("events"), &events))
        return true;
    json_init(&j, events);
    if (json_peek(&j) != JSON_ARRAY || !json_array_begin(&j))
        return false;
    bool ok = true;
    while (json_array_next(&j)) {
        if (json_read_raw(&j, &event))
            ok = event_publish(h, event) && ok;
    }
    return ok;
}

static void handing_free(struct handing *h)
{
    pthread_mutex_lock(&h->conductor->lock);
    list_remove(&h->link);
    pthread_mutex_unlock(&h->conductor->lock);
    free(h);
}

static void handed(void *ctx, const struct http_result *result)
{
    struct handing *h = ctx;
    char text[256];
    struct buf b = buf_on(text, sizeof(text));
    struct str body = json_trim(result->body);
    if (result->why != NULL)
        (void)buf_add_format(&b, "The back end did not take the job: %s", result->why);
    else if (result->status < 200 || result->status > 299)
        (void)buf_add_format(&b, "The back end did not take the job: HTTP %u", result->status);
    else if (json_valid(body) && body.p[0] == '{' && !events_publish(h, body))
        (void)buf_add(&b, STR("The back end answered with events that are none"));
    if (b.len > 0 && job_is_running(h->conductor, h->tenant, h->id))
        job_publish_error(h->hub, h->tenant, h->id, buf_str(&b));
    handing_free(h);
}

/* ---- handing over ---- */

static bool job_text_write(struct buf *out, bool for_back_end, const struct identity *who,
                           struct str id, struct str text_raw, struct str body)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_open_object(&w);
    if (for_back_end) {
        json_put_string(json_key(&w, STR("event")), STR("job_submitted"));
        json_put_string(json_key(&w, STR("tenant")), who->tenant);
    }
    json_put_string(json_key(&w, STR("job_id")), id);
    json_put_raw(json_key(&w, STR("input")), (struct str){text_raw.p - 1, text_raw.n + 2});
    if (who->user.n > 0)
        json_put_string(json_key(&w, STR("user")), who->user);
    json_put_raw(json_key(&w, STR("body")), body);
    json_close_object(&w);
    return json_done(&w);
}

static struct handing *handing_make(struct conductor *c, struct hub *hub, struct str tenant,
                                    struct str id)
{
    struct handing *h = malloc(sizeof(*h) + tenant.n + id.n);
    if (h == NULL)
        return NULL;
    char *at = h->bytes;
    h->conductor = c;
    h->hub = hub;
    h->tenant = str_put(&at, tenant);
    h->id = str_put(&at, id);
    pthread_mutex_lock(&c->lock);
    list_add(&c->handings, &h->link);
    pthread_mutex_unlock(&c->lock);
    return h;
}

static void hand_to_back_end(struct conductor *c, struct hub *hub, struct str tenant, struct str id,
                             struct str body)
{
    struct handing *h = handing_make(c, hub, tenant, id);
    if (h != NULL && backend_ask(c, hub_loop(hub), body, handed, h) != NULL)
        return;
    if (h != NULL)
        handing_free(h);
    job_publish_error(hub, tenant, id, STR("The back end cannot be asked now"));
}

void job_hand_over(struct conductor *c, struct hub *hub, const struct identity *who, struct str id,
                   struct str text_raw, struct str body)
{
    bool to_back_end = c->endpoint->options->conductor.backend.n > 0;
    struct buf b;
    buf_init(&b, 2 * body.n + 4096);
    if (!job_text_write(&b, to_back_end, who, id, text_raw, body))
        job_publish_error(hub, who->tenant, id, STR("out of memory"));
    else if (to_back_end)
        hand_to_back_end(c, hub, who->tenant, id, buf_str(&b));
    else
        hub_publish(hub,
                    &(struct publish_params){.tenant = who->tenant,
                                             .channel = STR("jobs"),
                                             .type = STR("job_submitted"),
                                             .data = buf_str(&b)},
                    NULL, NULL); // one that got lost is a job that nobody takes
    buf_fini(&b);
}

void handings_drop(struct conductor *c)
{
    while (!list_empty(&c->handings)) {
        struct handing *h = container_of(c->handings.next, struct handing, link);
        list_remove(&h->link);
        free(h);
    }
}
