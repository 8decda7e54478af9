/* config_priv.h - what the files of the configuration share: the table, a loader, its complaints.
 * Thread:  the caller's.
 * Memory:  config_alloc() belongs to the config and ends with it.
 * Failure: loader_complain() counts a fault and goes on, so that one run shows them all. */
#ifndef APP_CONFIG_PRIV_H
#define APP_CONFIG_PRIV_H

#include "app/config.h"

enum {
    CONFIG_LISTENERS_MAX = 64,
    CONFIG_ENDPOINTS_MAX = 256,
    CONFIG_NAMESPACES_MAX = 4096,
    CONFIG_LIST_MAX = 1024,
    CONFIG_PATH_MAX = 512,
    CONFIG_SECRET_FILE_MAX = 64 * 1024,
};

enum key_scope { SCOPE_CONFIG, SCOPE_LISTENER, SCOPE_NAMESPACE, SCOPE_ENDPOINT };

enum key_type {
    KEY_STRING,
    KEY_URL, // a password in it is not shown
    KEY_SECRET,
    KEY_PEM, // the text of a public key, or the file that holds it
    KEY_BOOL,
    KEY_CHOICE,
    KEY_INT,
    KEY_DURATION,
    KEY_BYTES,
    KEY_NUMBER, // with a fraction; unset is -1
    KEY_LIST,
    KEY_SECRET_LIST,
    KEY_LISTENERS,
    KEY_NAMESPACES,
    KEY_ENDPOINTS,
};

struct config_key {
    enum key_scope scope;
    enum key_type type;
    struct str section, name;
    struct str path;      // "http.head_max", with a terminator
    struct str choices;   // "a|b" of KEY_CHOICE
    uint64_t least, most; // of numbers
    size_t offset, size;  // in the scope's struct
    const char *value;    // the default
    const char *doc;
};

/* A namespace while it is read; the loader takes it apart at the end. */
struct namespace_draft {
    struct str name;
    struct channel_options options;
    struct config_namespace more;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* NULL: there is none. */
const struct config_key *key_find(enum key_scope scope, struct str section, struct str name);
bool key_has_section(enum key_scope scope, struct str section);
/* The key or section most like name, or an empty one. */
struct str key_suggest(enum key_scope scope, struct str section, const char *name);
/* "RECADO_HTTP_HEAD_MAX". */
bool key_write_env(const struct config_key *k, struct buf *out);
bool key_is_list(const struct config_key *k);
bool key_is_table(const struct config_key *k); // its entries have keys of their own
/* The first key of its section. */
bool key_begins_section(const struct config_key *k);

/* Where a value came from. */
enum origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENV, ORIGIN_FLAG };

struct loader {
    struct config *config;
    struct buf *messages;
    bool strict;
    unsigned fault_count;
    enum origin origin;
    struct str place;           // the file's name, the variable's or "command line"
    unsigned line;              // 0: none
    char path[CONFIG_PATH_MAX]; // the key being read, "namespaces.chat.history"
    size_t path_len;
    struct namespace_draft *drafts;
    size_t draft_count;
    unsigned *key_lines; // of each key that the file sets
};

void *config_alloc(struct config *c, size_t n); // zeroed; NULL: no memory
bool config_copy(struct config *c, struct str s, struct str *ret);

/* A fault: "file:line: path: text". Returns false. */
bool loader_complain(struct loader *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void loader_warn(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds ".part" to the path and returns what path_len was. */
size_t path_push(struct loader *l, struct str part);
void path_pop(struct loader *l, size_t len);

/* All of a file, or a complaint. */
bool file_read(struct loader *l, struct str name, struct buf *out);

/* A number as people write it: 25s, 64KiB, 128. */
bool number_write(struct buf *out, enum key_type type, uint64_t v);

/* One scalar into its field of base, or a complaint. */
bool value_set(struct loader *l, const struct config_key *k, void *base, struct str text);
/* A list's items; each text is copied. */
bool value_set_list(struct loader *l, const struct config_key *k, void *base,
                    const struct str *items, size_t count);
/* Every key of a scope gets its default. */
bool values_default(struct loader *l, enum key_scope scope, void *base);
/* The same for a namespace of this name. */
bool namespace_default(struct loader *l, struct namespace_draft *d);

/* A value from outside the file; lists and tables may be YAML (and so JSON) as well. */
void config_set_text(struct loader *l, const struct config_key *k, struct str text);
/* The variables, and the flags, that set keys. */
void config_load_env(struct loader *l, char *const *env);
void config_load_flags(struct loader *l, const struct config_source *source);

/* All of a YAML text; or, for a list or a table in the environment, the value of one key. */
void yaml_load(struct loader *l, struct str text);
void yaml_load_value(struct loader *l, const struct config_key *k, struct str text);

/* What no key can say alone. */
void config_judge(struct loader *l);

#endif
