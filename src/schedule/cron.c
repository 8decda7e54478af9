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

/* ---- fields ---- */

struct field {
    unsigned least, most;
    const char *names; // three letters each, from least on (of weekdays from 0); NULL: none
    const char *why;
};

static const struct field fields[] = {
    {0, 59, NULL, "the minute is not one of 0-59"},
    {0, 23, NULL, "the hour is not one of 0-23"},
    {1, 31, NULL, "the day of the month is not one of 1-31"},
    {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", "the month is not one of 1-12 or JAN-DEC"},
    {0, 7, "sunmontuewedthufrisat", "the day of the week is not one of 0-7 or SUN-SAT"},
};
enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_COUNT };

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

static bool value_parse(const struct field *f, struct str text, unsigned *ret)
{
    uint64_t v;
    if (name_parse(f, text, ret))
        return true;
    if (text.n > 4 || !str_to_u64(text, &v) || v < f->least || v > f->most)
        return false;
    *ret = (unsigned)v;
    return true;
}

/* "MON-SUN" ends with a Sunday that is behind Saturday. */
static bool range_end_parse(const struct field *f, struct str text, unsigned first, unsigned *ret)
{
    if (!value_parse(f, text, ret))
        return false;
    if (f->most == 7 && *ret == 0 && first > 0)
        *ret = 7;
    return first <= *ret;
}

static bool contains(struct str text, char c)
{
    size_t whole = text.n;
    return str_cut(&text, c).n < whole;
}

/* One entry of a list: values, with a step when has_step. */
static bool entry_parse(const struct field *f, struct str text, uint64_t *bits)
{
    bool has_step = contains(text, '/');
    struct str step = text, range = str_cut(&step, '/');
    uint64_t every = 1;
    unsigned first, last;
    if (has_step && (step.n > 4 || !str_to_u64(step, &every) || every == 0))
        return false;
    bool has_end = contains(range, '-');
    struct str end = range, begin = str_cut(&end, '-');
    if (str_eq(range, STR("*"))) {
        first = f->least;
        last = f->most == 7 ? 6 : f->most;
    } else if (!value_parse(f, begin, &first)) {
        return false;
    } else if (has_end) {
        if (!range_end_parse(f, end, first, &last))
            return false;
    } else {
        last = !has_step ? first : f->most == 7 && first < 7 ? 6 : f->most;
    }
    for (uint64_t v = first; v <= last; v += every)
        *bits |= 1ull << v;
    return true;
}

static bool field_parse(const struct field *f, struct str text, uint64_t *ret)
{
    *ret = 0;
    if (text.n == 0 || text.p[text.n - 1] == ',')
        return false;
    while (text.n > 0) {
        if (!entry_parse(f, str_cut(&text, ','), ret))
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

bool cron_parse(struct str text, struct cron *ret, const char **ret_why)
{
    uint64_t bits[FIELD_COUNT];
    struct str words[FIELD_COUNT];
    *ret_why = "five fields are wanted: minute, hour, day, month, day of the week";
    if (text.n > CRON_TEXT_MAX)
        return false;
    for (int i = 0; i < FIELD_COUNT; i++) {
        words[i] = word_take(&text);
        if (words[i].n == 0)
            return false;
    }
    if (word_take(&text).n > 0)
        return false;
    for (int i = 0; i < FIELD_COUNT; i++) {
        *ret_why = fields[i].why;
        if (!field_parse(&fields[i], words[i], &bits[i]))
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
    *ret_why = "no such day comes in these months";
    if (!has_a_day(&c))
        return false;
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
