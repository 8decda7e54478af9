/* log_lines.h - what back ends send as log lines, understood: one object, an array, {"logs":[..]},
 * or objects one a line. Thread:  the request's loop. Memory:  entries and their texts are the
 * batch's, until log_batch_fini(). Failure: the first thing that is wrong is told by j, with its
 * place; nothing counts then. */
#ifndef API_LOG_LINES_H
#define API_LOG_LINES_H

#include "base/json.h"
#include "monitor/logbook.h"

enum { LOG_BATCH_MAX = 10000 }; // lines of one request

struct log_batch {
    struct log_entry *entries;
    size_t count, cap;
    struct str tenant; // of all lines; "": none is named
    size_t nobodys;    // lines that no tenant is named for
    struct buf text;
    struct json j;
};
/* now_ms: the time of lines that do not say theirs. */
bool log_batch_read(struct str body, int64_t now_ms, struct log_batch *ret);
void log_batch_fini(struct log_batch *b);

#endif
