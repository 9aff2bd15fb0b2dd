/* bench.c - dwal bench: latency tails of the log and of the device below it, side by side.
 *
 * Happy path: options or a plan file -> contenders -> target prepared -> rounds -> reports -> all that was made is removed.
 * `dwal bench compare A B` and `--self-test` are ways of their own. Failure: told; what was measured by then is reported.
 * A signal ends the measuring early; the report says so. */
#include <stdlib.h>
#include <string.h>

#include "tools/bench/compare.h"
#include "tools/bench/model.h"
#include "tools/bench/plan.h"
#include "tools/bench/report.h"
#include "tools/bench/run.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/signals.h"
#include "tools/tool.h"

struct asked {
    struct dw_bench_settings settings;
    const char *plan, *json, *hgrm, *log, *page;
    uint64_t slowest;
    bool is_self_test;
};

static int write_report(int result, const char *path)
{
    if (result == 0)
        return 0;
    dw_message_error("free space, or name another file", "%s: %s", path, strerror(-result));
    return -1;
}

static int write_reports(const struct dw_bench_run *run, const struct asked *asked)
{
    int result = 0;
    uint32_t slowest = (uint32_t)asked->slowest;
    if (!asked->json || strcmp(asked->json, "-") != 0)
        dw_bench_report_text(run, slowest);
    (void)dw_output_flush();
    if (asked->json)
        result |= write_report(dw_bench_report_json(run, slowest, asked->json), asked->json);
    if (asked->hgrm)
        result |= write_report(dw_bench_report_hgrm(run, asked->hgrm), asked->hgrm);
    if (asked->log)
        result |= write_report(dw_bench_report_log(run, asked->log), asked->log);
    if (asked->page)
        result |= write_report(dw_bench_report_page(run, slowest, asked->page), asked->page);
    return result;
}

static bool has_samples(const struct dw_bench_run *run)
{
    for (uint32_t i = 0; i < run->contender_count; i++)
        if (dw_bench_get(&run->contenders[i]->record.issue.count) > 0)
            return true;
    return false;
}

static int measure(struct dw_bench_run *run, const struct asked *asked)
{
    int result = asked->plan ? dw_bench_plan_read(run, &asked->settings, asked->plan)
                             : dw_bench_plan_times(run, &asked->settings, "--");
    if (result == 0 && !asked->plan)
        result = dw_bench_plan_add(run, &asked->settings, "--", "");
    if (result != 0 || !dw_signals_take() || dw_bench_run_open(run, !asked->settings.engines) != 0)
        return DW_EXIT_WRONG;
    dw_bench_run_rounds(run);
    int status = DW_EXIT_GOOD;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *contender = run->contenders[i];
        if (contender->failure) {
            dw_message_error("see the report for what was measured by then", "%s stopped: %s", contender->label,
                             contender->failure_text);
            status = DW_EXIT_WRONG;
        }
    }
    if (!has_samples(run)) {
        dw_message_error(NULL, "nothing was measured");
        return DW_EXIT_WRONG;
    }
    return write_reports(run, asked) == 0 ? status : DW_EXIT_WRONG;
}

static int run_bench(int argument_count, char **arguments)
{
    static const char *const backends[] = {NULL, "sync", "uring", "aio", "nvme"};
    static struct dw_bench_run run; /* too large for a stack */
    dw_bench_run_init(&run);
    run.target.file_size = UINT64_C(256) << 20;
    struct asked asked = {.slowest = 5};
    const char *trace = NULL;
    int backend = -1;
    const struct dw_option options[] = {
        DW_TEXT("engines", &asked.settings.engines, "LIST", "of dwal,sync,uring,aio,nvme; default: all that can run"),
        DW_TEXT("threads", &asked.settings.threads, "LIST", "callers at once, such as 1,4,16; default 1"),
        DW_TEXT("size", &asked.settings.size, "SIZE", "of entries: 128 (default), or a mix such as 64:50,4KiB:50"),
        DW_TEXT("batch", &asked.settings.batch, "N", "entries of one operation, all or nothing; default 1"),
        DW_TEXT("outstanding", &asked.settings.outstanding, "LIST", "operations under way for each thread; default 1"),
        DW_TEXT("rate", &asked.settings.rate, "LIST", "open loop: operations a second of all threads together"),
        DW_TEXT("arrival", &asked.settings.arrival, "HOW", "of an open loop: poisson (default) or fixed"),
        DW_TEXT("duration", &asked.settings.duration, "TIME", "for each contender, over all rounds; default 10s"),
        DW_TEXT("count", &asked.settings.count, "N", "operations for each contender instead of a duration"),
        DW_TEXT("rounds", &asked.settings.rounds, "N", "interleaved rounds; default 10"),
        DW_TEXT("warm-up", &asked.settings.warm_up, "TIME", "before each slice, not recorded; default 100ms"),
        DW_TEXT("settle", &asked.settings.settle, "TIME", "of rest between prefill and measuring; default 6s"),
        DW_TEXT("plan", &asked.plan, "FILE", "sections of loads to measure in one run; see dwal(1)"),
        DW_SIZE("file-size", &run.target.file_size, "SIZE", 4 << 20, 1ull << 44, "of the bare file; default 256MiB"),
        DW_SIZE("volume-size", &run.target.volume_size, "SIZE", 1, 0, "of the log's volumes; default 64MiB"),
        DW_CHOICE("backend", &backend, "NAME", "sync|uring|aio|nvme", "of the log; default: chosen when it is opened"),
        DW_NUMBER("slowest", &asked.slowest, "N", 0, DW_BENCH_SLOWEST, "list so many of the slowest; default 5"),
        DW_NUMBER("seed", &run.seed, "N", 0, 0, "of arrivals and mixes; default 1"),
        DW_TEXT("json", &asked.json, "FILE", "all results; -: standard output, instead of the text"),
        DW_TEXT("hgrm", &asked.hgrm, "FILE", "HdrHistogram percentiles; % in the name stands for the contender"),
        DW_TEXT("hlog", &asked.log, "FILE", "HdrHistogram log, one tag for each contender"),
        DW_TEXT("report", &asked.page, "FILE", "a page with plots, for a browser"),
        DW_TEXT("trace", &trace, "TIME", "name the culprit of every operation that takes longer (needs root)"),
        DW_FLAG("destroy", &run.target.may_destroy, "overwrite a file or device that is not blank"),
        DW_FLAG("append", &run.target.may_append, "measure in an existing log; the entries stay in it"),
        DW_FLAG("keep", &run.target.is_kept, "leave the files that were made"),
        DW_FLAG("quiet", &run.is_quiet, "do not show how it goes"),
        DW_FLAG("unsafe-buffered", &run.target.is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed = dw_options_parse(&dw_command_bench, options, DW_OPTION_COUNT(options), argument_count,
                                             arguments, &run.target.path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    run.target.backend = backends[backend + 1];
    if (trace && (!dw_bench_time_parse(trace, &run.trace_ns) || run.trace_ns == 0)) {
        dw_message_error("give a time, such as 1ms", "--trace: \"%s\" is not possible", trace);
        return DW_EXIT_WRONG;
    }
    int status = measure(&run, &asked);
    dw_bench_run_close(&run);
    return status;
}

static int run_command(int argument_count, char **arguments)
{
    if (argument_count >= 1 && strcmp(arguments[0], "compare") == 0)
        return dw_bench_compare(argument_count - 1, arguments + 1);
    if (argument_count == 1 && strcmp(arguments[0], "--self-test") == 0)
        return dw_bench_self_test() ? DW_EXIT_GOOD : DW_EXIT_WRONG;
    return run_bench(argument_count, arguments);
}

const struct dw_command dw_command_bench = {
    .name = "bench",
    .summary = "measure latency tails",
    .arguments = "TARGET [OPTION...]",
    .about =
        "Measure how long it takes until bytes are durable: through the log (dwal) and by bare writes with O_DIRECT\n"
        "and RWF_DSYNC (sync, uring, aio, nvme), side by side in interleaved rounds. TARGET is a directory (files are\n"
        "made in it and removed), a file, a blank block device, or an existing log. Without --rate a closed loop;\n"
        "with it an open loop that starts operations when they are due and never drops a late one.",
    .examples = "  dwal bench /var/lib/app --duration 60s --rounds 20 --report tails.html\n"
                "  dwal bench /var/lib/app --threads 1,4,16,64 --engines dwal,sync --json run.json\n"
                "  dwal bench /var/lib/app --rate 1000,5000,10000 --engines dwal\n"
                "  dwal bench compare before.json after.json\n"
                "  dwal bench --self-test\n",
    .run = run_command,
};
