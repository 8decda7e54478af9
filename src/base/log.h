/* log.h - what the program tells its operator: one line an entry, on standard error.
 * Thread:  any; a line is written with one call and never torn.
 * Memory:  the caller's; lines are cut at LOG_LINE_MAX bytes.
 * Failure: a line that cannot be written is lost. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum { LOG_LINE_MAX = 4096 };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NONE };

/* json: one JSON object a line, for machines. A line under way may still be of the old form. */
void log_setup(enum log_level least, bool json);
bool log_enabled(enum log_level level);

/* Control characters and invalid UTF-8 in the text are escaped, so that input cannot forge a
 * line. Secrets are never passed to it. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is given every line that is written, as it was said, on the thread that said it, perhaps inside
 * locks of others: it must not block, and may not call what logs. NULL: nobody. Set once,
 * and to NULL when nobody logs any more. */
typedef void log_sink_fn(void *ctx, enum log_level level, int64_t time_ms, struct str text);
void log_set_sink(log_sink_fn *sink, void *ctx);

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
