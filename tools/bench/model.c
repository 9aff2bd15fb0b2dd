/* model.c - see model.h. The self-test at its end shows a user that the recorder does not lie. */
#include "tools/bench/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/live.h"
#include "tools/output.h"

/* ---- clock and engine ------------------------------------------------------------------------------------------------*/

static uint64_t model_now(void *context)
{
    return ((struct dw_bench_model *)context)->time_ns;
}

static void model_sleep_until(void *context, uint64_t time_ns)
{
    struct dw_bench_model *model = context;
    if (time_ns > model->time_ns)
        model->time_ns = time_ns + model->sleep_late_ns;
}

static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **lane)
{
    (void)outstanding;
    *lane = engine->state;
    return 0;
}
static void close_lane(void *lane)
{
    (void)lane;
}

static bool issue(void *lane, struct dw_bench_op *op, const uint8_t *payload)
{
    (void)payload;
    struct dw_bench_model *model = lane;
    uint64_t number = model->operations++;
    if (number == model->fail_at) {
        op->result = -EIO;
        op->done_ns = model->time_ns;
        return true;
    }
    uint64_t begin_ns = model->busy_until_ns > op->issue_ns ? model->busy_until_ns : op->issue_ns;
    model->busy_until_ns = begin_ns + (number == model->stall_at ? model->stall_ns : model->service_ns);
    op->done_ns = model->busy_until_ns;
    op->place = number;
    op->stage_ns[DW_BENCH_QUEUE_WAIT] = begin_ns - op->issue_ns;
    op->stage_ns[DW_BENCH_DEVICE] = op->done_ns - begin_ns;
    op->next = NULL;
    *model->last = op;
    model->last = &op->next;
    return false;
}

static struct dw_bench_op *reap(void *lane, uint64_t until_ns)
{
    struct dw_bench_model *model = lane;
    struct dw_bench_op *op = model->first;
    if (!op || (op->done_ns > model->time_ns && op->done_ns > until_ns)) {
        if (until_ns != UINT64_MAX && until_ns > model->time_ns)
            model->time_ns = until_ns;
        return NULL;
    }
    model->time_ns = op->done_ns > model->time_ns ? op->done_ns : model->time_ns;
    model->first = op->next;
    if (!model->first)
        model->last = &model->first;
    op->next = NULL;
    return op;
}

static const struct dw_bench_engine_ops model_ops = {
    .name = "model",
    .lane_open = open_lane,
    .lane_close = close_lane,
    .issue = issue,
    .reap = reap,
};

void dw_bench_model_init(struct dw_bench_model *model, uint64_t service_ns)
{
    *model = (struct dw_bench_model){.service_ns = service_ns, .stall_at = UINT64_MAX, .fail_at = UINT64_MAX};
    model->time_ns = 1000000000;
    model->last = &model->first;
    model->clock = (struct dw_bench_clock){.now = model_now, .sleep_until = model_sleep_until, .context = model};
    model->engine = (struct dw_bench_engine){.ops = &model_ops, .clock = &model->clock, .state = model};
}

void dw_bench_model_run(struct dw_bench_model *model, const struct dw_bench_load *load, uint64_t duration_ns,
                        struct dw_bench_record *record, struct dw_bench_lane *lane)
{
    static const uint8_t no_payload[1];
    static const atomic_bool never;
    dw_bench_record_clear(record);
    *lane = (struct dw_bench_lane){
        .engine = &model->engine,
        .clock = &model->clock,
        .load = load,
        .payload = no_payload,
        .seed = 42,
        .start_ns = model->time_ns,
        .measure_ns = model->time_ns,
        .end_ns = model->time_ns + duration_ns,
        .drain_ns = model->time_ns + 11 * duration_ns,
        .column_count = DW_BENCH_COLUMNS,
        .stop = &never,
        .record = record,
    };
    if (dw_bench_lane_open(lane) == 0)
        dw_bench_lane_run(lane);
    dw_bench_lane_close(lane);
}

/* ---- the self-test -------------------------------------------------------------------------------------------------------*/

static uint64_t above_1ms(const struct dw_bench_histogram *histogram)
{
    return dw_bench_count_above(histogram, 1000000);
}

static void print_line(const char *what, const struct dw_bench_histogram *histogram)
{
    char p50[16], p99[16], p999[16], max[16];
    dw_output_format("  %-36s %8" PRIu64 " samples, %4" PRIu64 " above 1 ms, p50 %s, p99 %s, p99.9 %s, max %s\n", what,
                     dw_bench_get(&histogram->count), above_1ms(histogram),
                     dw_bench_time_text(p50, (double)dw_bench_percentile(histogram, 50)),
                     dw_bench_time_text(p99, (double)dw_bench_percentile(histogram, 99)),
                     dw_bench_time_text(p999, (double)dw_bench_percentile(histogram, 99.9)),
                     dw_bench_time_text(max, (double)dw_bench_get(&histogram->max)));
}

static bool check_honesty(struct dw_bench_record *record)
{
    struct dw_bench_model model;
    struct dw_bench_lane lane;
    struct dw_bench_load open = {.mix = {1, {128}, {1}}, .threads = 1, .outstanding = 1, .batch = 1, .rate = 10000};
    dw_bench_model_init(&model, 100);
    model.stall_at = 5000;
    model.stall_ns = 100000000;
    dw_bench_model_run(&model, &open, UINT64_C(1000000000), record, &lane);
    dw_output_text("one completion comes 100 ms late; 10,000 operations a second were due for one second:\n");
    print_line("open loop, from the intended start", &record->intended);
    print_line("the same, from the real start", &record->issue);
    bool is_honest = above_1ms(&record->intended) >= 985 && above_1ms(&record->intended) <= 995 &&
                     dw_bench_get(&record->intended.count) == 10000;
    dw_bench_model_init(&model, 100000);
    model.stall_at = 5000;
    model.stall_ns = 100000000;
    open.rate = 0;
    dw_bench_model_run(&model, &open, UINT64_C(1000000000), record, &lane);
    print_line("closed loop (what most tools show)", &record->issue);
    dw_output_format("about 990 callers waited longer than 1 ms: %s\n",
                     is_honest ? "the open loop says so" : "THE RECORDER HIDES THEM");
    return is_honest;
}

/* Best of some tries, ns for one sample; with or without the look at the clock that a lane needs for each operation. */
static double cost_of(struct dw_bench_record *record, bool has_clock)
{
    enum { SAMPLES = 500000, TRIES = 7 };
    uint64_t best_ns = UINT64_MAX, random = 9;
    for (int try = 0; try < TRIES; try++) {
        uint64_t begin_ns = dw_bench_real_clock.now(NULL), time_ns = begin_ns;
        for (int i = 0; i < SAMPLES; i++) {
            uint64_t before_ns = time_ns;
            time_ns = has_clock ? dw_bench_real_clock.now(NULL) : time_ns + 100;
            dw_bench_record(&record->issue, time_ns - before_ns + (dw_bench_random(&random) >> 46));
        }
        uint64_t took_ns = dw_bench_real_clock.now(NULL) - begin_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return (double)best_ns / (double)SAMPLES;
}

bool dw_bench_self_test(void)
{
    struct dw_bench_record *record = calloc(1, sizeof *record);
    if (!record)
        return false;
    bool is_honest = check_honesty(record);
    dw_output_format("recording one sample takes %.1f ns, with the look at the clock %.1f ns\n", cost_of(record, false),
                     cost_of(record, true));
    free(record);
    return is_honest;
}
