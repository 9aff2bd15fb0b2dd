/* run.c - see run.h.
 *
 * Interleaving: each round gives every contender a slice, forwards in even rounds and backwards in odd ones, so that a
 * slow minute of the machine falls on all. The baseline's slice is cut in two, one half before the others and one behind
 * them: the ratio of its own halves says how much of a difference is noise. */
#include "tools/bench/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dwal/dwal.h>

#include "tools/bench/live.h"
#include "tools/bench/slice.h"
#include "tools/bench/statistics.h"
#include "tools/message.h"
#include "tools/signals.h"

static const struct dw_bench_engine_ops *const all_engines[DW_BENCH_ENGINES] = {
    &dw_bench_engine_log, &dw_bench_engine_sync, &dw_bench_engine_uring, &dw_bench_engine_aio, &dw_bench_engine_nvme,
};

const char *dw_bench_metric_name(enum dw_bench_metric metric)
{
    static const char *const names[DW_BENCH_METRICS] = {"p50", "p90", "p99", "p99_9", "max", "rate", "cpu"};
    return (unsigned)metric < DW_BENCH_METRICS ? names[metric] : "unknown";
}

/* ---- set-up ----------------------------------------------------------------------------------------------------------*/

void dw_bench_run_init(struct dw_bench_run *run)
{
    memset(run, 0, sizeof *run);
    run->target.bare_fd = -1;
    run->seed = 1;
    for (uint32_t i = 0; i < DW_BENCH_ENGINES; i++)
        run->engines[i] =
            (struct dw_bench_engine){.ops = all_engines[i], .clock = &dw_bench_real_clock, .target = &run->target};
}

struct dw_bench_engine *dw_bench_run_engine(struct dw_bench_run *run, const char *name, size_t size)
{
    for (uint32_t i = 0; i < DW_BENCH_ENGINES; i++)
        if (strlen(run->engines[i].ops->name) == size && strncmp(run->engines[i].ops->name, name, size) == 0)
            return &run->engines[i];
    return NULL;
}

struct dw_bench_contender *dw_bench_run_add(struct dw_bench_run *run, struct dw_bench_engine *engine,
                                            const struct dw_bench_load *load, const char *group)
{
    if (run->contender_count == DW_BENCH_CONTENDERS_MAX) {
        dw_message_error("measure fewer at once", "more than %u combinations of engine and load",
                         DW_BENCH_CONTENDERS_MAX);
        return NULL;
    }
    struct dw_bench_contender *added = run->contenders[run->contender_count] = calloc(1, sizeof *added);
    if (!added) {
        dw_message_error("free memory", "no memory for the results");
        return NULL;
    }
    added->engine = engine;
    added->load = *load;
    (void)snprintf(added->group, sizeof added->group, "%s", group);
    run->contender_count++;
    return added;
}

/* What differs between the contenders goes into their names. */
static void name_contenders(struct dw_bench_run *run)
{
    bool differs[5] = {false};
    for (uint32_t i = 1; i < run->contender_count; i++) {
        const struct dw_bench_load *a = &run->contenders[0]->load, *b = &run->contenders[i]->load;
        differs[0] |= a->threads != b->threads;
        differs[1] |= a->outstanding != b->outstanding;
        differs[2] |= a->rate < b->rate || a->rate > b->rate;
        differs[3] |= a->batch != b->batch;
        differs[4] |= memcmp(&a->mix, &b->mix, sizeof a->mix) != 0;
    }
    for (uint32_t i = 0; i < run->contender_count; i++) {
        struct dw_bench_contender *c = run->contenders[i];
        char threads[24] = "", outstanding[24] = "", rate[32] = "", batch[24] = "", size[24] = "";
        if (differs[0])
            (void)snprintf(threads, sizeof threads, " %uT", c->load.threads);
        if (differs[1])
            (void)snprintf(outstanding, sizeof outstanding, " Q%u", c->load.outstanding);
        if (differs[2] && c->load.rate > 0)
            (void)snprintf(rate, sizeof rate, " %.0f/s", c->load.rate);
        if (differs[3])
            (void)snprintf(batch, sizeof batch, " x%u", c->load.batch);
        if (differs[4])
            (void)snprintf(size, sizeof size, " %u%s", c->load.mix.sizes[0], c->load.mix.count > 1 ? "+" : "B");
        (void)snprintf(c->label, sizeof c->label, "%s%s%s%s%s%s%s", c->group, c->group[0] ? " " : "",
                       c->engine->ops->name, threads, outstanding, rate, batch);
        (void)snprintf(c->label + strlen(c->label), sizeof c->label - strlen(c->label), "%s", size);
    }
}

static bool is_possible(const struct dw_bench_run *run, struct dw_bench_engine *engine)
{
    const struct dw_bench_target *target = &run->target;
    bool is_nvme = engine->ops == &dw_bench_engine_nvme;
    if (engine->ops->is_log ? target->has_log : is_nvme ? target->generic_path[0] != 0 : target->has_bare)
        return true;
    const char *why = "bare writes need a directory, a file or a block device";
    if (engine->ops->is_log && target->kind == DW_BENCH_AT_DEVICE)
        why = "on a device the log and bare writes would overwrite each other; --engines dwal measures it alone";
    else if (engine->ops->is_log)
        why = "the log needs a directory or a device";
    else if (is_nvme)
        why = "it needs an NVMe namespace, /dev/nvme... or /dev/ng...";
    (void)snprintf(engine->why, sizeof engine->why, "%s", why);
    return false;
}

static void drop_engine(struct dw_bench_run *run, const struct dw_bench_engine *engine)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        if (run->contenders[i]->engine == engine)
            free(run->contenders[i]);
        else
            run->contenders[kept++] = run->contenders[i];
    }
    run->contender_count = kept;
}

static bool is_used(const struct dw_bench_run *run, const struct dw_bench_engine *engine)
{
    for (uint32_t i = 0; i < run->contender_count; i++)
        if (run->contenders[i]->engine == engine)
            return true;
    return false;
}

static int open_engines(struct dw_bench_run *run, bool may_drop)
{
    for (uint32_t i = 0; i < DW_BENCH_ENGINES; i++) {
        struct dw_bench_engine *engine = &run->engines[i];
        if (!is_used(run, engine))
            continue;
        if (is_possible(run, engine) && engine->ops->open(engine) == 0)
            continue;
        bool is_log_broken = engine->ops->is_log && run->target.has_log; /* that is not a matter of what can run here */
        if (!may_drop || is_log_broken) {
            dw_message_error(is_log_broken ? "mend it, or leave the log out with --engines" : "leave it out",
                             "engine %s cannot run: %s", engine->ops->name, engine->why);
            return -1;
        }
        if (!run->is_quiet && engine->ops != &dw_bench_engine_nvme)
            dw_message_warning("engine %s is left out: %s", engine->ops->name, engine->why);
        drop_engine(run, engine);
    }
    if (run->contender_count > 0)
        return 0;
    dw_message_error("see dwal bench --help", "no engine can run here");
    return -1;
}

/* The others are told beside it: the first bare engine, else the first contender. */
static void choose_baseline(struct dw_bench_run *run)
{
    run->has_baseline = run->contender_count > 1;
    run->baseline = 0;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        if (!run->contenders[i]->engine->ops->is_log) {
            run->baseline = i;
            return;
        }
    }
}

int dw_bench_run_open(struct dw_bench_run *run, bool may_drop)
{
    bool wants_bare = false;
    for (uint32_t i = 0; i < run->contender_count; i++)
        wants_bare |= !run->contenders[i]->engine->ops->is_log;
    run->target.is_log_alone = !wants_bare;
    if (dw_bench_target_open(&run->target) != 0)
        return -1;
    const char *place = run->target.scratch[0] ? run->target.scratch : run->target.path;
    if (run->target.kind == DW_BENCH_AT_DEVICE)
        place = run->target.bare_path;
    if (dw_bench_target_prepare(&run->target, wants_bare) != 0)
        return -1;
    dw_bench_machine_look(&run->machine, place);
    if (open_engines(run, may_drop) != 0)
        return -1;
    name_contenders(run);
    choose_baseline(run);
    return 0;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------*/

static void fill_round(const struct dw_bench_contender *contender, const struct dw_bench_record *part,
                       struct dw_bench_round *round, uint64_t measured_ns)
{
    static const double percents[] = {50, 90, 99, 99.9};
    const struct dw_bench_histogram *latency = contender->load.rate > 0 ? &part->intended : &part->issue;
    for (int i = 0; i < 4; i++)
        round->values[DW_BENCH_P50 + i] = (double)dw_bench_percentile(latency, percents[i]);
    round->values[DW_BENCH_MAX] = (double)dw_bench_get(&latency->max);
    round->values[DW_BENCH_RATE] = measured_ns ? (double)round->count * 1e9 / (double)measured_ns : 0;
    if (round->count > 0)
        round->values[DW_BENCH_CPU] /= (double)round->count;
}

struct half {
    struct dw_bench_record part;
    uint64_t measured_ns;
};

/* `part` 0: all of the slice; 1, 2: the first and the second half of it. */
static void run_part(struct dw_bench_run *run, struct dw_bench_contender *contender, uint32_t round, int part,
                     struct half *half)
{
    struct dw_bench_slice slice = {
        .contender = contender,
        .round = round,
        .duration_ns = run->slice_ns,
        .count = run->slice_count,
    };
    uint32_t column = round * DW_BENCH_COLUMNS / run->rounds, end = (round + 1) * DW_BENCH_COLUMNS / run->rounds;
    slice.column_first = column < DW_BENCH_COLUMNS ? column : DW_BENCH_COLUMNS - 1;
    slice.column_count = end > column ? end - column : 1;
    if (part > 0) {
        slice.duration_ns /= 2;
        slice.count = (slice.count + 1) / 2;
        uint32_t first_half = slice.column_count / 2;
        if (first_half > 0 && part == 2)
            slice.column_first += first_half;
        if (first_half > 0)
            slice.column_count = part == 1 ? first_half : slice.column_count - first_half;
    }
    if (contender->engine->ops->tidy)
        contender->engine->ops->tidy(contender->engine, false);
    contender->columns_used = slice.column_first + slice.column_count;
    dw_bench_slice_run(run, &slice, &half->part, &contender->rounds[round], &half->measured_ns);
}

static void end_round(struct dw_bench_run *run, struct dw_bench_contender *contender, uint32_t round,
                      const struct half *half)
{
    if (contender->rounds[round].count == 0)
        return;
    fill_round(contender, &half->part, &contender->rounds[round], half->measured_ns);
    dw_bench_record_merge(&contender->record, &half->part);
    contender->measured_ns += half->measured_ns;
    contender->round_count = round + 1;
    dw_bench_live_round(run, contender, round);
}

static bool is_over(const struct dw_bench_run *run, const struct dw_bench_contender *contender)
{
    return run->was_interrupted || contender->failure;
}

static void run_round(struct dw_bench_run *run, uint32_t round, struct half *halves, struct half *whole)
{
    struct dw_bench_contender *baseline = run->contenders[run->baseline];
    memset(halves, 0, sizeof *halves);
    if (!is_over(run, baseline))
        run_part(run, baseline, round, run->has_baseline ? 1 : 0, halves);
    const struct dw_bench_histogram *latency = baseline->load.rate > 0 ? &halves->part.intended : &halves->part.issue;
    uint64_t first_p50 = dw_bench_percentile(latency, 50);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        uint32_t at = round % 2 ? run->contender_count - 1 - i : i;
        struct dw_bench_contender *contender = run->contenders[at];
        if (at == run->baseline || is_over(run, contender))
            continue;
        memset(whole, 0, sizeof *whole);
        run_part(run, contender, round, 0, whole);
        end_round(run, contender, round, whole);
    }
    if (run->has_baseline && !is_over(run, baseline)) {
        memset(whole, 0, sizeof *whole);
        run_part(run, baseline, round, 2, whole);
        latency = baseline->load.rate > 0 ? &whole->part.intended : &whole->part.issue;
        baseline->first_half_p50[round] = (double)first_p50;
        baseline->second_half_p50[round] = (double)dw_bench_percentile(latency, 50);
        dw_bench_record_merge(&halves->part, &whole->part);
        halves->measured_ns += whole->measured_ns;
    }
    end_round(run, baseline, round, halves);
}

static uint64_t wall_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

void dw_bench_run_rounds(struct dw_bench_run *run)
{
    struct half *rooms = calloc(2, sizeof *rooms);
    if (!rooms) {
        dw_message_error("free memory", "no memory for the results");
        return;
    }
    run->start_ns = dw_bench_real_clock.now(NULL);
    run->start_time_ns = wall_ns();
    if (run->trace_ns && !dw_bench_trace_open(run->machine.disk_major, run->machine.disk_minor))
        run->trace_ns = 0;
    dw_bench_machine_start(&run->machine);
    for (uint32_t round = 0; round < run->rounds && !run->was_interrupted; round++) {
        run_round(run, round, &rooms[0], &rooms[1]);
        run->rounds_done = round + !run->was_interrupted;
        bool is_any_left = false;
        for (uint32_t i = 0; i < run->contender_count; i++)
            is_any_left |= run->contenders[i]->failure == 0;
        if (!is_any_left)
            break;
        run->was_interrupted |= dw_signals_came();
    }
    dw_bench_machine_stop(&run->machine);
    run->trace_lost = dw_bench_trace_lost();
    dw_bench_trace_close();
    run->end_ns = dw_bench_real_clock.now(NULL);
    dw_bench_live_end();
    dw_bench_slice_free();
    free(rooms);
}

/* ---- ratios ------------------------------------------------------------------------------------------------------------*/

double dw_bench_run_noise(const struct dw_bench_run *run)
{
    double ratios[DW_BENCH_ROUNDS_MAX];
    uint32_t count = 0;
    if (!run->has_baseline)
        return 0;
    const struct dw_bench_contender *baseline = run->contenders[run->baseline];
    for (uint32_t i = 0; i < baseline->round_count; i++)
        if (baseline->first_half_p50[i] > 0 && baseline->second_half_p50[i] > 0)
            ratios[count++] = baseline->second_half_p50[i] / baseline->first_half_p50[i];
    return dw_bench_median(ratios, count);
}

static bool is_same_load(const struct dw_bench_load *a, const struct dw_bench_load *b)
{
    bool has_same_rate = !(a->rate < b->rate) && !(a->rate > b->rate) && a->is_poisson == b->is_poisson;
    return a->threads == b->threads && a->outstanding == b->outstanding && a->batch == b->batch && has_same_rate &&
           memcmp(&a->mix, &b->mix, sizeof a->mix) == 0;
}

const struct dw_bench_contender *dw_bench_run_beside(const struct dw_bench_run *run,
                                                     const struct dw_bench_contender *contender)
{
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *other = run->contenders[i];
        if (!other->engine->ops->is_log && strcmp(other->group, contender->group) == 0 &&
            is_same_load(&other->load, &contender->load))
            return other == contender ? NULL : other;
    }
    return NULL;
}

void dw_bench_run_ratio(const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                        enum dw_bench_metric metric, struct dw_bench_ratio *ratio)
{
    const struct dw_bench_contender *other = dw_bench_run_beside(run, contender);
    double a[DW_BENCH_ROUNDS_MAX], b[DW_BENCH_ROUNDS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; other && i < contender->round_count && i < other->round_count; i++, count++) {
        a[i] = other->rounds[i].values[metric];
        b[i] = contender->rounds[i].values[metric];
    }
    *ratio = dw_bench_ratio_paired(a, b, count);
}

void dw_bench_run_close(struct dw_bench_run *run)
{
    for (uint32_t i = 0; i < DW_BENCH_ENGINES; i++)
        if (run->engines[i].state && run->engines[i].ops->close)
            run->engines[i].ops->close(&run->engines[i]);
    for (uint32_t i = 0; i < run->contender_count; i++)
        free(run->contenders[i]);
    run->contender_count = 0;
    dw_bench_target_close(&run->target);
}
