/* options.h - what the configuration says to single dialects: read into these, and handed on.
 * Thread:  any; constant once the loops run.
 * Memory:  the configuration's of birth, which outlives the dialects.
 * Failure: none. */
#ifndef DIALECT_OPTIONS_H
#define DIALECT_OPTIONS_H

#include "base/str.h"

struct socketio_options {
    struct str backend, backend_key; // backend "": none
    uint32_t backend_timeout_ms, backend_queue_max;
    struct str_list namespaces; // "*": any
    uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms;
    uint32_t recovery_ms; // 0: none
    uint32_t payload_max_bytes;
};

struct conductor_options {
    struct str backend, backend_key; // backend "": none
    uint32_t backend_timeout_ms;
    uint32_t jobs_max, job_events_max, job_keep_ms, job_idle_ms;
};

struct dialect_options {
    uint32_t heartbeat_interval_ms, heartbeat_timeout_ms; // of dialects with JSON heartbeats
    uint32_t connections_max;                             // of dialects with such a limit
    struct socketio_options socketio;
    struct conductor_options conductor;
};

#endif
