/* cron.h - when something is to happen: every so often, or by the five fields of cron, in UTC.
 *
 *     minute 0-59 | hour 0-23 | day of the month 1-31 | month 1-12 or JAN-DEC | day of the week 0-7
 *     or SUN-SAT (0 and 7 are Sunday)
 *
 * A field is a list of "*", values and ranges, each with a step: "*", "5", "1-5", "MON-FRI",
 * "10-50/5", "3/10" (from 3 to the end). Where both days are said (neither begins with "*"), either
 * of them is enough, as in every cron since Vixie's.
 *
 * Thread:  any; everything is a value.
 * Memory:  the caller's.
 * Failure: what cannot be understood, or never happens, is refused with the field's name and what
 *          is wrong there, in printable ASCII. */
#ifndef SCHEDULE_CRON_H
#define SCHEDULE_CRON_H

#include "base/str.h"

struct cron {
    uint64_t minutes;
    uint32_t hours, days; // bit n: n
    uint16_t months;
    uint8_t weekdays;
    bool any_day, any_weekday; // the field begins with a star
};

enum { CRON_TEXT_MAX = 256, CRON_WHY_MAX = 160 };

/* False: why says what is wrong; untouched otherwise. */
bool cron_parse(struct str text, struct cron *ret, char why[CRON_WHY_MAX]);
/* The first moment after after_ms (milliseconds since 1970). False: none within the forty years
 * after it (the longest time between two 29ths of February that are Sundays), or before the year
 * 10000. */
bool cron_next(const struct cron *c, int64_t after_ms, int64_t *ret_ms);

/* "30s", "5m", "2h", "1d": from a second to a year. */
bool interval_parse(struct str text, int64_t *ret_ms);

#endif
