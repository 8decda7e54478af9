/* The house rules. A rule that matters is a test; those of them that can be read off the text are
 * here, as a table. The sources are formatted by clang-format, so that a function is what stands
 * between a line "{" and a line "}". */
#include "tidy.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct file {
    const char *path;
    const char *text;
    char *code;  // the text with comments and literals blanked
    char *words; // the text with literals blanked
};

void tidy_init(struct tidy *t, FILE *out, char *layers)
{
    *t = (struct tidy){.out = out, .layers = layers};
}

__attribute__((format(printf, 4, 5))) static void breach(struct tidy *t, const struct file *f,
                                                         size_t line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(t->out, "%s:%zu: ", f->path, line);
    vfprintf(t->out, format, args);
    fputc('\n', t->out);
    va_end(args);
    t->breaches++;
}

static bool starts_with(const char *s, const char *start)
{
    return strncmp(s, start, strlen(start)) == 0;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* One line of text at *at, without its newline; moves *at behind it. */
static bool next_line(const char **at, const char **ret_line, size_t *ret_n)
{
    if (**at == '\0')
        return false;
    *ret_line = *at;
    *ret_n = strcspn(*at, "\n");
    *at += *ret_n + ((*at)[*ret_n] == '\n');
    return true;
}

/* For the eyes of one layer only. */
static bool is_private(const char *path)
{
    return ends_with(path, "_priv.h") || ends_with(path, "/priv.h");
}

/* Blanking keeps every byte's place and every newline. */

static size_t literal_length(const char *p)
{
    char quote = *p;
    size_t n = 1;
    while (p[n] != '\0' && p[n] != quote && p[n] != '\n')
        n += p[n] == '\\' && p[n + 1] != '\0' ? 2 : 1;
    return n + (p[n] == quote);
}

static size_t comment_length(const char *p)
{
    if (p[1] == '/')
        return strcspn(p, "\n");
    const char *end = strstr(p + 2, "*/");
    return end != NULL ? (size_t)(end + 2 - p) : strlen(p);
}

static void blank(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\n')
            p[i] = ' ';
    }
}

static char *blanked(const char *text, bool keep_comments)
{
    char *copy = strdup(text);
    for (char *p = copy; copy != NULL && *p != '\0';) {
        size_t n = 1;
        bool comment = p[0] == '/' && (p[1] == '/' || p[1] == '*');
        bool literal = *p == '"' || (*p == '\'' && (p == copy || !isxdigit((unsigned char)p[-1])));
        if (comment)
            n = comment_length(p);
        else if (literal)
            n = literal_length(p);
        if (literal || (comment && !keep_comments))
            blank(p, n);
        p += n;
    }
    return copy;
}

/* Layers. */

static bool same_word(const char *a, size_t n, const char *b)
{
    return strlen(b) == n && memcmp(a, b, n) == 0;
}

/* The words behind "layer:" in layers.txt, or NULL. */
static const char *layer_words(const struct tidy *t, const char *layer, size_t layer_n)
{
    const char *at = t->layers, *line;
    for (size_t n; next_line(&at, &line, &n);) {
        const char *colon = memchr(line, ':', n);
        if (*line != '#' && colon != NULL && (size_t)(colon - line) == layer_n &&
            memcmp(line, layer, layer_n) == 0)
            return colon + 1;
    }
    return NULL;
}

static bool layer_allows(const char *words, const char *header)
{
    size_t dir_n = strcspn(header, "/");
    for (const char *p = words; *p != '\n' && *p != '\0';) {
        size_t n = strcspn(p, " \n");
        if (n > 0 && (same_word(p, n, header) || (n == dir_n && memcmp(p, header, n) == 0)))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static void check_include(struct tidy *t, const struct file *f, size_t line, const char *header)
{
    const char *layer = f->path + strlen("src/");
    size_t layer_n = strcspn(layer, "/");
    const char *slash = strchr(header, '/');
    if (slash == NULL || strchr(slash + 1, '/') != NULL || *header == '.') {
        breach(t, f, line, "include \"%s\" is not written \"layer/file.h\"", header);
        return;
    }
    if ((size_t)(slash - header) == layer_n && strncmp(header, layer, layer_n) == 0)
        return;
    if (is_private(header))
        breach(t, f, line, "\"%s\" is private to its layer", header);
    const char *words = layer_words(t, layer, layer_n);
    if (words == NULL || !layer_allows(words, header))
        breach(t, f, line, "%.*s may not include \"%s\"", (int)layer_n, layer, header);
}

static void check_layers(struct tidy *t, const struct file *f)
{
    const char *at = f->text, *line;
    size_t number = 0;
    for (size_t n; next_line(&at, &line, &n);) {
        char header[256];
        number++;
        if (starts_with(line, "#include \"") && sscanf(line, "#include \"%255[^\"\n]", header) == 1)
            check_include(t, f, number, header);
    }
}

/* Comments that have to be there. */

static void check_opening(struct tidy *t, const struct file *f)
{
    if (!starts_with(f->text, "/*") && !starts_with(f->text, "//"))
        breach(t, f, 1, "does not open with a comment that says why it exists");
}

static void check_header_says(struct tidy *t, const struct file *f)
{
    static const char *const words[] = {"Thread:", "Memory:", "Failure:"};
    if (!ends_with(f->path, ".h") || is_private(f->path))
        return;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(f->words, words[i]) == NULL)
            breach(t, f, 1, "does not say %s", words[i]);
    }
}

/* Sizes. */

static size_t column_count(const char *line, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++)
        columns += ((unsigned char)line[i] & 0xc0) != 0x80; // a UTF-8 sequence is one
    return columns;
}

static void check_columns(struct tidy *t, const struct file *f)
{
    const char *at = f->text, *line;
    size_t number = 0;
    for (size_t n; next_line(&at, &line, &n);) {
        size_t columns = column_count(line, n);
        number++;
        if (columns > COLUMNS_MAX)
            breach(t, f, number, "%zu columns, at most %d", columns, COLUMNS_MAX);
    }
}

static void check_file_size(struct tidy *t, const struct file *f)
{
    const char *at = f->text, *line;
    size_t number = 0;
    for (size_t n; next_line(&at, &line, &n);)
        number++;
    if (number > FILE_LINES_MAX)
        breach(t, f, number, "%zu lines, at most %d", number, FILE_LINES_MAX);
}

static void check_function_size(struct tidy *t, const struct file *f)
{
    const char *at = f->code, *line;
    size_t number = 0, start = 0;
    for (size_t n; next_line(&at, &line, &n);) {
        number++;
        if (n == 1 && *line == '{') {
            start = number;
        } else if (n == 1 && *line == '}' && start != 0) {
            if (number - start > FUNCTION_LINES_MAX)
                breach(t, f, start, "a function of %zu lines, at most %d", number - start,
                       FUNCTION_LINES_MAX);
            start = 0;
        }
    }
}

/* Words that may not be there. */

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static size_t line_of(const char *text, const char *at)
{
    size_t line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}

/* The next place of the whole word at or behind p, or NULL. */
static const char *find_word(const char *text, const char *p, const char *word)
{
    for (; (p = strstr(p, word)) != NULL; p++) {
        if ((p == text || !in_word(p[-1])) && !in_word(p[strlen(word)]))
            return p;
    }
    return NULL;
}

static void check_banned_calls(struct tidy *t, const struct file *f)
{
    static const char *const banned[] = {"strcpy", "strcat", "sprintf", "vsprintf", "gets",
                                         "system", "popen",  "atoi",    "atol",     "strtok"};
    for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++) {
        const char *p = f->code;
        while ((p = find_word(f->code, p, banned[i])) != NULL) {
            const char *start = p;
            p += strlen(banned[i]);
            bool member = start > f->code && (start[-1] == '.' || start[-1] == '>');
            if (p[strspn(p, " ")] == '(' && !member)
                breach(t, f, line_of(f->code, start), "%s() is not used here", banned[i]);
        }
    }
}

static void check_left_open(struct tidy *t, const struct file *f)
{
    static const char *const marks[] = {"TODO", "FIXME", "XXX"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        const char *p = f->words;
        while ((p = find_word(f->words, p, marks[i])) != NULL) {
            breach(t, f, line_of(f->words, p), "something is left open (%s)", marks[i]);
            p += strlen(marks[i]);
        }
    }
}

/* only: the rule holds below this folder. */
static const struct {
    const char *only;
    void (*check)(struct tidy *t, const struct file *f);
} rules[] = {
    {"src/", check_layers},    {"src/", check_opening},       {"src/", check_header_says},
    {"src/", check_file_size}, {"src/", check_function_size}, {"", check_columns},
    {"", check_banned_calls},  {"", check_left_open},
};

void tidy_check_text(struct tidy *t, const char *path, const char *text)
{
    struct file f = {path, text, blanked(text, false), blanked(text, true)};
    if (f.code == NULL || f.words == NULL)
        breach(t, &f, 0, "no memory to read it");
    t->files++;
    for (size_t i = 0; f.code && f.words && i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (starts_with(path, rules[i].only))
            rules[i].check(t, &f);
    }
    free(f.code);
    free(f.words);
}

char *file_read(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return NULL;
    if (getdelim(&text, &size, '\0', in) < 0 && text != NULL)
        *text = '\0'; // an empty file
    fclose(in);
    return text;
}

static void check_file(struct tidy *t, const char *root, const char *path)
{
    char full[4096];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    char *text = file_read(full);
    if (text == NULL)
        breach(t, &(struct file){.path = path}, 0, "cannot be read");
    else
        tidy_check_text(t, path, text);
    free(text);
}

void tidy_check_tree(struct tidy *t, const char *root, const char *folder)
{
    char path[2048];
    snprintf(path, sizeof(path), "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR && *e->d_name != '.' && strcmp(e->d_name, "node_modules") != 0)
            tidy_check_tree(t, root, path);
        else if (e->d_type != DT_DIR && (ends_with(path, ".c") || ends_with(path, ".h")))
            check_file(t, root, path);
    }
    closedir(dir);
}
