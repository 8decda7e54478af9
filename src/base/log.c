/*
 * log.c - what the program tells its operator.
 *
 * The level, the form and the sink are the only state; they are atomic, because a reload sets the
 * first two while other threads write.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int log_least = LOG_INFO;
static atomic_bool log_json;
static log_sink_fn *_Atomic log_sink;
static void *log_sink_ctx; // constant while there is a sink

static const char *const level_names[] = {"debug", "info", "warn", "error", "none"};

void log_setup(enum log_level least, bool json)
{
    atomic_store(&log_least, (int)least);
    atomic_store(&log_json, json);
}

void log_set_sink(log_sink_fn *sink, void *ctx)
{
    atomic_store(&log_sink, NULL);
    log_sink_ctx = ctx;
    atomic_store(&log_sink, sink);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_least, memory_order_relaxed);
}

enum { ESCAPED_MAX = 8 }; // bytes that one character may become, and a terminator

/* Escapes as JSON does one character of step bytes; 0: the byte at c is no UTF-8. */
static size_t escape_char(char *out, const char *c, size_t step, bool json)
{
    unsigned char byte = (unsigned char)*c;
    if (step == 0)
        return (size_t)snprintf(out, ESCAPED_MAX, json ? "\\ufffd" : "\\x%02x", byte);
    if (byte == '\n')
        return (size_t)snprintf(out, ESCAPED_MAX, "\\n");
    if (byte < 0x20 || byte == 0x7f)
        return (size_t)snprintf(out, ESCAPED_MAX, "\\u%04x", byte);
    if (json && (byte == '"' || byte == '\\'))
        return (size_t)snprintf(out, ESCAPED_MAX, "\\%c", byte);
    memcpy(out, c, step);
    return step;
}

/* Returns the bytes written, never more than room. */
static size_t escape_text(char *out, size_t room, const char *in, bool json)
{
    const char *end = in + strlen(in);
    size_t n = 0;
    while (in < end && n + ESCAPED_MAX < room) {
        size_t step = utf8_sequence(in, end);
        n += escape_char(out + n, in, step, json);
        in += step > 0 ? step : 1;
    }
    return n;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char text[LOG_LINE_MAX / 2], line[LOG_LINE_MAX], now[ISO_TIME_MAX];
    bool json = atomic_load_explicit(&log_json, memory_order_relaxed); // for all of the line
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    int64_t now_ms = clock_wall_ms();
    log_sink_fn *sink = atomic_load_explicit(&log_sink, memory_order_acquire);
    size_t now_n = iso_time_ms(now_ms, now);
    size_t n = (size_t)(json ? snprintf(line, sizeof(line),
                                        "{\"time\":\"%.*s\",\"level\":\"%s\",\"message\":\"",
                                        (int)now_n, now, level_names[level])
                             : snprintf(line, sizeof(line), "%.*s %-5s ", (int)now_n, now,
                                        level_names[level]));
    n += escape_text(line + n, sizeof(line) - n - 4, text, json);
    n += (size_t)snprintf(line + n, sizeof(line) - n, json ? "\"}\n" : "\n");
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; // there is nowhere left to complain
    if (sink != NULL)
        sink(log_sink_ctx, level, now_ms, str_from(text));
}
