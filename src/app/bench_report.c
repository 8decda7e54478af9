/*
 * bench_report.c - the figures of a run: a table for people, one JSON object for programs.
 */
#include "app/bench.h"

struct figures {
    double seconds, per_s, messages_per_s, mbytes_per_s;
    double server_s, softirq_s, per_cpu_s, server_load, client_load;
    double p50_us, p99_us, p999_us, max_us;
    double deflated_part; // of all messages that came
    unsigned long long messages, deliveries, samples, backlog;
};

static struct figures figure_out(const struct bench *b, const struct bench_snapshot *from,
                                 const struct bench_snapshot *to)
{
    double seconds = (double)(to->time_ns - from->time_ns) / 1e9;
    double server = (double)(to->server_ns - from->server_ns) / 1e9;
    double softirq = (double)(to->softirq_ns - from->softirq_ns) / 1e9;
    double deliveries = (double)(to->deliveries - from->deliveries);
    double cpu = server + softirq;
    return (struct figures){
        .seconds = seconds,
        .per_s = deliveries / seconds,
        .messages_per_s = (double)(to->completed - from->completed) / seconds,
        .mbytes_per_s = (double)(to->bytes - from->bytes) / seconds / 1e6,
        .server_s = server,
        .softirq_s = softirq,
        .per_cpu_s = cpu > 0 ? deliveries / cpu : 0,
        .server_load = cpu / seconds,
        .client_load = (double)(to->own_ns - from->own_ns) / 1e9 / seconds,
        .p50_us = (double)latency_quantile(&b->latency, 0.5) / 1e3,
        .p99_us = (double)latency_quantile(&b->latency, 0.99) / 1e3,
        .p999_us = (double)latency_quantile(&b->latency, 0.999) / 1e3,
        .max_us = (double)b->latency.max / 1e3,
        .deflated_part = b->deliveries > 0 ? (double)b->deflated / (double)b->deliveries : 0,
        .messages = to->completed - from->completed,
        .deliveries = to->deliveries - from->deliveries,
        .samples = b->latency.count,
        .backlog = to->published - to->completed,
    };
}

static void print_json(const struct bench *b, const struct figures *f)
{
    bool echo = b->published == 0;
    printf("{\"mode\":\"%s\",\"protocol\":\"%s\",\"connections\":%llu,\"size\":%llu,", b->mode,
           b->protocol_name, (unsigned long long)b->conn_count, (unsigned long long)b->size);
    if (b->answers)
        printf("\"channels\":%llu,", (unsigned long long)b->channel_count);
    if (b->rate > 0)
        printf("\"rate\":%llu,", (unsigned long long)b->rate);
    else
        printf("\"window\":%llu,", (unsigned long long)b->window);
    printf("\"seconds\":%.3f,\"messages\":%llu,\"messages_per_s\":%.0f,\"deliveries\":%llu,"
           "\"deliveries_per_s\":%.0f,\"mbytes_per_s\":%.1f,",
           f->seconds, f->messages, f->messages_per_s, f->deliveries, f->per_s, f->mbytes_per_s);
    if (b->server_pid > 0)
        printf("\"server_cpu_s\":%.4f,\"ksoftirqd_s\":%.4f,\"server_load\":%.3f,"
               "\"deliveries_per_cpu_s\":%.0f,",
               f->server_s, f->softirq_s, f->server_load, f->per_cpu_s);
    if (b->deflate)
        printf("\"deflated_part\":%.3f,", f->deflated_part);
    printf("\"client_load\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"samples\":%llu,\"backlog\":%llu,\"missing\":%llu,\"disorder\":%llu}\n",
           f->client_load, f->p50_us, f->p99_us, f->p999_us, f->max_us, f->samples,
           echo ? 0 : f->backlog, (unsigned long long)b->missing, (unsigned long long)b->disorder);
}

static void print_text(const struct bench *b, const struct figures *f)
{
    const char *bold = cli_color(&b->out, CLI_BOLD), *plain = cli_color(&b->out, CLI_PLAIN);
    printf("%s%s%s  %llu connections, %llu bytes, ", bold, b->mode, plain,
           (unsigned long long)b->conn_count, (unsigned long long)b->size);
    if (b->rate > 0)
        printf("%llu messages/s asked for, ", (unsigned long long)b->rate);
    else
        printf("%llu outstanding, ", (unsigned long long)b->window);
    printf("%.1f s\n", f->seconds);
    printf("  messages/s      %12.0f\n", f->messages_per_s);
    printf("  deliveries/s    %s%12.0f%s   %.1f MB/s\n", bold, f->per_s, plain, f->mbytes_per_s);
    printf("  latency         p50 %.1f us   p99 %.1f us   p99.9 %.1f us   max %.1f us\n", f->p50_us,
           f->p99_us, f->p999_us, f->max_us);
    if (b->deflate)
        printf("  compressed      %11.1f%%   of the messages: these have no latency\n",
               f->deflated_part * 100);
    if (b->server_pid > 0)
        printf("  server CPU      %11.1f%%   (ksoftirqd %.1f%%)   %.0f deliveries per CPU second\n",
               f->server_load * 100, f->softirq_s / f->seconds * 100, f->per_cpu_s);
    printf("  this program    %11.1f%%   of a core%s\n", f->client_load * 100,
           f->client_load > 0.95 ? ": it is the limit" : "");
    if (b->rate > 0 && f->backlog > b->rate / 2)
        printf("  %sthe rate was not sustained: %llu messages behind%s\n",
               cli_color(&b->out, CLI_RED), f->backlog, plain);
    if (b->missing > 0)
        printf("  %sstill missing at the end: %llu messages%s\n", cli_color(&b->out, CLI_RED),
               (unsigned long long)b->missing, plain);
    if (b->disorder > 0)
        printf("  %sout of order: %llu%s\n", cli_color(&b->out, CLI_RED),
               (unsigned long long)b->disorder, plain);
}

void bench_report(const struct bench *b, const struct bench_snapshot *from,
                  const struct bench_snapshot *to)
{
    struct figures f = figure_out(b, from, to);
    if (b->out.json)
        print_json(b, &f);
    else
        print_text(b, &f);
    fflush(stdout);
}
