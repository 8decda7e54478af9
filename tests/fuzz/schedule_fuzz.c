// links: schedule
/* Intervals, cron and outputs of any bytes: a cron that is understood has moments that grow and
 * that fit it again, and a severity is one of three. */
#include "fuzz.h"

#include "base/must.h"
#include "schedule/plan.h"
#include "schedule/severity.h"

static void check_cron(struct str text)
{
    struct cron c;
    char why[CRON_WHY_MAX] = "";
    int64_t at_ms = 1796040000123, next_ms;
    if (!cron_parse(text, &c, why)) {
        MUST(why[0] != '\0' && memchr(why, 0, sizeof(why)) != NULL);
        return;
    }
    MUST(c.minutes != 0 && c.hours != 0 && c.days != 0 && c.months != 0 && c.weekdays != 0);
    for (int i = 0; i < 5 && cron_next(&c, at_ms, &next_ms); i++, at_ms = next_ms) {
        int64_t again_ms;
        MUST(next_ms > at_ms && next_ms % 60000 == 0);
        MUST(cron_next(&c, next_ms - 1, &again_ms) && again_ms == next_ms);
        MUST(cron_next(&c, at_ms + (next_ms - at_ms) / 2, &again_ms) && again_ms >= next_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    int64_t ms;
    if (interval_parse(text, &ms)) {
        struct plan p = {.interval_ms = ms};
        plan_begin(&p, 1796040000123);
        MUST(ms >= 1000 && p.next_ms == 1796040000123 + ms);
    }
    check_cron(text);
    struct str severity = severity_of(text);
    MUST(severity.n == 5 || severity.n == 7);
    return 0;
}
