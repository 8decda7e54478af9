/*
 * serve_schedules.c - whom a schedule calls, and where its events go.
 *
 * Why it exists: the schedules know when, and nothing of HTTP, models and channels.
 *
 * Always true: everything but stop() happens on the first loop; a run whose call was cut off by the
 * end of the server is left as running, and told as an error at the next start.
 */

#include "app/server.h"

#include "base/json.h"
#include "base/must.h"
#include "http/client.h"
#include "llm/llm.h"
#include "schedule/schedules.h"

#include <stdlib.h>

enum { HOME = 0, BODY_MAX = 1 << 20, WAIT_TURN_MS = 100 };

struct scheduling {
    struct server *server;
    struct schedules *schedules;
    struct mail begin;
    atomic_bool ending;
    bool loaded, load_ok;
};

/* One call that is under way. */
struct calling {
    struct scheduling *g;
    struct schedule_run *run;
    struct http_call *http; // either
    struct llm_call *llm;   // or
    struct buf said;        // by the model
    bool said_too_much;
    struct timer limit; // of the model
};

/* ---- events ---- */

static void publish(void *ctx, struct str tenant, struct str type, struct str data)
{
    struct scheduling *g = ctx;
    hub_publish(node_hub(g->server->node, HOME),
                &(struct publish_params){
                    .tenant = tenant, .channel = STR("gamification"), .type = type, .data = data},
                NULL, NULL);
}

static void calling_free(struct calling *c)
{
    timer_cancel(&c->limit);
    buf_fini(&c->said);
    free(c);
}

static void calling_end(struct calling *c, struct str output, struct str error)
{
    struct schedule_run *run = c->run;
    if (atomic_load(&c->g->ending))
        return; // schedules_destroy() hands it to drop()
    run->ctx = NULL;
    schedule_run_end(run, output, error);
    calling_free(c);
}

/* ---- a back end ---- */

/* Of an object its output or result, of a string itself, else all of it; escapes of JSON are
 * undone, so that words are found. */
static bool output_read(struct str body, struct buf *out)
{
    struct str raw;
    bool json = json_valid(body);
    body = json_trim(body);
    if (!json)
        return buf_add(out, body);
    if (body.p[0] == '{' &&
        (json_find(body, STR("output"), &raw) || json_find(body, STR("result"), &raw)))
        body = raw;
    if (body.n >= 2 && body.p[0] == '"')
        body = (struct str){body.p + 1, body.n - 2};
    return json_string_decode_to(body, out) || buf_add(out, body);
}

static void answered(void *ctx, const struct http_result *result)
{
    struct calling *c = ctx;
    char text[256];
    struct buf error = buf_on(text, sizeof(text)), output;
    buf_init(&output, result->body.n + 1);
    c->http = NULL;
    if (result->why != NULL)
        (void)buf_add_format(&error, "the back end: %s", result->why);
    else if (result->status < 200 || result->status > 299)
        (void)buf_add_format(&error, "the back end answered HTTP %u", result->status);
    else if (!output_read(result->body, &output))
        (void)buf_add(&error, STR("out of memory"));
    calling_end(c, buf_str(&output), buf_str(&error));
    buf_fini(&output);
}

static bool body_write(struct buf *out, const struct schedule_run *r)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("event")), STR("councilor_run"));
    json_put_string(json_key(&w, STR("tenant")), r->tenant);
    json_put_string(json_key(&w, STR("councilor_id")), r->id);
    json_put_string(json_key(&w, STR("task_name")), r->name);
    json_put_string(json_key(&w, STR("display_name")), r->display_name);
    json_put_string(json_key(&w, STR("execution_id")), r->execution_id);
    json_close_object(&w);
    return json_done(&w);
}

/* The conductor's key goes to the conductor's back end only. False: it cannot be
 * asked now. */
static bool ask_back_end(struct calling *c, const struct schedule_run *r)
{
    const struct config *k = c->g->server->config;
    bool own = r->url.n > 0;
    struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("X-API-Key"), k->dialects.conductor.backend_key},
    };
    struct buf body;
    buf_init(&body, BODY_MAX);
    if (body_write(&body, r))
        c->http = http_call_start(c->g->server->clients[HOME],
                                  &(struct http_call_params){
                                      .method = HTTP_POST,
                                      .url = own ? r->url : k->dialects.conductor.backend,
                                      .headers = headers,
                                      .header_count = !own && headers[1].value.n > 0 ? 2 : 1,
                                      .body = buf_str(&body),
                                      .timeout_ms = k->schedules.timeout_ms,
                                      .body_max_bytes = k->schedules.answer_max_bytes,
                                      .done = answered,
                                      .ctx = c,
                                  });
    buf_fini(&body);
    return c->http != NULL;
}

/* ---- the model ---- */

static void model_said(void *ctx, struct str text)
{
    struct calling *c = ctx;
    c->said_too_much |= !buf_add(&c->said, text);
}

static void model_ended(void *ctx, const struct llm_result *r)
{
    struct calling *c = ctx;
    char text[512];
    struct buf error = buf_on(text, sizeof(text));
    c->llm = NULL;
    if (r->failure != LLM_NONE)
        (void)buf_add_format(&error, "the model: %.*s", STR_FMT(r->why));
    else if (c->said_too_much)
        (void)buf_add(&error, STR("the model: the answer is too long"));
    calling_end(c, buf_str(&c->said), buf_str(&error));
}

static void model_is_late(struct timer *t)
{
    struct calling *c = container_of(t, struct calling, limit);
    if (atomic_load(&c->g->ending))
        return;
    llm_cancel(&c->llm);
    calling_end(c, STR_NONE, STR("the model: no answer in time"));
}

/* NULL: it is asked. */
static const char *ask_model(struct calling *c, const struct schedule_run *r)
{
    struct server *s = c->g->server;
    enum llm_failure why;
    if (s->llm == NULL)
        return "there is no model: llm.url is not set";
    struct llm_settings settings = llm_settings_none();
    struct str system = llm_settings_of(s->llm)->system_prompt;
    const struct llm_message messages[] = {{STR("system"), system}, {STR("user"), r->prompt}};
    bool has_system = system.n > 0;
    settings.model = r->model;
    c->llm = llm_start(s->llm, s->workers[HOME].loop,
                       &(struct llm_ask){.tenant = r->tenant,
                                         .settings = settings,
                                         .messages = has_system ? messages : &messages[1],
                                         .message_count = has_system ? 2 : 1,
                                         .token = model_said,
                                         .done = model_ended,
                                         .ctx = c},
                       &why);
    if (c->llm == NULL)
        return llm_failure_text(why);
    timer_arm(s->workers[HOME].loop, &c->limit, s->config->schedules.timeout_ms);
    return NULL;
}

/* ---- a run ---- */

static const char *nobody_to_call(void *ctx, const struct schedule_words *w)
{
    const struct scheduling *g = ctx;
    const struct server *s = g->server;
    if (w->prompt.n > 0)
        return s->llm != NULL ? NULL
                              : "prompt: there is no model to ask: set llm.url, or give a url "
                                "instead";
    return w->url.n > 0 || s->config->dialects.conductor.backend.n > 0
               ? NULL
               : "there is nobody to call: give a url or a prompt, or set conductor.backend";
}

static void run_begin(void *ctx, struct schedule_run *r)
{
    struct scheduling *g = ctx;
    struct calling *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        schedule_run_end(r, STR_NONE, STR("out of memory"));
        return;
    }
    c->g = g;
    c->run = r;
    r->ctx = c;
    timer_init(&c->limit, model_is_late);
    buf_init(&c->said, g->server->config->schedules.answer_max_bytes);
    const char *why = r->prompt.n > 0 ? ask_model(c, r) : NULL;
    if (why != NULL)
        calling_end(c, STR_NONE, str_from(why));
    else if (c->llm != NULL)
        return;
    else if (r->url.n == 0 && g->server->config->dialects.conductor.backend.n == 0)
        calling_end(c, STR_NONE,
                    STR("nobody to call: it has no url, and conductor.backend is not set"));
    else if (!ask_back_end(c, r))
        calling_end(c, STR_NONE, STR("the back end cannot be asked now"));
}

/* The clients have been taken apart before: no call is under way. */
static void run_drop(void *ctx, struct schedule_run *r)
{
    struct calling *c = r->ctx;
    (void)ctx;
    if (c != NULL)
        calling_free(c);
}

/* ---- birth and end ---- */

static void load_done(void *ctx, bool ok)
{
    struct scheduling *g = ctx;
    g->loaded = true;
    g->load_ok = ok;
}

static void put_figures(void *ctx, struct buf *page)
{
    struct schedule_stats st;
    schedules_read_stats(ctx, &st);
    metrics_put_gauge(page, "recado_schedules", "Schedules.", st.schedules);
    metrics_put_gauge(page, "recado_schedules_running", "Schedules that run now.", st.running);
    metrics_put_counter(page, "recado_schedules_runs_total", "Runs of schedules.", st.runs);
    metrics_put_counter(page, "recado_schedules_errors_total", "Runs that ended in an error.",
                        st.errors);
    metrics_put_counter(page, "recado_schedules_skipped_total",
                        "Due times that met a run still under way.", st.skipped);
}

static bool make(struct server *s, struct buf *ret_why)
{
    struct scheduling *g = calloc(1, sizeof(*g));
    (void)ret_why;
    if (g == NULL)
        return false;
    s->scheduling = g;
    g->server = s;
    g->schedules = schedules_create(&(struct schedule_options){.loop = s->workers[HOME].loop,
                                                               .store = s->store,
                                                               .max = s->config->schedules.max,
                                                               .nobody = nobody_to_call,
                                                               .begin = run_begin,
                                                               .publish = publish,
                                                               .ctx = g});
    s->api.schedules = g->schedules;
    if (g->schedules != NULL)
        metrics_add(&s->figures, put_figures, g->schedules);
    return g->schedules != NULL;
}

static void begin_arrived(struct mail *m, struct loop *l)
{
    struct scheduling *g = container_of(m, struct scheduling, begin);
    (void)l;
    schedules_start(g->schedules);
}

static bool start(struct server *s, struct buf *ret_why)
{
    struct scheduling *g = s->scheduling;
    schedules_load(g->schedules, load_done, g);
    while (!g->loaded) // no thread turns it yet
        loop_turn(s->workers[HOME].loop, WAIT_TURN_MS);
    if (!g->load_ok) {
        buf_add(ret_why, STR("the schedules cannot be read from the store\n"));
        return false;
    }
    g->begin.deliver = begin_arrived;
    loop_post(s->workers[HOME].loop, &g->begin);
    return true;
}

static void stop(struct server *s)
{
    struct scheduling *g = s->scheduling;
    if (g == NULL)
        return;
    atomic_store(&g->ending, true);
    if (g->schedules != NULL)
        schedules_stop(g->schedules);
}

static void drop(struct server *s)
{
    struct scheduling *g = s->scheduling;
    s->scheduling = NULL;
    if (g == NULL)
        return;
    schedules_destroy(&g->schedules, run_drop);
    free(g);
}

const struct service schedules_service = {
    .name = "schedules", .make = make, .start = start, .stop = stop, .drop = drop};
