/* report_json.c - a run as one JSON object, for programs and for `dwal bench compare`; see report.h. The fields are
 * described in dwal(1). Times are nanoseconds. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "tools/bench/file.h"
#include "tools/bench/report.h"
#include "tools/bench/statistics.h"
#include "tools/json.h"

struct out {
    FILE *file;
    bool has_fields; /* a comma is due before the next */
};

/* ---- pieces ------------------------------------------------------------------------------------------------------------*/

static void write_text(FILE *file, const char *text)
{
    bool is_valid = dw_utf8_is_valid(text, strlen(text));
    fputc('"', file);
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_valid))
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void name(struct out *out, const char *key)
{
    if (out->has_fields)
        fputc(',', out->file);
    out->has_fields = true;
    if (key)
        fprintf(out->file, "\"%s\":", key);
}
static void begin(struct out *out, const char *key, char bracket)
{
    name(out, key);
    fputc(bracket, out->file);
    out->has_fields = false;
}
static void end(struct out *out, char bracket)
{
    fputc(bracket, out->file);
    out->has_fields = true;
}
static void put_text(struct out *out, const char *key, const char *value)
{
    name(out, key);
    write_text(out->file, value);
}
static void put_number(struct out *out, const char *key, uint64_t value)
{
    name(out, key);
    fprintf(out->file, "%" PRIu64, value);
}
static void put_real(struct out *out, const char *key, double value)
{
    name(out, key);
    fprintf(out->file, "%.6g", value);
}
static void put_bool(struct out *out, const char *key, bool value)
{
    name(out, key);
    fputs(value ? "true" : "false", out->file);
}
static void put_null(struct out *out, const char *key)
{
    name(out, key);
    fputs("null", out->file);
}

/* ---- a contender ---------------------------------------------------------------------------------------------------------*/

static void put_histogram(struct out *out, const char *key, const struct dw_bench_histogram *histogram)
{
    begin(out, key, '{');
    put_number(out, "count", dw_bench_get(&histogram->count));
    put_number(out, "over_range", dw_bench_get(&histogram->over));
    put_real(out, "mean", dw_bench_mean(histogram));
    put_real(out, "deviation", dw_bench_deviation(histogram));
    put_number(out, "min", dw_bench_histogram_smallest(histogram));
    put_number(out, "max", dw_bench_get(&histogram->max));
    begin(out, "percentiles", '[');
    for (uint32_t i = 0; i < DW_BENCH_PERCENTS; i++) {
        begin(out, NULL, '{');
        name(out, "percent");
        fprintf(out->file, "%.10g", dw_bench_percents[i]);
        put_number(out, "value", dw_bench_percentile(histogram, dw_bench_percents[i]));
        put_bool(out, "has_enough_samples", dw_bench_is_firm(histogram, dw_bench_percents[i]));
        end(out, '}');
    }
    end(out, ']');
    begin(out, "buckets", '[');
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) {
        uint64_t count = dw_bench_get(&histogram->buckets[i]);
        if (count == 0)
            continue;
        begin(out, NULL, '[');
        put_number(out, NULL, dw_bench_bucket_low(i));
        put_number(out, NULL, count);
        end(out, ']');
    }
    end(out, ']');
    end(out, '}');
}

static void put_load(struct out *out, const struct dw_bench_load *load)
{
    begin(out, "load", '{');
    put_number(out, "threads", load->threads);
    put_number(out, "outstanding", load->outstanding);
    put_number(out, "batch", load->batch);
    put_real(out, "rate", load->rate);
    put_text(out, "arrival", load->rate > 0 ? (load->is_poisson ? "poisson" : "fixed") : "closed");
    begin(out, "sizes", '[');
    for (uint32_t i = 0; i < load->mix.count; i++) {
        begin(out, NULL, '[');
        put_number(out, NULL, load->mix.sizes[i]);
        put_number(out, NULL, load->mix.weights[i]);
        end(out, ']');
    }
    end(out, ']');
    end(out, '}');
}

static void put_rounds(struct out *out, const struct dw_bench_contender *contender)
{
    begin(out, "rounds", '[');
    for (uint32_t i = 0; i < contender->round_count; i++) {
        const struct dw_bench_round *round = &contender->rounds[i];
        begin(out, NULL, '{');
        put_number(out, "count", round->count);
        for (int metric = 0; metric < DW_BENCH_METRICS; metric++)
            put_real(out, dw_bench_metric_name((enum dw_bench_metric)metric), round->values[metric]);
        put_real(out, "cpu_busy", round->busy);
        put_real(out, "cpu_steal", round->steal);
        end(out, '}');
    }
    end(out, ']');
}

static void put_ratios(struct out *out, const struct dw_bench_run *run, const struct dw_bench_contender *contender)
{
    const struct dw_bench_contender *other = dw_bench_run_beside(run, contender);
    if (!other) {
        put_null(out, "beside");
        return;
    }
    begin(out, "beside", '{');
    put_text(out, "label", other->label);
    for (int metric = 0; metric < DW_BENCH_METRICS; metric++) {
        struct dw_bench_ratio ratio;
        dw_bench_run_ratio(run, contender, (enum dw_bench_metric)metric, &ratio);
        if (!ratio.is_known)
            continue;
        begin(out, dw_bench_metric_name((enum dw_bench_metric)metric), '{');
        put_real(out, "ratio", ratio.value);
        put_real(out, "low", ratio.low);
        put_real(out, "high", ratio.high);
        put_bool(out, "is_noise", dw_bench_ratio_is_noise(&ratio));
        end(out, '}');
    }
    end(out, '}');
}

static void put_stage_times(struct out *out, const char *key, const uint64_t stage_ns[DW_BENCH_STAGES])
{
    begin(out, key, '{');
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        put_number(out, dw_bench_stage_name((enum dw_bench_stage)stage), stage_ns[stage]);
    end(out, '}');
}

static void put_shares(struct out *out, const struct dw_bench_record *record)
{
    static const double bands[][2] = {{0, 100}, {0, 50}, {50, 90}, {90, 99}, {99, 99.9}, {99.9, 100}};
    begin(out, "stages", '[');
    for (size_t band = 0; band < sizeof bands / sizeof bands[0]; band++) {
        double shares[DW_BENCH_STAGES], mean_ns;
        if (!dw_bench_stage_shares(record, bands[band][0], bands[band][1], shares, &mean_ns))
            continue;
        begin(out, NULL, '{');
        put_real(out, "from_percent", bands[band][0]);
        put_real(out, "to_percent", bands[band][1]);
        put_real(out, "mean", mean_ns);
        begin(out, "shares", '{');
        for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
            put_real(out, dw_bench_stage_name((enum dw_bench_stage)stage), shares[stage]);
        end(out, '}');
        end(out, '}');
    }
    end(out, ']');
}

static void put_slowest(struct out *out, const struct dw_bench_run *run, const struct dw_bench_record *record,
                        uint32_t slowest)
{
    begin(out, "slowest", '[');
    for (uint32_t i = 0; i < record->slow_count && i < slowest; i++) {
        const struct dw_bench_slow *slow = &record->slow[i];
        begin(out, NULL, '{');
        put_number(out, "latency", slow->latency_ns);
        put_number(out, "intended_start", slow->intended_ns - run->start_ns);
        put_number(out, "issue", slow->issue_ns - run->start_ns);
        put_number(out, "durable", slow->done_ns - run->start_ns);
        put_number(out, "round", slow->round + 1);
        put_number(out, "thread", slow->lane);
        put_number(out, "place", slow->place);
        put_number(out, "bytes", slow->bytes);
        put_stage_times(out, "stages", slow->stage_ns);
        put_text(out, "machine", slow->then);
        put_text(out, "culprit", slow->culprit);
        end(out, '}');
    }
    end(out, ']');
}

static void put_contender(struct out *out, const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                          uint32_t slowest)
{
    begin(out, NULL, '{');
    put_text(out, "label", contender->label);
    put_text(out, "section", contender->group);
    put_text(out, "engine", contender->engine->ops->name);
    put_load(out, &contender->load);
    put_text(out, "backend", contender->engine->ops->is_log ? run->target.log_backend : contender->engine->ops->name);
    put_bool(out, "is_baseline", run->has_baseline && contender == run->contenders[run->baseline]);
    if (contender->failure)
        put_text(out, "failure", contender->failure_text);
    else
        put_null(out, "failure");
    put_number(out, "never_started", contender->unissued);
    put_number(out, "measured", contender->measured_ns);
    put_number(out, "bytes", contender->record.bytes);
    put_number(out, "entries", contender->record.entries);
    put_histogram(out, "issue_to_durable", &contender->record.issue);
    if (contender->load.rate > 0)
        put_histogram(out, "intended_to_durable", &contender->record.intended);
    else
        put_null(out, "intended_to_durable");
    put_histogram(out, "first_in_new_volume", &contender->record.crossing);
    put_rounds(out, contender);
    put_ratios(out, run, contender);
    put_shares(out, &contender->record);
    begin(out, "culprits", '{');
    for (int i = 0; run->trace_ns && i < DW_BENCH_CULPRITS; i++)
        put_number(out, dw_bench_culprit_name((enum dw_bench_culprit)i), contender->culprits[i]);
    end(out, '}');
    put_slowest(out, run, &contender->record, slowest);
    end(out, '}');
}

/* ---- the run -------------------------------------------------------------------------------------------------------------*/

static void put_machine(struct out *out, const struct dw_bench_machine *machine)
{
    const struct dw_bench_counters *a = &machine->before, *b = &machine->after;
    begin(out, "machine", '{');
    for (uint32_t i = 0; i < machine->fact_count; i++)
        put_text(out, machine->facts[i].name, machine->facts[i].value);
    put_bool(out, "is_virtual", machine->is_virtual);
    end(out, '}');
    begin(out, "meanwhile", '{');
    put_number(out, "cpu_ticks", b->cpu_all - a->cpu_all);
    put_number(out, "cpu_busy_ticks", b->cpu_busy - a->cpu_busy);
    put_number(out, "cpu_steal_ticks", b->cpu_steal - a->cpu_steal);
    put_number(out, "switches", b->switches - a->switches);
    put_number(out, "pressure_cpu_us", b->pressure_cpu_us - a->pressure_cpu_us);
    put_number(out, "pressure_io_us", b->pressure_io_us - a->pressure_io_us);
    put_number(out, "disk_reads", b->disk_reads - a->disk_reads);
    put_number(out, "disk_writes", b->disk_writes - a->disk_writes);
    put_number(out, "disk_write_bytes", (b->disk_write_sectors - a->disk_write_sectors) * 512);
    put_number(out, "disk_flushes", b->disk_flushes - a->disk_flushes);
    put_number(out, "disk_busy_ms", b->disk_busy_ms - a->disk_busy_ms);
    end(out, '}');
}

static void put_run(struct out *out, const struct dw_bench_run *run, uint32_t slowest)
{
    begin(out, NULL, '{');
    put_text(out, "format", "dwal-bench-1");
    put_text(out, "dwal", dwal_version());
    put_text(out, "target", run->target.path);
    put_number(out, "start_time", run->start_time_ns);
    put_number(out, "duration", run->end_ns - run->start_ns);
    put_number(out, "rounds", run->rounds);
    put_number(out, "rounds_done", run->rounds_done);
    put_number(out, "slice", run->slice_ns);
    put_number(out, "warm_up", run->warm_up_ns);
    put_number(out, "settle", run->target.settle_ns);
    put_number(out, "prefilled_bytes", run->target.bare_size);
    put_number(out, "seed", run->seed);
    put_number(out, "trace_limit", run->trace_ns);
    put_bool(out, "was_interrupted", run->was_interrupted);
    if (run->has_baseline)
        put_real(out, "baseline_beside_itself", dw_bench_run_noise(run));
    put_machine(out, &run->machine);
    begin(out, "contenders", '[');
    for (uint32_t i = 0; i < run->contender_count; i++)
        put_contender(out, run, run->contenders[i], slowest);
    end(out, ']');
    end(out, '}');
    fputc('\n', out->file);
}

int dw_bench_report_json(const struct dw_bench_run *run, uint32_t slowest, const char *path)
{
    struct out out = {.file = dw_bench_file_open(path)};
    if (!out.file)
        return -errno;
    put_run(&out, run, slowest);
    return dw_bench_file_close(out.file);
}
