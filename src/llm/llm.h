/* llm.h - answers of a model: an OpenAI-compatible server (LM Studio, llama.cpp, vLLM, OpenAI) over
 * HTTP, its text handed on token by token.
 *
 * So many answers are under way in this node at once (concurrency); further ones wait in a queue,
 * in which the tenants take turns. What fails before the first token is tried again where that can
 * help: nobody listening, 429, 5xx.
 *
 * Thread:  llm_start() from any loop; a call lives on that loop, and its callbacks run there.
 * Memory:  what an ask is given is copied. A call frees itself after done().
 * Failure: done() comes exactly once, never from inside llm_start(), not at all after llm_cancel();
 *          its failure says what happened, in words for people. */
#ifndef LLM_LLM_H
#define LLM_LLM_H

#include "base/stats.h"
#include "base/str.h"
#include "loop/loop.h"

enum llm_failure {
#define FAILURE(name, label, text) LLM_##name,
#include "llm/failure.def"
#undef FAILURE
    LLM_FAILURE_COUNT
};
const char *llm_failure_label(enum llm_failure f);
const char *llm_failure_text(enum llm_failure f);

/* How a model is asked. What is not said is as the next wider settings say it: of a request, of a
 * conversation, of an endpoint, of the server. */
struct llm_settings {
    struct str model;         // "": not said
    double temperature;       // negative: not said
    uint32_t max_tokens;      // 0: not said
    struct str system_prompt; // "": not said
};
static inline struct llm_settings llm_settings_none(void)
{
    return (struct llm_settings){.temperature = -1};
}
/* What narrow says, and wide where it says nothing. */
struct llm_settings llm_settings_merge(const struct llm_settings *narrow,
                                       const struct llm_settings *wide);

struct llm_options {
    struct str url;     // up to and with /v1; must be http:// or https://
    struct str api_key; // sent as Authorization: Bearer; "": none
    struct str agent;   // User-Agent
    struct llm_settings settings;
    uint32_t connect_timeout_ms;
    uint32_t timeout_ms;        // until the first byte of an answer
    uint32_t idle_timeout_ms;   // of silence within it
    uint32_t answer_timeout_ms; // of a whole answer
    uint32_t queue_timeout_ms;  // of waiting for a turn
    uint32_t retries;           // before the first token
    uint32_t retry_pause_ms;    // before the first of them; each further one waits twice as long
    uint32_t concurrency, queue_max;
    uint32_t answer_max_bytes; // of an answer's text, and of what is not a stream
    bool count_tokens;         // asks streams for their counts of tokens
};

struct llm;
/* NULL: no memory. The loops do not run yet. */
struct llm *llm_create(struct loop *const *loops, unsigned loop_count, const struct llm_options *o);
/* From a thread that is none of the loops', which run: every call ends with LLM_ENDING, and no
 * other is started. Returns when all have ended. */
void llm_stop(struct llm *llm);
/* The loops have ended. */
void llm_destroy(struct llm **lp);
/* What holds where nothing else is said. */
const struct llm_settings *llm_settings_of(const struct llm *llm);
size_t llm_answer_max_bytes(const struct llm *llm);

struct llm_message {
    struct str role, content; // valid UTF-8
};

struct llm_result {
    enum llm_failure failure; // LLM_NONE: a whole answer came
    struct str why;           // for people; "" when it is whole
    unsigned status;          // of HTTP; 0: there was none
    bool whole;               // of HTTP: it came to its end, whatever it says
    struct str model;         // as the server calls it; "" unknown
    struct str finish_reason; // "stop", "length" ..; "" unknown
    bool has_usage;
    uint64_t tokens_in, tokens_out; // of the prompt, of the answer; when has_usage
};

struct llm_call;

struct llm_ask {
    struct str tenant; // whose turn it is
    /* The request: messages with the settings of this ask, the server's where it says nothing. The
     * system prompt is not added: it is the caller's to place. */
    struct llm_settings settings;
    const struct llm_message *messages;
    size_t message_count;
    /* Or one that is there already: posted to url + raw_path byte for byte, tried once, with its
     * answer handed on as it comes. "": messages are. Without a body it is a GET, which waits for
     * no turn. */
    struct str raw_path; // "/chat/completions"
    struct str raw_body;
    struct str raw_type; // Content-Type
    /* Of a raw request: each piece of the answer, whatever its status; llm_call_header() tells its
     * headers. Text that a piece completes has been told to token() before. May be NULL. */
    void (*piece)(void *ctx, struct llm_call *call, unsigned status, struct str bytes);
    /* Text of the answer: whole characters, in order, each once. May be NULL. */
    void (*token)(void *ctx, struct str text);
    void (*done)(void *ctx, const struct llm_result *r);
    void *ctx;
};

/* NULL: refused, and *ret_why says why (LLM_BUSY: the queue is full, LLM_ENDING, LLM_MEMORY). */
struct llm_call *llm_start(struct llm *llm, struct loop *l, const struct llm_ask *ask,
                           enum llm_failure *ret_why);
/* From any callback too, its own included. NULL is fine. */
void llm_cancel(struct llm_call **callp);
/* In piece() and done(): a header of the answer, or "". name has a terminator. */
struct str llm_call_header(const struct llm_call *call, const char *name);
/* What the server calls this answer, as it stands there: a JSON string or number; "" until it is
 * known. Of a raw request only when its text is read. */
struct str llm_call_id(const struct llm_call *call);
struct str llm_call_model(const struct llm_call *call); // or "", likewise

struct llm_stats {
    uint64_t under_way, waiting; // now
    uint64_t answers, cancelled, retries, tokens;
    uint64_t failures[LLM_FAILURE_COUNT];
    struct histogram first_token_ms; // from the ask, waiting included
};
/* From any thread. */
void llm_read_stats(const struct llm *llm, struct llm_stats *ret);

#endif
