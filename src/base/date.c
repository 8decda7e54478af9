/*
 * date.c - ISO 8601, the parts of it that are in use.
 *
 * Always true: the calendar is Gregorian, for years 1970 to 9999; a leap second is the one behind
 * it.
 */
#include "base/date.h"

#include <stdio.h>
#include <time.h>

struct cursor {
    const char *p, *end;
};

/* Exactly so many digits. */
static bool take_number(struct cursor *c, int digits, int *ret)
{
    int v = 0;
    if (c->end - c->p < digits)
        return false;
    for (int i = 0; i < digits; i++, c->p++) {
        if (*c->p < '0' || *c->p > '9')
            return false;
        v = v * 10 + (*c->p - '0');
    }
    *ret = v;
    return true;
}

static bool take_char(struct cursor *c, char want)
{
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct cursor *c, int64_t *ret_day)
{
    int year, month, day;
    if (!take_number(c, 4, &year) || !take_char(c, '-') || !take_number(c, 2, &month) ||
        !take_char(c, '-') || !take_number(c, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
        return false;
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    *ret_day = (int64_t)timegm(&tm) / (DAY_MS / 1000);
    return true;
}

/* Digits behind the point, of which three count. */
static bool take_fraction(struct cursor *c, int *ret_ms)
{
    int unit = 100;
    *ret_ms = 0;
    if (!take_char(c, '.') && !take_char(c, ','))
        return true;
    const char *first = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        *ret_ms += (*c->p - '0') * unit;
        unit /= 10;
    }
    return c->p > first;
}

static bool take_time(struct cursor *c, int64_t *ret_ms)
{
    int hour, minute, second = 0, ms = 0;
    if (!take_number(c, 2, &hour) || !take_char(c, ':') || !take_number(c, 2, &minute))
        return false;
    if (take_char(c, ':') && (!take_number(c, 2, &second) || !take_fraction(c, &ms)))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + ms;
    return true;
}

static bool take_zone(struct cursor *c, struct date *d)
{
    int hours, minutes = 0;
    if (c->p == c->end)
        return true;
    d->has_zone = true;
    if (take_char(c, 'Z') || take_char(c, 'z'))
        return true;
    bool east = take_char(c, '+');
    if ((!east && !take_char(c, '-')) || !take_number(c, 2, &hours))
        return false;
    (void)take_char(c, ':');
    if (c->p < c->end && !take_number(c, 2, &minutes))
        return false;
    int64_t ms = (hours * 60 + minutes) * (int64_t)60000;
    if (hours > 23 || minutes > 59)
        return false;
    d->at_ms += east ? -ms : ms;
    return true;
}

bool date_parse(struct str s, struct date *ret)
{
    struct cursor c = {s.p, s.p + s.n};
    struct date d = {0};
    int64_t day, ms = 0;
    if (s.n == 0 || !take_date(&c, &day))
        return false;
    d.at_ms = day * DAY_MS;
    if (c.p < c.end) {
        d.has_time = true;
        if ((!take_char(&c, 'T') && !take_char(&c, 't') && !take_char(&c, ' ')) ||
            !take_time(&c, &ms))
            return false;
        d.at_ms += ms;
        if (!take_zone(&c, &d) || c.p < c.end)
            return false;
    }
    *ret = d;
    return true;
}

bool date_bound(struct str s, bool until, int64_t *ret_ms)
{
    struct date d;
    if (!date_parse(s, &d))
        return false;
    *ret_ms = d.at_ms + (!until ? 0 : d.has_time ? 1 : DAY_MS);
    return true;
}

int64_t date_day(int64_t at_ms)
{
    return at_ms / DAY_MS - (at_ms % DAY_MS < 0);
}

void date_format(int64_t day, char ret[DATE_TEXT])
{
    time_t s = (time_t)(day * (DAY_MS / 1000));
    struct tm tm;
    char at[64];
    gmtime_r(&s, &tm);
    snprintf(at, sizeof(at), "%04d-%02d-%02d", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
             tm.tm_mday);
    memcpy(ret, at, DATE_TEXT);
}
