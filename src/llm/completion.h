/* completion.h - reads what a model's server answers: a stream of chunks, or one object.
 *
 * Which of the two it is, its first bytes say: servers send the one where the other was asked for,
 * and give either any content type.
 *
 * Thread:  the owner's.
 * Memory:  the struct is the caller's; what is kept is limited by answer_max_bytes.
 * Failure: the first one stays (failure, why); text that was handed out before it stands. */
#ifndef LLM_COMPLETION_H
#define LLM_COMPLETION_H

#include "llm/events.h"
#include "llm/llm.h"

enum { COMPLETION_WHY_MAX = 512, COMPLETION_NAME_MAX = 128, HALF_ESCAPE = 6 };

enum completion_form { FORM_UNKNOWN, FORM_EVENTS, FORM_OBJECT };

struct completion {
    enum completion_form form;
    struct event_reader events;
    struct buf object; // what came of one that is no stream
    struct buf text;   // scratch: decoded
    size_t text_bytes; // handed out so far
    size_t answer_max_bytes;
    char half[HALF_ESCAPE]; // "\ud83d" at the end of a chunk: its other half begins the next one
    size_t half_n;
    bool spoke;    // at least one chunk of the protocol was read
    bool finished; // with a reason
    bool ended;    // [DONE] was read, or an object was whole
    enum llm_failure failure;
    struct buf why; // the server's own words, or ""
    struct buf id;  // raw JSON: a string with some text in it, or a whole number
    struct buf model, finish_reason;
    bool has_usage;
    uint64_t tokens_in, tokens_out;
    void (*token)(void *ctx, struct str text);
    void *ctx;
    bool stopped; // by completion_stop()
};

void completion_init(struct completion *c, size_t answer_max_bytes,
                     void (*token)(void *ctx, struct str text), void *ctx);
void completion_fini(struct completion *c);
/* False: it has failed, or was stopped; nothing more is to be fed. */
bool completion_feed(struct completion *c, struct str piece);
/* The answer's end. False: it is not whole. */
bool completion_end(struct completion *c);
/* Inside token(): nothing more is handed out. */
void completion_stop(struct completion *c);

/* The message in an error answer's body, in the forms that servers use; its begin where it is none
 * of them, and nothing where it is a page. */
void completion_read_error(struct str body, struct buf *why);

#endif
