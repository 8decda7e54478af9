/*
 * cron.c - intervals and the five fields of cron, and which moment comes next.
 *
 * Why it exists: these are the words of people, and what they mean has corners (both days said,
 * months without a 31st, Sunday twice). They are all here, and nothing else is.
 *
 * Always true: a struct cron that was parsed has at least one bit in each field, and a day that
 * exists.
 */
#include "schedule/cron.h"

#include <stdio.h>

enum { MINUTE_MS = 60000, DAYS_SEARCHED = 41 * 366 };
static const int64_t day_ms = 86400000;
static const int64_t last_day = 2932896;  // 9999-12-31
static const int64_t first_day = -719162; // 0001-01-01

/* ---- intervals ---- */

bool interval_parse(struct str text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    const uint64_t most_ms = 366ull * 86400000;
    uint64_t n;
    if (text.n < 2 || text.n > 12 || !str_to_u64((struct str){text.p, text.n - 1}, &n))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].unit != text.p[text.n - 1])
            continue;
        if (n == 0 || n > most_ms / units[i].ms)
            return false;
        *ret_ms = (int64_t)(n * units[i].ms);
        return true;
    }
    return false;
}

/* ---- what is wrong ---- */

enum { PIECE_MAX = 48 };

/* As much of a text as fits, fit to be shown whatever it is. */
static const char *shown(struct str text, char at[PIECE_MAX])
{
    size_t n = text.n < PIECE_MAX - 1 ? text.n : PIECE_MAX - 1;
    for (size_t i = 0; i < n; i++)
        at[i] = (char)(text.p[i] > ' ' && text.p[i] < 0x7f ? text.p[i] : '?');
    at[n] = '\0';
    return at;
}

/* ---- fields ---- */

struct field {
    const char *called;
    unsigned least, most;
    const char *names; // three letters each, from least on (of weekdays from 0); NULL: none
    const char *wanted;
};

static const struct field fields[] = {
    {"minute", 0, 59, NULL, "0 to 59"},
    {"hour", 0, 23, NULL, "0 to 23"},
    {"day of the month", 1, 31, NULL, "1 to 31"},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", "1 to 12 or JAN to DEC"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat", "0 to 7 or SUN to SAT"},
};
enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_COUNT };

/* A field that is being read, and where to say what is wrong with it. */
struct reading {
    const struct field *f;
    char *why;
};

/* Returns false. */
static bool refuse(const struct reading *r, struct str piece, const char *what)
{
    char at[PIECE_MAX];
    snprintf(r->why, CRON_WHY_MAX, "%s: %s %s", r->f->called, shown(piece, at), what);
    return false;
}

static bool name_parse(const struct field *f, struct str text, unsigned *ret)
{
    size_t count = f->names != NULL ? strlen(f->names) / 3 : 0;
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(text, (struct str){f->names + 3 * i, 3})) {
            *ret = f->least + (unsigned)i;
            return true;
        }
    }
    return false;
}

static bool value_parse(const struct reading *r, struct str text, unsigned *ret)
{
    const struct field *f = r->f;
    char what[64];
    uint64_t v;
    if (name_parse(f, text, ret))
        return true;
    if (text.n <= 4 && str_to_u64(text, &v) && v >= f->least && v <= f->most) {
        *ret = (unsigned)v;
        return true;
    }
    snprintf(what, sizeof(what), "is not %s", f->wanted);
    return refuse(r, text, what);
}

static bool contains(struct str text, char c)
{
    size_t whole = text.n;
    return str_cut(&text, c).n < whole;
}

/* "MON-SUN" ends with a Sunday that is behind Saturday. */
static bool range_parse(const struct reading *r, struct str range, unsigned *ret_first,
                        unsigned *ret_last)
{
    struct str end = range, begin = str_cut(&end, '-');
    if (begin.n == 0 || end.n == 0)
        return refuse(r, range, "is not a range: a value, '-' and a value are wanted");
    if (!value_parse(r, begin, ret_first) || !value_parse(r, end, ret_last))
        return false;
    if (r->f->most == 7 && *ret_last == 0 && *ret_first > 0)
        *ret_last = 7;
    return *ret_first <= *ret_last || refuse(r, range, "ends before it begins");
}

static unsigned most_of(const struct field *f, unsigned first)
{
    return f->most == 7 && first < 7 ? 6 : f->most;
}

/* One entry of a list: values, with a step where there is a slash. */
static bool entry_parse(const struct reading *r, struct str text, uint64_t *bits)
{
    bool has_step = contains(text, '/');
    struct str step = text, range = str_cut(&step, '/');
    uint64_t every = 1;
    unsigned first = r->f->least, last = most_of(r->f, first);
    if (has_step && (step.n > 4 || !str_to_u64(step, &every) || every == 0))
        return refuse(r, text, "has a wrong step: a whole number from 1 on is wanted");
    if (range.n == 0)
        return refuse(r, text, "lacks a value");
    if (str_eq(range, STR("*"))) {
        // all of them
    } else if (contains(range, '-')) {
        if (!range_parse(r, range, &first, &last))
            return false;
    } else {
        if (!value_parse(r, range, &first))
            return false;
        last = has_step ? most_of(r->f, first) : first;
    }
    for (uint64_t v = first; v <= last; v += every)
        *bits |= 1ull << v;
    return true;
}

static bool field_parse(const struct reading *r, struct str text, uint64_t *ret)
{
    struct str rest = text;
    *ret = 0;
    if (text.p[text.n - 1] == ',' || text.p[0] == ',' || str_find(text, STR(",,")) < text.n)
        return refuse(r, text, "lacks a value at a comma");
    while (rest.n > 0) {
        if (!entry_parse(r, str_cut(&rest, ','), ret))
            return false;
    }
    return true;
}

/* The next word of *text; "": none. */
static struct str word_take(struct str *text)
{
    size_t from = 0;
    while (from < text->n && (text->p[from] == ' ' || text->p[from] == '\t'))
        from++;
    size_t to = from;
    while (to < text->n && text->p[to] != ' ' && text->p[to] != '\t')
        to++;
    struct str word = {text->p + from, to - from};
    *text = str_skip(*text, to);
    return word;
}

/* Without it the month's days never come: the 31st of April, the 30th of February. */
static bool has_a_day(const struct cron *c)
{
    static const unsigned char longest[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!c->any_weekday && !c->any_day)
        return true; // the day of the week is enough
    for (unsigned m = 1; m <= 12; m++) {
        if ((c->months >> m & 1) && (c->days & ((2u << longest[m]) - 1)) != 0)
            return true;
    }
    return false;
}

/* The five fields; false: there are more, or fewer. */
static bool words_split(struct str text, struct str words[FIELD_COUNT], char *why)
{
    size_t count = 0;
    struct str word;
    while ((word = word_take(&text)).n > 0) {
        if (count < FIELD_COUNT)
            words[count] = word;
        count++;
    }
    if (count == FIELD_COUNT)
        return true;
    snprintf(why, CRON_WHY_MAX,
             "minute, hour, day of the month, month and day of the week are wanted: five fields, "
             "not %zu",
             count);
    return false;
}

bool cron_parse(struct str text, struct cron *ret, char why[CRON_WHY_MAX])
{
    uint64_t bits[FIELD_COUNT];
    struct str words[FIELD_COUNT];
    if (text.n > CRON_TEXT_MAX) {
        snprintf(why, CRON_WHY_MAX, "longer than %d bytes", CRON_TEXT_MAX);
        return false;
    }
    if (!words_split(text, words, why))
        return false;
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (!field_parse(&(struct reading){&fields[i], why}, words[i], &bits[i]))
            return false;
    }
    bits[FIELD_WEEKDAY] |= bits[FIELD_WEEKDAY] >> 7;
    struct cron c = {.minutes = bits[FIELD_MINUTE],
                     .hours = (uint32_t)bits[FIELD_HOUR],
                     .days = (uint32_t)bits[FIELD_DAY],
                     .months = (uint16_t)bits[FIELD_MONTH],
                     .weekdays = bits[FIELD_WEEKDAY] & 0x7f,
                     .any_day = words[FIELD_DAY].p[0] == '*',
                     .any_weekday = words[FIELD_WEEKDAY].p[0] == '*'};
    if (!has_a_day(&c))
        return refuse(&(struct reading){&fields[FIELD_DAY], why}, words[FIELD_DAY],
                      "never comes: no such day is in these months");
    *ret = c;
    return true;
}

/* ---- the next moment ---- */

struct date {
    unsigned month, day, weekday;
};

/* Of a day since 1970-01-01; the year begins in March, so that its last day is the leap day. */
static struct date date_of(int64_t days)
{
    int64_t z = days + 719468; // since 0000-03-01
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    return (struct date){.month = mp < 10 ? mp + 3 : mp - 9,
                         .day = doy - (153 * mp + 2) / 5 + 1,
                         .weekday = (unsigned)((days % 7 + 7 + 4) % 7)};
}

static bool day_matches(const struct cron *c, int64_t days)
{
    struct date d = date_of(days);
    bool day = c->days >> d.day & 1, weekday = c->weekdays >> d.weekday & 1;
    if (!(c->months >> d.month & 1))
        return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* The first minute of a day from minute on; 1440: none. */
static unsigned minute_from(const struct cron *c, unsigned minute)
{
    while (minute < 1440) {
        if (!(c->hours >> (minute / 60) & 1))
            minute = (minute / 60 + 1) * 60;
        else if (c->minutes >> (minute % 60) & 1)
            return minute;
        else
            minute++;
    }
    return 1440;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool cron_next(const struct cron *c, int64_t after_ms, int64_t *ret_ms)
{
    int64_t days = floor_div(after_ms, day_ms);
    if (days < first_day || days > last_day)
        return false;
    unsigned from = (unsigned)((after_ms - days * day_ms) / MINUTE_MS) + 1;
    for (int i = 0; i < DAYS_SEARCHED && days <= last_day; i++, days++, from = 0) {
        unsigned minute = day_matches(c, days) ? minute_from(c, from) : 1440;
        if (minute == 1440)
            continue;
        *ret_ms = days * day_ms + (int64_t)minute * MINUTE_MS;
        return true;
    }
    return false;
}
