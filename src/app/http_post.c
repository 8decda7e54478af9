/*
 * http_post.c - JSON requests to a server's API.
 *
 * Always true: redirections are not followed, so that a key is never shown to another server.
 */
#include "app/http_post.h"

#include <stdio.h>

#include "app/url.h"

enum { ANSWER_MAX = 1 << 20, CONNECT_TIMEOUT_MS = 10000, TIMEOUT_MS = 60000 };

static size_t take_answer(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *answer = ctx;
    return buf_add(answer, (struct str){p, size * n}) ? size * n : 0;
}

static bool add_header(struct http_post *p, const char *line)
{
    struct curl_slist *more = curl_slist_append(p->headers, line);
    if (more != NULL)
        p->headers = more;
    return more != NULL;
}

static bool set_headers(struct http_post *p, const char *api_key)
{
    char line[1024];
    bool ok = add_header(p, "Content-Type: application/json") && add_header(p, "Expect:");
    if (api_key != NULL && *api_key != '\0') {
        int n = snprintf(line, sizeof(line), "X-API-Key: %s", api_key);
        ok = ok && n > 0 && (size_t)n < sizeof(line) && add_header(p, line);
    }
    return ok;
}

static bool format_url(const struct http_post_target *t, char *ret, size_t size,
                       const char **ret_why)
{
    struct url u;
    char host[300];
    if (!url_parse(str_from(t->server), &u, ret_why))
        return false;
    size_t n = strlen(u.path);
    while (n > 0 && u.path[n - 1] == '/')
        n--;
    url_format_host(&u, host, sizeof(host));
    snprintf(ret, size, "%s://%s%.*s%s", u.tls ? "https" : "http", host, (int)n, u.path, t->path);
    return true;
}

bool http_post_init(struct http_post *p, const struct http_post_target *t, char *ret_why,
                    size_t why_size)
{
    char url[1600];
    const char *why = "out of memory, or the API key is too long";
    *p = (struct http_post){0};
    buf_init(&p->answer, ANSWER_MAX);
    if (!format_url(t, url, sizeof(url), &why))
        goto fail;
    p->curl = curl_easy_init();
    if (p->curl == NULL || !set_headers(p, t->api_key))
        goto fail;
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->headers);
    curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, p->error);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, &p->answer);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
    return true;

fail:
    snprintf(ret_why, why_size, "%s", why);
    http_post_fini(p);
    return false;
}

void http_post_fini(struct http_post *p)
{
    curl_easy_cleanup(p->curl);
    curl_slist_free_all(p->headers);
    buf_fini(&p->answer);
    p->curl = NULL;
    p->headers = NULL;
}

bool http_post_send(struct http_post *p, struct str body, unsigned *ret_status,
                    struct str *ret_answer)
{
    long status = 0;
    buf_clear(&p->answer);
    p->error[0] = '\0';
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body.n > 0 ? body.p : "");
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    CURLcode e = curl_easy_perform(p->curl);
    if (e != CURLE_OK) {
        if (p->error[0] == '\0' || e == CURLE_COULDNT_CONNECT)
            snprintf(p->error, sizeof(p->error), "%s%s", curl_easy_strerror(e),
                     e == CURLE_COULDNT_CONNECT ? ": does one run there?" : "");
        return false;
    }
    curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (unsigned)status;
    *ret_answer = buf_str(&p->answer);
    return true;
}

const char *http_post_error(const struct http_post *p)
{
    return p->error;
}
