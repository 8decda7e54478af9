/* config.h - everything that can be set, with its value: file < environment < flags.
 *
 * config.def is the one place where a key exists; names, limits, defaults, environment variables,
 * flags and the reference in docs/ are made from it.
 *
 * Thread:  a struct config never changes after config_load(); a reload makes a new one.
 * Memory:  every string and array belongs to the config and ends with config_destroy(). Strings
 *          have a terminator behind them (str.p is a C string), empty ones included.
 * Failure: config_load() answers all faults at once, a line each: "recado.yaml:12: http.head_max:
 *          \"foo\" is not a size; ...". */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "dialect/options.h"
#include "hub/policy.h"
#include "llm/llm.h"

struct config_tls {
    struct str cert, key; // names of PEM files; both or neither
};

struct config_listener {
    struct str address;    // as net/addr.h reads it
    struct config_tls tls; // own, else that of the section tls
    struct str dialect;    // of refusals at unknown paths, or empty
    bool plain;            // no TLS here although the section tls has a certificate
    unsigned line;
};

struct config_listeners {
    struct config_listener *items;
    size_t count;
};

enum config_require { REQUIRE_AUTO, REQUIRE_YES, REQUIRE_NO };
enum config_ack { ACK_COMMIT, ACK_MEMORY }; // when a publish of a durable namespace is acknowledged

/* How much an endpoint asks of its clients; AUTO is what its dialect says. */
enum config_endpoint_auth {
    ENDPOINT_AUTH_AUTO,
    ENDPOINT_REQUIRED,
    ENDPOINT_OPTIONAL,
    ENDPOINT_NONE
};

struct config_endpoint {
    struct str path, dialect;
    struct str tenant;          // the fixed tenant, and what is used when tenant_from finds none
    struct str tenant_from;     // "fixed", "claim", "query.NAME"; empty: what the dialect says
    struct str tenant_query;    // NAME of "query.NAME", or empty
    int auth;                   // enum config_endpoint_auth
    struct str_list origins;    // empty: those of auth.origins
    uint32_t message_max_bytes; // 0: the dialect's own, or websocket.message_max
    uint32_t connections_max;   // 0: as the dialect says
    struct llm_settings llm;    // what it says beside llm.*
    unsigned line;
};

struct config_endpoints {
    struct config_endpoint *items;
    size_t count;
};

/* Beside policy.namespaces, in the same order: what the hub does not ask. */
struct config_namespace {
    int ack; // enum config_ack
    unsigned line;
};

struct config {
    struct config_listeners listen;
    struct config_listeners internal_listen; // if any: console, API, metrics and health only here
    struct config_tls tls;
    uint32_t loops; // 0: one per core
    struct str store, cluster, data_dir;
    uint64_t store_queue_max_bytes;

    struct {
        struct str hmac_secret;
        struct str rsa_public_key, ecdsa_public_key; // PEM texts, files already read
        struct str audience, issuer, tenant_claim;
        struct str default_tenant;
        uint64_t leeway_ms;
        uint32_t token_max_bytes;
        struct str_list api_keys;
        struct str_list origins; // "*": any; empty: the server's own
        int require_token;       // enum config_require
        bool insecure;
    } auth;

    struct {
        int level;  // enum log_level
        bool json;  // what format comes to
        int format; // 0: JSON unless standard error is a terminal, 1: text, 2: JSON
    } log;

    struct {
        uint32_t head_max_bytes, body_max_bytes;
        uint32_t head_timeout_ms, body_timeout_ms, idle_timeout_ms;
        uint32_t requests_per_connection_max;
        uint32_t out_max_bytes;
        struct str_list trusted_proxies; // addresses or networks whose X-Forwarded-For counts
    } http;

    struct {
        uint32_t message_max_bytes;
        uint32_t ping_interval_ms, pong_timeout_ms, close_timeout_ms;
        uint32_t heartbeat_interval_ms,
            heartbeat_timeout_ms; // JSON heartbeats, where a dialect has them
        uint32_t connections_max; // where a dialect has such a limit
        bool deflate;
        uint32_t deflate_min_bytes;
    } websocket;

    struct {
        uint32_t heartbeat_ms, write_timeout_ms;
    } sse;

    struct {
        uint32_t connections_max;                 // 0: as many as the limit of open files carries
        uint32_t connections_per_address_max;     // 0: no limit
        uint32_t connects_per_second_per_address; // 0: no limit
        uint32_t connects_burst;
        uint32_t messages_per_second; // per session; 0: no limit
        uint32_t messages_burst;
        uint32_t out_max_bytes;
        uint32_t connect_timeout_ms; // a native client must say who it is
        uint32_t filter_max_bytes;
    } client;

    struct {
        uint32_t body_max_bytes;
        uint32_t commands_max; // in one batch or broadcast
        uint32_t history_limit_max;
        uint32_t list_limit_max; // channels and sessions named in one answer
    } api;

    uint32_t shutdown_drain_ms;
    struct llm_options llm;
    struct {
        uint32_t context_count, message_max_bytes, queue_max;
        uint64_t keep_ms;
    } chat;
    uint32_t monitor_interval_ms;
    struct {
        uint32_t max, timeout_ms, answer_max_bytes;
    } schedules;
    struct {
        uint32_t keep;
        uint64_t keep_max_bytes;
        bool own; // Recado's own lines are among them
    } logs;
    struct {
        uint64_t keep_ms;
        uint32_t max, queue_max;
    } runs;
    struct {
        uint64_t keep_ms;
    } approvals;
    struct {
        uint32_t max;
    } tasks;
    struct {
        struct socketio_options socketio;
        struct conductor_options conductor;
    } dialects;
    struct {
        struct str redis, tenant;          // tenant "*": every one that has the room
        struct str socketio, gamification; // names of Redis channels, or empty
    } bridge;
    bool console_enabled, metrics_enabled;
    bool endpoints_default; // dialects that no endpoint names answer at their documented paths

    struct policy policy;                // complete: ready for the hub, namespaces included
    struct config_namespace *namespaces; // policy.namespace_count of them
    struct config_endpoints endpoints;

    struct str file;              // what was read, or empty
    struct config_memory *memory; // private
    unsigned char *origins;       // private: where each key's value came from
};

/* A value from the command line: {"http.head_max", "32KiB"}. Later ones win; of lists they are
 * collected. */
struct config_flag {
    const char *key, *value;
};

struct config_source {
    const char *file; // NULL: none
    char *const *env; // NULL-terminated "NAME=value" texts; NULL: none
    const struct config_flag *flags;
    size_t flag_count;
    bool strict; // unknown keys are faults, not warnings
};

enum { CONFIG_FILE_MAX_BYTES = 1024 * 1024, CONFIG_FLAGS_MAX = 256 };

/* True: *ret is a complete configuration and *messages has warnings, one a line, or nothing.
 * False: *ret is untouched and *messages has the faults (and warnings, which begin "warning: "). */
bool config_load(const struct config_source *source, struct config **ret, struct buf *messages);
void config_destroy(struct config **c);

/* What RECADO_CONFIG names, for when no -c is given; NULL: nothing. */
const char *config_file_default(char *const *env);

/* If argv[*i] is a flag that sets a key ("--http.head_max=32KiB", "--listen ADDR", "--data DIR",
 * "--insecure"), fills *ret and steps *i over it and its value. False: it is not such a flag.
 * A flag without its value comes back with value NULL. */
bool config_flag_take(int argc, char **argv, int *i, struct config_flag *ret);
/* What to say of an argument that it does not take: which flag there is not, and the nearest one.
 * False: it has no form of a flag. */
bool config_flag_explain(const char *arg, struct buf *out);

/* Whether a client must bring a token (auth.require_token, with auto decided): auto wants one when
 * a key to check it is configured and an address can be reached from other machines. A token that
 * comes unasked is verified all the same. */
bool config_token_required(const struct config *c);

/* Adds a line for each thing that the configuration asks for and this version does not do, and for
 * what it leaves open that somebody may think closed. */
void config_promises(const struct config *c, struct buf *out);

/* The four texts of `recado config` and of --help. False: no room. */
bool config_write_default(struct buf *out);                           // commented YAML
bool config_write_reference(struct buf *out);                         // Markdown
bool config_write_effective(const struct config *c, struct buf *out); // YAML, secrets masked
bool config_write_flags_help(struct buf *out);

#endif
