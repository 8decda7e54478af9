/*
 * answers.c - a model's server and its readers in one process, to measure how long a token is on
 * its way through a hub between them.
 *
 * Why it exists: the time from the model to the page can only be taken where both ends share a
 * clock. The process is the upstream of the hub (it streams answers as an OpenAI-compatible server
 * does) and the pages that wait for them; "direct" leaves the hub out, so that what the hub adds is
 * the difference of two figures of one run.
 *
 * Always true: a token is the time at which it was written, so its reader needs to know nothing
 * else; each reader counts a token once, for they rise.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWERS_MAX = 10000, READ_BYTES = 65536, REQUEST_MAX = 65536, STAMP_DIGITS = 19 };
enum { SETTLE_S = 20, EVENTS_MAX = 512, LINE_MAX = 512 };

enum mode { MODE_DIRECT, MODE_SOCKET, MODE_V1 };

/* One answer that the model is giving, on a connection of the hub's (or of a reader). */
struct stream {
    int fd; // -1: over
    uint64_t due_ns;
    uint32_t told; // tokens
    bool asked;    // the request is complete
    uint32_t have;
    char *request;
};

/* A page. */
struct reader {
    int fd;
    uint64_t last; // the newest token seen
    uint32_t seen;
    uint32_t keep; // bytes of a token that was cut
    char cut[STAMP_DIGITS + 1];
    bool open, ended;
};

struct run {
    enum mode mode;
    uint32_t answers, tokens;
    double rate;
    struct sockaddr_in hub, upstream;
    int epoll_fd, listen_fd;
    struct stream *streams;
    uint32_t stream_count;
    struct reader *readers;
    uint64_t *latencies;
    uint64_t latency_count, latency_max;
    uint64_t sent, finished, failed;
};

/* What epoll hands back: the kind in the upper half, the index in the lower. */
enum { KIND_LISTENER = 1, KIND_STREAM, KIND_READER };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "answers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct run *r, int fd, uint64_t kind, uint32_t index)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = kind << 32 | index};
    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Everything is small and the peers read: what does not fit into the socket's buffer is a failure
 * of the run. */
static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* ---- the model ---- */

static bool send_chunk(int fd, const char *text)
{
    char out[LINE_MAX];
    int n = snprintf(out, sizeof(out), "%zx\r\n%s\r\n", strlen(text), text);
    return send_all(fd, out, (size_t)n);
}

static void stream_end(struct run *r, struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    free(s->request);
    s->request = NULL;
    r->finished++;
}

static void stream_begin(struct run *r, struct stream *s)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    uint64_t step = (uint64_t)(1e9 / r->rate);
    s->asked = true;
    s->due_ns = now_ns() + step * (uint64_t)(s - r->streams) / r->answers; // not all at once
    if (!send_all(s->fd, head, sizeof(head) - 1))
        stream_end(r, s);
}

static void stream_token(struct run *r, struct stream *s)
{
    char event[LINE_MAX];
    if (s->told == r->tokens) {
        send_chunk(s->fd, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
                          "\"stop\"}]}\n\n");
        send_chunk(s->fd, "data: [DONE]\n\n");
        send_all(s->fd, "0\r\n\r\n", 5);
        stream_end(r, s);
        return;
    }
    snprintf(event, sizeof(event),
             "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
             "\"delta\":{\"content\":\"@%0*" PRIu64 " \"}}]}\n\n",
             STAMP_DIGITS, now_ns());
    s->told++;
    r->sent++;
    s->due_ns += (uint64_t)(1e9 / r->rate);
    if (!send_chunk(s->fd, event))
        stream_end(r, s);
}

/* Whole when the announced body is there. */
static bool request_is_whole(const struct stream *s)
{
    const char *end = memmem(s->request, s->have, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    const char *at = strcasestr(s->request, "content-length:");
    size_t body = at != NULL && at < end ? strtoul(at + 15, NULL, 10) : 0;
    return s->have >= (size_t)(end - s->request) + 4 + body;
}

static void stream_readable(struct run *r, struct stream *s)
{
    if (s->fd < 0)
        return;
    char spare[1024];
    bool more = s->request != NULL && s->have < REQUEST_MAX;
    ssize_t n = more ? recv(s->fd, s->request + s->have, REQUEST_MAX - s->have, MSG_DONTWAIT)
                     : recv(s->fd, spare, sizeof(spare), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        stream_end(r, s);
        return;
    }
    if (n > 0 && more && !s->asked) {
        s->have += (uint32_t)n;
        s->request[s->have] = '\0';
        if (request_is_whole(s))
            stream_begin(r, s);
    }
}

static void stream_accept(struct run *r)
{
    int fd;
    while ((fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (r->stream_count == 2 * ANSWERS_MAX)
            die("too many requests");
        struct stream *s = &r->streams[r->stream_count];
        *s = (struct stream){.fd = fd, .request = malloc(REQUEST_MAX + 1)};
        if (s->request == NULL)
            die("memory");
        no_delay(fd);
        watch(r, fd, KIND_STREAM, r->stream_count++);
    }
}

/* Tells what is due; returns how long nothing will be. */
static int streams_tell(struct run *r)
{
    uint64_t now = now_ns(), next = now + 100000000;
    for (uint32_t i = 0; i < r->stream_count; i++) {
        struct stream *s = &r->streams[i];
        while (s->fd >= 0 && s->asked && s->due_ns <= now)
            stream_token(r, s);
        if (s->fd >= 0 && s->asked && s->due_ns < next)
            next = s->due_ns;
    }
    now = now_ns();
    return next > now ? (int)((next - now) / 1000000) : 0;
}

/* ---- the pages ---- */

static void reader_saw(struct run *r, struct reader *d, uint64_t stamp, uint64_t now)
{
    if (stamp <= d->last)
        return; // the whole text once more, at the end
    d->last = stamp;
    d->seen++;
    if (r->latency_count < r->latency_max)
        r->latencies[r->latency_count++] = now - stamp;
}

/* Digits behind an @: a token, wherever it stands and however it is wrapped. */
static void reader_look(struct run *r, struct reader *d, const char *p, size_t n, uint64_t now)
{
    for (const char *at = memchr(p, '@', n); at != NULL;
         at = memchr(at + 1, '@', n - (size_t)(at + 1 - p))) {
        size_t left = n - (size_t)(at - p);
        if (left <= STAMP_DIGITS) { // cut: the rest comes with the next bytes
            memcpy(d->cut, at, left);
            d->keep = (uint32_t)left;
            return;
        }
        char digits[STAMP_DIGITS + 1] = "";
        memcpy(digits, at + 1, STAMP_DIGITS);
        reader_saw(r, d, strtoull(digits, NULL, 10), now);
    }
}

static void reader_readable(struct run *r, struct reader *d)
{
    static char bytes[READ_BYTES + STAMP_DIGITS + 1];
    for (;;) {
        memcpy(bytes, d->cut, d->keep);
        ssize_t n = recv(d->fd, bytes + d->keep, READ_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(d->fd);
            d->fd = -1;
            d->ended = true;
            return;
        }
        size_t have = d->keep + (size_t)n;
        d->keep = 0;
        reader_look(r, d, bytes, have, now_ns());
    }
}

static int connect_to(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        die("connect");
    no_delay(fd);
    return fd;
}

/* A text frame of a client; masked with zeros, so the text stays what it is. */
static void send_frame(int fd, const char *text)
{
    size_t n = strlen(text);
    char out[LINE_MAX + 8] = {(char)0x81, (char)(0x80 | (n < 126 ? n : 126))};
    size_t head = 2;
    if (n >= 126) {
        out[head++] = (char)(n >> 8);
        out[head++] = (char)(n & 0xff);
    }
    head += 4;
    memcpy(out + head, text, n);
    if (!send_all(fd, out, head + n))
        die("send");
}

static void open_socket(const struct run *r, struct reader *d)
{
    static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    char answer[1024];
    d->fd = connect_to(&r->hub);
    if (!send_all(d->fd, upgrade, sizeof(upgrade) - 1))
        die("send");
    ssize_t n = recv(d->fd, answer, sizeof(answer), 0);
    if (n < 12 || memcmp(answer, "HTTP/1.1 101", 12) != 0)
        die("the hub refused a WebSocket");
}

static void ask(const struct run *r, uint32_t i)
{
    char body[LINE_MAX], request[2 * LINE_MAX];
    if (r->mode == MODE_SOCKET) {
        snprintf(body, sizeof(body),
                 "{\"type\":\"chat:send\",\"data\":{\"message\":\"go\",\"conversationId\":%u}}",
                 i + 1);
        send_frame(r->readers[i].fd, body);
        return;
    }
    snprintf(body, sizeof(body),
             "{\"model\":\"m\",\"stream\":true,\"messages\":"
             "[{\"role\":\"user\",\"content\":\"go\"}]}");
    int n = snprintf(request, sizeof(request),
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    if (!send_all(r->readers[i].fd, request, (size_t)n))
        die("send");
}

static void readers_open(struct run *r)
{
    for (uint32_t i = 0; i < r->answers; i++) {
        struct reader *d = &r->readers[i];
        if (r->mode == MODE_SOCKET)
            open_socket(r, d);
        else
            d->fd = connect_to(r->mode == MODE_V1 ? &r->hub : &r->upstream);
        watch(r, d->fd, KIND_READER, i);
    }
}

/* ---- a run ---- */

static void handle(struct run *r, uint64_t what)
{
    uint32_t index = (uint32_t)what;
    switch (what >> 32) {
    case KIND_LISTENER:
        stream_accept(r);
        break;
    case KIND_STREAM:
        stream_readable(r, &r->streams[index]);
        break;
    default:
        if (r->readers[index].fd >= 0)
            reader_readable(r, &r->readers[index]);
    }
}

static uint64_t seen_by_all(const struct run *r)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < r->answers; i++)
        seen += r->readers[i].seen;
    return seen;
}

/* Asks a few at a time, so that a queue of requests is not what is measured. */
static void go(struct run *r)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t want = (uint64_t)r->answers * r->tokens;
    double most_s = r->tokens / r->rate + SETTLE_S;
    uint64_t end_ns = now_ns() + (uint64_t)(most_s * 1e9);
    uint32_t asked = 0;
    while (now_ns() < end_ns && seen_by_all(r) < want) {
        for (unsigned k = 0; k < 8 && asked < r->answers; k++)
            ask(r, asked++);
        int wait_ms = streams_tell(r);
        if (asked < r->answers)
            wait_ms = 0;
        int n = epoll_wait(r->epoll_fd, events, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++)
            handle(r, events[i].data.u64);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile_us(const struct run *r, double q)
{
    if (r->latency_count == 0)
        return 0;
    uint64_t at = (uint64_t)(q * (double)(r->latency_count - 1));
    return (double)r->latencies[at] / 1e3;
}

static void report(struct run *r, double seconds)
{
    uint64_t seen = seen_by_all(r), want = (uint64_t)r->answers * r->tokens;
    qsort(r->latencies, r->latency_count, sizeof(r->latencies[0]), compare);
    printf("{\"answers\":%u,\"tokens_per_s\":%.1f,\"tokens\":%" PRIu64 ",\"sent\":%" PRIu64
           ",\"missing\":%" PRIu64 ",\"seconds\":%.2f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           r->answers, r->rate, seen, r->sent, want - seen, seconds, quantile_us(r, 0.5),
           quantile_us(r, 0.99), quantile_us(r, 0.999), quantile_us(r, 1));
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void listen_on(struct run *r)
{
    int one = 1;
    r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(r->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(r->listen_fd, (struct sockaddr *)&r->upstream, sizeof(r->upstream)) != 0 ||
        listen(r->listen_fd, 4096) != 0)
        die("listen");
    watch(r, r->listen_fd, KIND_LISTENER, 0);
}

static bool mode_of(const char *word, enum mode *ret)
{
    static const char *const words[] = {"direct", "socket", "v1"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum mode)i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct run r = {0};
    if (argc != 7 || !mode_of(argv[1], &r.mode)) {
        fprintf(stderr, "usage: answers direct|socket|v1 HUB-PORT UPSTREAM-PORT ANSWERS TOKENS "
                        "TOKENS-PER-SECOND\n");
        return 2;
    }
    r.hub = loopback(argv[2]);
    r.upstream = loopback(argv[3]);
    r.answers = (uint32_t)strtoul(argv[4], NULL, 10);
    r.tokens = (uint32_t)strtoul(argv[5], NULL, 10);
    r.rate = strtod(argv[6], NULL);
    if (r.answers < 1 || r.answers > ANSWERS_MAX || r.tokens < 1 || r.rate <= 0)
        return 2;
    r.latency_max = (uint64_t)r.answers * r.tokens;
    r.streams = calloc(2 * ANSWERS_MAX, sizeof(*r.streams));
    r.readers = calloc(r.answers, sizeof(*r.readers));
    r.latencies = malloc(r.latency_max * sizeof(r.latencies[0]));
    r.epoll_fd = epoll_create1(0);
    if (r.streams == NULL || r.readers == NULL || r.latencies == NULL || r.epoll_fd < 0)
        die("memory");
    listen_on(&r);
    readers_open(&r);
    uint64_t began = now_ns();
    go(&r);
    report(&r, (double)(now_ns() - began) / 1e9);
    return 0;
}
