/* bench.h - a load generator for WebSocket servers: what its parts share.
 *
 * One thread, one epoll set. bench_conn.c opens connections and finds messages in their bytes; a
 * mode (fanout, publish, echo, connections) says what to send and what to count.
 *
 * Thread:  the main one.
 * Memory:  struct bench owns all; bench_fini() frees it.
 * Failure: the first one stays in why, and everything ends. */
#ifndef APP_BENCH_H
#define APP_BENCH_H

#include <stdio.h>
#include <sys/socket.h>

#include "app/bench_proc.h"
#include "app/cli.h"
#include "app/latency.h"
#include "app/stream.h"
#include "base/buf.h"

/* ---- how to speak with a kind of server: bench_protocol.c ---- */

enum { BENCH_STEPS_MAX = 16, BENCH_TEXT_MAX = 65536 };

struct bench_step {
    bool expect; // wait until text has come, else send it
    const char *text;
};
struct bench_setup {
    struct bench_step steps[BENCH_STEPS_MAX];
    unsigned count;
};

struct bench_protocol {
    const char *path, *publish_path;
    struct bench_setup subscriber, publisher;
    const char *head, *tail; // around what is published; %d in head: a rising id, %c: a channel
    const char *pong;        // the answer to a message of 1 to 4 bytes; NULL: none
    unsigned around;         // bytes that an event has at least beside what was published
    bool lines;              // a frame may hold several messages, a line each
    bool http;               // publish by POST requests to publish_path
    bool polling;            // subscribers are Engine.IO clients that poll
};

struct bench_words { // what the presets are filled with; NULL: as the preset says, or none
    const char *channel, *token, *api_key, *tenant, *type;
    bool http; // publish through the server API, as most presets do anyway
    bool polling;
};
struct bench;
/* What is wrong, a constant; NULL: nothing. */
const char *bench_protocol_choose(struct bench *b, const char *name, const struct bench_words *w);
/* "send:TEXT" or "expect:TEXT", \n is a newline. */
bool bench_setup_add(struct bench *b, struct bench_setup *s, const char *text);

/* ---- connections: bench_conn.c, bench_read.c ---- */

enum bench_state {
    BENCH_CONNECTING,
    BENCH_TLS,
    BENCH_OPENING, // the HTTP answer is awaited
    BENCH_SETUP,
    BENCH_OPEN,
    BENCH_CLOSED,
};

/* Extra state of the few whose messages are looked at. */
enum { BENCH_SAMPLE_BYTES = 512 };
struct bench_sample {
    unsigned have;
    uint64_t next_number;
    char bytes[BENCH_SAMPLE_BYTES];
};

enum { BENCH_SID_MAX = 64 };
struct bench_conn {
    struct stream stream;
    char *sid;         // of one that polls: its Engine.IO session
    struct buf *early; // what came before it was open
    struct buf *out;   // what could not be written at once
    struct bench_sample *sample;
    uint64_t skip;   // bytes of the frame still to come
    uint64_t got;    // messages since the run began
    uint32_t length; // of the message so far
    uint8_t state, step, opcode;
    bool fin, deflated, publisher;
    bool posting, pinged; // of one that polls: what its request is, and what it has to answer
    uint8_t head[10], head_have; // a frame head that came in part
};

/* ---- what is published: bench_payload.c ---- */

enum { BENCH_NUMBER_DIGITS = 18, BENCH_CHANNEL_DIGITS = 6 };
static const uint64_t BENCH_ID_FIRST = 1000000000; // ids have ten digits
struct bench_payload {
    char *bytes; // one whole frame, or one HTTP request
    size_t n;
    size_t body;          // where the payload begins
    size_t stamp, number; // where their digits are, in the payload
    size_t id;            // SIZE_MAX: none
    size_t channel;       // of its number's digits; SIZE_MAX: none
    uint8_t mask[4];
};
size_t bench_payload_min(void);
bool bench_payload_make(struct bench *b);
void bench_payload_stamp(struct bench_payload *p, uint64_t time_ns, uint64_t number);
/* To which of the channels it goes, where the head has %c. */
void bench_payload_address(struct bench_payload *p, uint64_t channel);
/* False: the message is none of ours. */
bool bench_payload_read(struct str message, uint64_t *ret_time_ns, uint64_t *ret_number);

/* ---- a run ---- */

enum { BENCH_RING = 1 << 16 };

struct bench_snapshot {
    uint64_t time_ns, server_ns, softirq_ns, own_ns;
    uint64_t deliveries, bytes, completed, published;
};

struct bench {
    /* options */
    const char *mode, *protocol_name;
    struct url url;
    uint64_t conn_count, size, window, rate, time_ms, warmup_ms, sample_count, opening_max;
    uint64_t server_pid, source_first, channel_count;
    bool spin, deflate, insecure;
    bool answers; // what counts are the answers to what was published
    struct cli_out out;
    const struct cli_spec *spec;

    struct bench_protocol protocol;
    struct buf texts[BENCH_STEPS_MAX * 2]; // of the protocol
    unsigned text_count;

    int epoll_fd;
    struct sockaddr_storage target;
    socklen_t target_len;
    SSL_CTX *tls;
    char *read_buf;
    struct bench_conn *conns, publisher;
    struct bench_payload payload;
    struct proc_softirq softirq;

    uint64_t opened, ready, lost;
    uint64_t missing; // at the end, of what was published: not yet with everybody
    uint64_t deliveries, bytes, published, completed, disorder;
    uint64_t deflated; // of the deliveries
    bool running, measuring, failed;
    bool ordered;          // a sampled connection gets every number once, in order
    uint64_t *sent_ns;     // publish: BENCH_RING times, by number
    uint32_t *received_by; // BENCH_RING: how many subscribers have message k
    struct latency latency;
    char why[512];

    void (*messages)(struct bench *b, struct bench_conn *c, unsigned count);
};

bool bench_fail(struct bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Resolves, allocates, raises the limit of descriptors. */
bool bench_init(struct bench *b);
void bench_fini(struct bench *b);

/* Opens all connections, and the publisher when with_publisher. */
bool bench_open_all(struct bench *b, bool with_publisher);
void bench_poll(struct bench *b, int timeout_ms);
void bench_send(struct bench *b, struct bench_conn *c, struct str bytes);
/* Kept back until bench_flush(): many messages, one write. */
void bench_queue(struct bench *b, struct bench_conn *c, struct str bytes);
void bench_flush(struct bench *b, struct bench_conn *c);
void bench_send_frame(struct bench *b, struct bench_conn *c, uint8_t opcode, struct str payload);
void bench_lost(struct bench *b, struct bench_conn *c, const char *why);
void bench_opened(struct bench *b, struct bench_conn *c);
/* bench_read.c: the messages that count among these bytes of the connection. */
unsigned bench_count(struct bench *b, struct bench_conn *c, struct str bytes);
/* And among the packets of an answer to a poll. */
unsigned bench_count_packets(struct bench *b, struct bench_conn *c, struct str body);

/* Of answers: how long they are at least, and when what one of them answers was sent. False: it
 * cannot be told. */
size_t bench_answer_min(void);
bool bench_answer_read(const struct bench *b, struct str answer, uint64_t *ret_time_ns);

/* ---- subscribers that poll: bench_polling.c ---- */

/* The connection is there: asks for a session. */
void bench_polling_begin(struct bench *b, struct bench_conn *c);
/* Bytes of answers: what was polled is counted, and the next request sent. */
void bench_polling_take(struct bench *b, struct bench_conn *c, struct str bytes);

struct bench_snapshot bench_snapshot_take(struct bench *b);
/* Prints the figures of a run between two snapshots. */
void bench_report(const struct bench *b, const struct bench_snapshot *from,
                  const struct bench_snapshot *to);

/* The modes: exit codes. */
int bench_fanout(struct bench *b);
int bench_publish(struct bench *b);
int bench_echo(struct bench *b);
int bench_connections(struct bench *b);
/* From warm-up to the end, calling feed() before each poll; then the report. */
bool bench_run(struct bench *b, void (*feed)(struct bench *b, uint64_t start_ns));

#endif
