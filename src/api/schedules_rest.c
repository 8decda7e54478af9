/*
 * schedules_rest.c - /api/schedules: councilors that are called by the clock.
 *
 * Always true: only a back end makes and changes schedules, because a schedule makes this server
 * call an address. A client with a token reads, pauses, resumes and runs those of its tenant.
 */
#include "api/rest.h"

#include "schedule/schedules.h"

#include <stdlib.h>

enum { HOME = 0, ONE_MAX = 1 << 20, LIST_MAX = 64 << 20 };

/* ---- what is asked ---- */

struct wish {
    struct str tenant, id;
    struct schedule_words words;
    bool has_id, has_name, has_display_name, has_interval, has_cron, has_url, has_prompt, has_model;
    bool has_paused, paused;
    struct buf text;    // decoded strings
    struct str unknown; // the first field that is none of these, raw; "": all are
    struct str wrong;   // the field whose value j does not like; "": j is no object
    struct json j;
};

/* null says: none. */
static void read_text(struct wish *w, bool *has, struct str *ret)
{
    struct json *j = &w->j;
    struct str raw = STR_NONE;
    *has = true;
    *ret = STR_NONE;
    if (json_peek(j) == JSON_NULL) {
        json_read_null(j);
    } else if (json_read_string_raw(j, &raw)) {
        size_t from = w->text.len;
        if (json_string_decode_to(raw, &w->text))
            *ret = (struct str){w->text.p + from, w->text.len - from};
        else
            json_fail(j, "half a surrogate pair");
    }
}

static void read_field(struct wish *w, struct str key)
{
    bool has_tenant;
    const struct {
        struct str key;
        bool *has;
        struct str *text;
    } texts[] = {
        {STR("id"), &w->has_id, &w->id},
        {STR("tenant"), &has_tenant, &w->tenant},
        {STR("name"), &w->has_name, &w->words.name},
        {STR("display_name"), &w->has_display_name, &w->words.display_name},
        {STR("interval"), &w->has_interval, &w->words.interval},
        {STR("cron"), &w->has_cron, &w->words.cron},
        {STR("url"), &w->has_url, &w->words.url},
        {STR("prompt"), &w->has_prompt, &w->words.prompt},
        {STR("model"), &w->has_model, &w->words.model},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!json_key_is(key, texts[i].key))
            continue;
        read_text(w, texts[i].has, texts[i].text);
        return;
    }
    if (json_key_is(key, STR("paused")))
        w->has_paused = json_read_bool(&w->j, &w->paused);
    else if (w->unknown.p == NULL)
        w->unknown = key;
}

/* False: it is not an object of JSON; w->j says why. */
static bool wish_read(struct str body, struct wish *w)
{
    struct str key;
    *w = (struct wish){0};
    buf_init(&w->text, body.n + 1);
    if (!buf_reserve(&w->text, body.n + 1)) // strings point into it: it must not move
        return false;
    json_init(&w->j, body.n > 0 ? body : STR("{}"));
    json_object_begin(&w->j);
    while (json_object_next(&w->j, &key)) {
        read_field(w, key);
        if (w->j.error != NULL)
            w->wrong = key;
    }
    return json_end(&w->j);
}

static void merge(struct str *wish, bool has, struct str was, bool replaced)
{
    if (!has)
        *wish = replaced ? STR_NONE : was;
}

/* What is not said stays; an interval takes the place of a cron, a prompt that of a url. */
static void wish_merge(struct wish *w, const struct schedule_words *was)
{
    bool interval = w->words.interval.n > 0, cron = w->words.cron.n > 0;
    bool url = w->words.url.n > 0, prompt = w->words.prompt.n > 0;
    merge(&w->words.name, w->has_name, was->name, false);
    merge(&w->words.display_name, w->has_display_name, was->display_name, false);
    merge(&w->words.interval, w->has_interval, was->interval, cron);
    merge(&w->words.cron, w->has_cron, was->cron, interval);
    merge(&w->words.url, w->has_url, was->url, prompt);
    merge(&w->words.prompt, w->has_prompt, was->prompt, url);
    merge(&w->words.model, w->has_model, was->model, false);
}

/* ---- answers ---- */

static void reply_one(struct http_request *r, unsigned status, const struct schedule *s, bool whole)
{
    struct buf b;
    buf_init(&b, ONE_MAX);
    if (schedule_write(&b, s, whole))
        http_reply(r, status, STR("application/json"), buf_str(&b), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, NULL);
    buf_fini(&b);
}

static void reply_refused(struct http_request *r, enum schedule_answer a, const char *why)
{
    static const enum err errors[] = {
        [SCHEDULE_INVALID] = ERR_BAD_REQUEST, [SCHEDULE_UNKNOWN] = ERR_NOT_FOUND,
        [SCHEDULE_EXISTS] = ERR_CONFLICT,     [SCHEDULE_FULL] = ERR_CONFLICT,
        [SCHEDULE_RUNNING] = ERR_CONFLICT,    [SCHEDULE_NOT_STORED] = ERR_NOT_STORED,
        [SCHEDULE_NO_MEMORY] = ERR_INTERNAL,
    };
    rest_fail(r, errors[a], str_from(why));
}

/* A request that waits until the database has answered. */
struct waiting {
    struct http_request *r; // NULL: its peer has gone
    unsigned status;
    bool whole;
};

static void waiting_gone(struct http_request *r, void *ctx)
{
    struct waiting *w = ctx;
    (void)r;
    w->r = NULL;
}

static void waiting_done(void *ctx, enum schedule_answer a, const struct schedule *s,
                         const char *why)
{
    struct waiting *w = ctx;
    struct http_request *r = w->r;
    unsigned status = w->status;
    bool whole = w->whole;
    free(w);
    if (r == NULL)
        return;
    r->gone = NULL;
    if (a != SCHEDULE_OK)
        reply_refused(r, a, why);
    else if (s != NULL)
        reply_one(r, status, s, whole);
    else
        http_reply(r, status, STR("application/json"), STR("{\"deleted\":true}"), STR_NONE);
}

static struct waiting *waiting_make(struct http_request *r, const struct asker *who,
                                    unsigned status)
{
    struct waiting *w = malloc(sizeof(*w));
    if (w == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return NULL;
    }
    *w = (struct waiting){r, status, who->back_end};
    r->gone = waiting_gone;
    r->gone_ctx = w;
    return w;
}

/* ---- routes ---- */

static const struct api *api_of(const struct http_request *r)
{
    return r->route_ctx;
}

/* Schedules live on one loop; the connection goes there. False: it does, or cannot. */
static bool is_home(struct http_request *r)
{
    if (loop_index(http_server_loop(r->server)) == HOME)
        return true;
    if (!http_move(r, HOME))
        http_refuse(r, ERR_INTERNAL, NULL);
    return false;
}

static bool back_end_only(struct http_request *r, const struct asker *who)
{
    return who->back_end ||
           http_refuse(r, ERR_PERMISSION_DENIED, "only a back end, with an API key, may do that");
}

struct listing {
    struct json_writer w;
    struct buf b, one;
    bool whole;
};

static void list_one(void *ctx, const struct schedule *s)
{
    struct listing *l = ctx;
    buf_clear(&l->one);
    if (schedule_write(&l->one, s, l->whole))
        json_put_raw(&l->w, buf_str(&l->one));
}

static void list_reply(struct http_request *r, const struct asker *who)
{
    struct listing l = {.whole = who->back_end};
    uint64_t limit = 50, offset = 0;
    if (!rest_query_number(r, STR("limit"), 1, 500, &limit) ||
        !rest_query_number(r, STR("offset"), 0, UINT32_MAX, &offset))
        return;
    buf_init(&l.b, LIST_MAX);
    buf_init(&l.one, ONE_MAX);
    json_writer_init(&l.w, &l.b);
    json_open_object(&l.w);
    json_open_array(json_key(&l.w, STR("schedules")));
    size_t total = schedules_list(api_of(r)->schedules, who->tenant, (size_t)offset, (size_t)limit,
                                  list_one, &l);
    json_close_array(&l.w);
    json_put_u64(json_key(&l.w, STR("total")), total);
    json_put_u64(json_key(&l.w, STR("limit")), limit);
    json_put_u64(json_key(&l.w, STR("offset")), offset);
    json_close_object(&l.w);
    rest_reply(r, 200, &l.w);
    buf_fini(&l.b);
    buf_fini(&l.one);
}

static void route_list(struct http_request *r)
{
    struct asker who;
    if (!is_home(r) || !rest_admit(r, api_of(r), STR_NONE, &who))
        return;
    list_reply(r, &who);
    asker_fini(&who);
}

static void add(struct http_request *r, const struct asker *who, const struct wish *w)
{
    struct waiting *wait = waiting_make(r, who, 201);
    if (wait != NULL)
        schedules_add(api_of(r)->schedules, who->tenant, w->id, &w->words, w->paused, waiting_done,
                      wait);
}

static void change(struct http_request *r, const struct asker *who, struct str id, struct wish *w)
{
    struct schedules *all = api_of(r)->schedules;
    const struct schedule *s = schedules_find(all, who->tenant, id);
    if (s == NULL) {
        reply_refused(r, SCHEDULE_UNKNOWN, "no such schedule");
        return;
    }
    if (w->has_id || w->has_paused) {
        rest_refuse(r, w->has_id ? STR("id") : STR("paused"),
                    w->has_id ? "cannot be changed" : "is changed by /pause and /resume");
        return;
    }
    wish_merge(w, &s->words);
    struct waiting *wait = waiting_make(r, who, 200);
    if (wait != NULL)
        schedules_change(all, who->tenant, id, &w->words, waiting_done, wait);
}

static bool is_time_zone(struct str key)
{
    static const struct str words[] = {
        {"timezone", 8}, {"time_zone", 9}, {"timeZone", 8}, {"tz", 2}, {"zone", 4}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_key_is(key, words[i]))
            return true;
    }
    return false;
}

/* A field that is left unread would be a wish that is not granted. False: answered. */
static bool fields_known(struct http_request *r, const struct wish *w)
{
    struct str key = w->unknown;
    if (key.p == NULL)
        return true;
    if (is_time_zone(key))
        return rest_refuse(r, key, "schedules run in UTC and have no time zone");
    if (key.n == 0 || key.n > 64)
        return rest_refuse(r, STR("body"), "a field of that name is not known");
    return rest_refuse(r, key,
                       "not known; there are id, name, display_name, interval, cron, url, prompt, "
                       "model, paused and tenant");
}

/* POST of a new one (id ""), or PATCH. */
static void write_one(struct http_request *r, struct str id)
{
    struct asker who;
    struct wish w;
    if (!rest_body_fits(r, api_of(r)))
        return;
    bool readable = wish_read(r->body, &w);
    if (rest_admit(r, api_of(r), readable ? w.tenant : STR_NONE, &who)) {
        if (!back_end_only(r, &who)) {
            // answered
        } else if (w.wrong.n > 0) {
            rest_refuse(r, w.wrong, w.j.error);
        } else if (!readable) {
            rest_refuse_json(r, &w.j);
        } else if (!fields_known(r, &w)) {
            // answered
        } else if (id.n > 0) {
            change(r, &who, id, &w);
        } else {
            add(r, &who, &w);
        }
        asker_fini(&who);
    }
    buf_fini(&w.text);
}

static void route_add(struct http_request *r)
{
    if (is_home(r))
        write_one(r, STR_NONE);
}

static void get_one(struct http_request *r, const struct asker *who, struct str id)
{
    const struct schedule *s = schedules_find(api_of(r)->schedules, who->tenant, id);
    if (s != NULL)
        reply_one(r, 200, s, who->back_end);
    else
        reply_refused(r, SCHEDULE_UNKNOWN, "no such schedule");
}

static void remove_one(struct http_request *r, const struct asker *who, struct str id)
{
    struct waiting *w = back_end_only(r, who) ? waiting_make(r, who, 200) : NULL;
    if (w != NULL)
        schedules_remove(api_of(r)->schedules, who->tenant, id, waiting_done, w);
}

static void do_verb(struct http_request *r, const struct asker *who, struct str id, struct str verb)
{
    struct schedules *all = api_of(r)->schedules;
    bool run = str_eq(verb, STR("run"));
    struct waiting *w = waiting_make(r, who, run ? 202 : 200);
    if (w == NULL)
        return;
    if (run)
        schedules_run(all, who->tenant, id, waiting_done, w);
    else
        schedules_set_paused(all, who->tenant, id, str_eq(verb, STR("pause")), waiting_done, w);
}

/* The tenant that the body of a verb names; "": none. */
static bool verb_is_known(struct str verb)
{
    return str_eq(verb, STR("pause")) || str_eq(verb, STR("resume")) || str_eq(verb, STR("run"));
}

/* /api/schedules/{id} and /api/schedules/{id}/{verb} */
static void route_one(struct http_request *r)
{
    struct asker who;
    struct str verb = r->param, id = str_cut(&verb, '/');
    char tenant_at[256];
    bool has_verb = id.n < r->param.n;
    bool fits = has_verb ? r->method == HTTP_POST : r->method != HTTP_POST;
    if (!is_home(r))
        return;
    if (id.n == 0 || (has_verb && !verb_is_known(verb))) {
        http_refuse(r, ERR_NOT_FOUND, "no such path");
        return;
    }
    if (!fits) {
        http_refuse_method(r, has_verb ? 1u << HTTP_POST
                                       : 1u << HTTP_GET | 1u << HTTP_PATCH | 1u << HTTP_DELETE);
        return;
    }
    if (r->method == HTTP_PATCH) {
        write_one(r, id);
        return;
    }
    struct str tenant = STR_NONE;
    if (!rest_admit(r, api_of(r), STR_NONE, &who))
        return;
    if (has_verb && (!rest_body_tenant(r, r->body, tenant_at, &tenant) ||
                     !rest_set_tenant(r, api_of(r), tenant, &who)))
        ;
    else if (has_verb)
        do_verb(r, &who, id, verb);
    else if (r->method == HTTP_DELETE)
        remove_one(r, &who, id);
    else
        get_one(r, &who, id);
    asker_fini(&who);
}

bool schedules_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned one = 1u << HTTP_GET | 1u << HTTP_POST | 1u << HTTP_PATCH | 1u << HTTP_DELETE;
    return http_router_add(rt, 1u << HTTP_GET, "/api/schedules", route_list, ctx) &&
           http_router_add(rt, 1u << HTTP_POST, "/api/schedules", route_add, ctx) &&
           http_router_add(rt, one, "/api/schedules/{rest...}", route_one, ctx);
}
