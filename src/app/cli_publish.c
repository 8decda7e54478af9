/*
 * cli_publish.c - recado publish: events from the command line into a channel.
 *
 * Always true: an event that is said to be published was acknowledged by the server; the first one
 * that was not ends the command, so that nobody goes on behind a gap.
 */
#include "app/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/http_post.h"
#include "app/json_lines.h"
#include "app/url.h"
#include "base/json.h"

static const char help[] =
    "usage: recado publish --channel CHANNEL [options] JSON|-\n"
    "\n"
    "Publishes one event; with - the events come from standard input, one JSON value a line.\n"
    "\n"
    "  recado publish --channel news '{\"text\":\"hello\"}'\n"
    "  recado publish --channel task:42 --type progress '{\"percent\":80}'\n"
    "  echo '\"plain text is a JSON string\"' | recado publish --channel news -\n"
    "  tail -f events.ndjson | recado publish --channel logs -\n"
    "\n"
    "  -C, --channel CHANNEL  where to, such as news or project:PROJ-001\n"
    "  -t, --type TYPE        the event's type: subscribers can filter by it\n"
    "  -s, --server URL       the server (http://127.0.0.1:8000)\n"
    "  -k, --api-key KEY      its API key; else $RECADO_API_KEY is used\n"
    "      --tenant TENANT    the tenant, when it is not the default one\n"
    "      --insecure         do not check the server's certificate\n"
    "  -q, --quiet            print nothing when all is well\n"
    "      --json             print one JSON object per event\n";

struct publish {
    const struct cli_spec *spec;
    struct cli_out out;
    const char *server, *api_key, *tenant, *channel, *type;
    bool insecure, quiet, json;
    struct http_post post;
    struct buf body;
};

static bool write_body(struct publish *p, struct str data)
{
    struct json_writer w;
    buf_clear(&p->body);
    json_writer_init(&w, &p->body);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("channel")), str_from(p->channel));
    json_put_raw(json_key(&w, STR("data")), data);
    if (p->type != NULL)
        json_put_string(json_key(&w, STR("type")), str_from(p->type));
    if (p->tenant != NULL)
        json_put_string(json_key(&w, STR("tenant")), str_from(p->tenant));
    json_close_object(&w);
    return json_done(&w);
}

static void print_done(const struct publish *p, struct str result)
{
    char text[256];
    struct str raw, epoch = STR_NONE;
    uint64_t offset = 0;
    struct json j;
    if (json_find(result, STR("offset"), &raw))
        str_to_u64(raw, &offset);
    if (json_find(result, STR("epoch"), &raw)) {
        json_init(&j, raw);
        json_read_string(&j, text, sizeof(text), &epoch);
    }
    struct buf line;
    struct json_writer w;
    buf_init(&line, 65536);
    json_writer_init(&w, &line);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("channel")), str_from(p->channel));
    if (offset > 0)
        json_put_u64(json_key(&w, STR("offset")), offset);
    if (epoch.n > 0)
        json_put_string(json_key(&w, STR("epoch")), epoch);
    json_close_object(&w);
    if (p->out.json && json_done(&w))
        printf("%.*s\n", STR_FMT(buf_str(&line)));
    if (!p->out.json) {
        printf("%spublished%s to %s", cli_color(&p->out, CLI_GREEN), cli_color(&p->out, CLI_PLAIN),
               p->channel);
        if (offset > 0)
            printf(", offset %llu", (unsigned long long)offset);
        if (epoch.n > 0) {
            fputs(", epoch ", stdout);
            cli_print_safe(epoch);
        }
        putchar('\n');
    }
    fflush(stdout);
    buf_fini(&line);
}

/* What the server said was wrong, from either form of its errors. */
static int refused(const struct publish *p, unsigned status, struct str answer)
{
    char text[512];
    struct str error, raw, message = STR_NONE, code = STR_NONE;
    struct json j;
    if (json_valid(answer) && json_find(answer, STR("error"), &error)) {
        json_find(error, STR("code"), &code);
        if (json_find(error, STR("message"), &raw)) {
            json_init(&j, raw);
            json_read_string(&j, text, sizeof(text), &message);
        }
    }
    if (message.n > 0 && code.n > 0)
        return cli_fail(p->spec, "%s: refused: %.*s (code %.*s, HTTP status %u)", p->channel,
                        STR_FMT(message), STR_FMT(code), status);
    const char *hint = status == 401   ? ": is the API key right?"
                       : status == 404 ? ": is this the address of the server's API?"
                                       : "";
    return cli_fail(p->spec, "%s: refused with HTTP status %u%s", p->channel, status, hint);
}

static int publish_one(struct publish *p, struct str data)
{
    struct str answer, result;
    unsigned status;
    if (!write_body(p, data))
        return cli_fail(p->spec, "the event is too big");
    if (!http_post_send(&p->post, buf_str(&p->body), &status, &answer))
        return cli_fail(p->spec, "%s: %s", p->server, http_post_error(&p->post));
    if (status != 200 || !json_valid(answer) || !json_find(answer, STR("result"), &result))
        return refused(p, status, answer);
    if (!p->quiet)
        print_done(p, result);
    return CLI_DONE;
}

static int publish_lines(struct publish *p)
{
    struct json_lines lines;
    struct str value;
    char why[256];
    int code = CLI_DONE;
    json_lines_init(&lines, stdin);
    while (code == CLI_DONE) {
        enum json_lines_result r = json_lines_next(&lines, &value, why, sizeof(why));
        if (r == JSON_LINES_END)
            break;
        if (r == JSON_LINES_BAD)
            code = cli_refuse(p->spec, "standard input, %s", why);
        else
            code = publish_one(p, value);
    }
    if (code == CLI_DONE && lines.count == 0)
        code = cli_refuse(p->spec, "standard input is empty: one JSON value a line was expected");
    json_lines_fini(&lines);
    return code;
}

static int publish_argument(struct publish *p, const char *text)
{
    struct str value;
    struct json j;
    json_init(&j, str_from(text));
    if (json_read_raw(&j, &value) && json_end(&j))
        return publish_one(p, value);
    const char *hint = json_peek(&j) == JSON_NONE && strpbrk(text, "{[\"") == NULL
                           ? " (a text is written '\"with quotes\"')"
                           : "";
    return cli_refuse(p->spec, "the event is not JSON: %s at byte %zu%s", j.error,
                      json_error_offset(&j), hint);
}

static int run(struct publish *p, const char *argument)
{
    struct http_post_target t = {.server = p->server,
                                 .path = "/api/publish",
                                 .api_key = p->api_key,
                                 .insecure = p->insecure};
    char why[256];
    if (!http_post_init(&p->post, &t, why, sizeof(why)))
        return cli_refuse(p->spec, "--server %s: %s", p->server, why);
    buf_init(&p->body, JSON_LINES_MAX + 65536);
    int code = strcmp(argument, "-") == 0 ? publish_lines(p) : publish_argument(p, argument);
    buf_fini(&p->body);
    http_post_fini(&p->post);
    return code;
}

int cli_publish(int argc, char **argv)
{
    struct publish p = {.server = "http://127.0.0.1:8000", .api_key = getenv("RECADO_API_KEY")};
    struct cli_list rest;
    const struct cli_option options[] = {{"channel", 'C', CLI_TEXT, &p.channel},
                                         {"type", 't', CLI_TEXT, &p.type},
                                         {"server", 's', CLI_TEXT, &p.server},
                                         {"api-key", 'k', CLI_TEXT, &p.api_key},
                                         {"tenant", 0, CLI_TEXT, &p.tenant},
                                         {"insecure", 0, CLI_FLAG, &p.insecure},
                                         {"quiet", 'q', CLI_FLAG, &p.quiet},
                                         {"json", 0, CLI_FLAG, &p.json},
                                         {0}};
    const struct cli_spec spec = {"publish", help, options};
    enum cli_parsed parsed = cli_parse(&spec, argc, argv, &rest);
    if (parsed != CLI_GO)
        return cli_parsed_exit(parsed);
    p.spec = &spec;
    p.out = cli_out_choose(p.json);
    if (p.channel == NULL || *p.channel == '\0')
        return cli_refuse(&spec, "--channel is missing");
    if (rest.count == 0)
        return cli_refuse(&spec, "the event is missing: give JSON, or - for standard input");
    if (rest.count > 1)
        return cli_refuse(&spec, "unexpected argument '%s': is the JSON quoted for the shell?",
                          rest.items[1]);
    return run(&p, rest.items[0]);
}
