/* date.h - dates and times as people and programs write them (ISO 8601), read back.
 * Thread:  any.
 * Memory:  none.
 * Failure: what is not a date of the calendar is refused. */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include "base/str.h"

enum { DAY_MS = 86400000 };

struct date {
    int64_t at_ms; // since 1970-01-01 UTC; of a date alone its first moment
    bool has_time; // not a date alone
    bool has_zone; // it said which; without one UTC is taken
};

/* "2026-11-30", "2026-11-30T08:15", "2026-11-30T08:15:30.123456Z", "2026-11-30 08:15:30-03:00". */
bool date_parse(struct str s, struct date *ret);

/* Where a range begins, or until where it goes: of a date alone it has the whole day, and of a time
 * its millisecond. */
bool date_bound(struct str s, bool until, int64_t *ret_ms);

/* Days since 1970-01-01 UTC, of any moment. */
int64_t date_day(int64_t at_ms);
/* "2026-11-30". */
enum { DATE_TEXT = 10 };
void date_format(int64_t day, char ret[DATE_TEXT]);

#endif
