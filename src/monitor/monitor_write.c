/*
 * monitor_write.c - a reading as JSON, in the shape that the orchestrator's pages know.
 *
 * Why it exists: pages print percents as they come, so these are whole numbers; memory says its
 * share under both names that pages ask for.
 */
#include "monitor/monitor.h"

#include "base/json.h"

#include <math.h>

static void put_whole(struct json_writer *w, struct str key, double v)
{
    json_key(w, key);
    if (isfinite(v))
        json_put_i64(w, (int64_t)llround(v));
    else
        json_put_null(w);
}

/* At most two decimals. */
static void put_number(struct json_writer *w, struct str key, double v)
{
    json_put_double(json_key(w, key), isfinite(v) ? round(v * 100) / 100 : v);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void put_cpu(struct json_writer *w, const struct monitor_figures *f)
{
    json_open_object(json_key(w, STR("cpu")));
    put_whole(w, STR("usage"), f->cpu_percent);
    put_number(w, STR("temperature"), f->cpu_temperature_c);
    json_put_u64(json_key(w, STR("cores")), f->cores);
    put_whole(w, STR("speed"), f->cpu_first_core_percent);
    json_close_object(w);
}

static void put_space(struct json_writer *w, uint64_t total, uint64_t used, uint64_t left)
{
    json_put_u64(json_key(w, STR("total")), total);
    json_put_u64(json_key(w, STR("used")), used);
    json_put_u64(json_key(w, STR("free")), left);
    put_whole(w, STR("usagePercent"), percent(used, total));
}

static void put_card(struct json_writer *w, const struct monitor_gpu *g)
{
    const uint64_t mib = 1 << 20;
    uint64_t total = g->vram_total_bytes / mib, used = g->vram_used_bytes / mib;
    json_open_object(w);
    json_put_string(json_key(w, STR("vendor")), str_from(g->vendor));
    json_put_string(json_key(w, STR("model")), str_from(g->model));
    json_put_u64(json_key(w, STR("vramTotal")), total);
    json_put_u64(json_key(w, STR("vramUsed")), used);
    json_put_u64(json_key(w, STR("vramFree")), total > used ? total - used : 0);
    put_whole(w, STR("vramUsagePercent"), percent(used, total));
    put_number(w, STR("temperature"), g->temperature_c);
    put_number(w, STR("utilization"), g->utilization_percent);
    put_number(w, STR("clockSpeed"), g->clock_mhz);
    put_number(w, STR("powerUsage"), g->power_w);
    json_close_object(w);
}

static void put_processes(struct json_writer *w, const struct monitor_figures *f)
{
    json_open_object(json_key(w, STR("processes")));
    json_put_bool(json_key(w, STR("lmstudio")), f->lmstudio_runs);
    if (f->lmstudio_runs) {
        json_put_i64(json_key(w, STR("pid")), f->lmstudio_pid);
        put_number(w, STR("cpuUsage"), f->lmstudio_cpu_percent);
        put_number(w, STR("memUsage"), f->lmstudio_memory_percent);
    }
    json_close_object(w);
}

bool monitor_write(struct buf *out, const struct monitor_figures *f)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_open_object(&w);
    put_cpu(&w, f);
    json_open_object(json_key(&w, STR("memory")));
    put_space(&w, f->memory_total_bytes, f->memory_used_bytes, f->memory_free_bytes);
    put_whole(&w, STR("usedPercent"), percent(f->memory_used_bytes, f->memory_total_bytes));
    json_close_object(&w);
    json_open_array(json_key(&w, STR("gpu")));
    for (unsigned i = 0; i < f->gpu_count; i++)
        put_card(&w, &f->gpus[i]);
    json_close_array(&w);
    json_open_object(json_key(&w, STR("disk")));
    put_space(&w, f->disk_total_bytes, f->disk_used_bytes, f->disk_free_bytes);
    json_close_object(&w);
    json_open_object(json_key(&w, STR("network")));
    json_put_u64(json_key(&w, STR("rx")), f->network_rx_per_s);
    json_put_u64(json_key(&w, STR("tx")), f->network_tx_per_s);
    json_close_object(&w);
    put_processes(&w, f);
    json_close_object(&w);
    return json_done(&w);
}
