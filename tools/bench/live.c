/* live.c - see live.h. Owns: the histogram of the slice as it is and as it was at the last look. */
#include "tools/bench/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/message.h"

#define PERIOD_NS  UINT64_C(250000000)
#define STRIP_SIZE 24u

static struct {
    uint64_t shown_ns, count;
    const struct dw_bench_contender *contender;
    struct dw_bench_histogram now, before, step;
    uint8_t strip[STRIP_SIZE]; /* p99 of the last periods: rows of eight to a power of two */
    uint32_t strip_count;
    bool is_line_shown;
} live;

const char *dw_bench_time_text(char text[16], double time_ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    while (time_ns >= 999.5 && unit < 3) {
        time_ns /= 1000;
        unit++;
    }
    (void)snprintf(text, 16, "%.*f %s",
                   time_ns >= 99.95 || unit == 0 ? 0
                   : time_ns >= 9.995            ? 1
                                                 : 2,
                   time_ns, units[unit]);
    return text;
}

/* A strip of blocks, higher for longer: the shape of the last periods, scaled to what they hold. */
static void draw_strip(char *text, size_t size)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint32_t count = live.strip_count < STRIP_SIZE ? live.strip_count : STRIP_SIZE;
    uint8_t low = 255, high = 0;
    for (uint32_t i = 0; i < count; i++) {
        low = live.strip[i] < low ? live.strip[i] : low;
        high = live.strip[i] > high ? live.strip[i] : high;
    }
    size_t at = 0;
    uint32_t range = high - low > 8 ? (uint32_t)(high - low) : 8; /* a factor of two fills the height at least */
    for (uint32_t i = 0; i < count && at + 4 < size; i++) {
        uint32_t from = live.strip_count - count + i;
        uint32_t level = (uint32_t)(live.strip[from % STRIP_SIZE] - low) * 7 / range;
        at += (size_t)snprintf(text + at, size - at, "%s", blocks[level]);
    }
    text[at] = 0;
}

static void gather(struct dw_bench_record *const *records, uint32_t count, bool is_open_loop)
{
    dw_bench_histogram_clear(&live.now);
    for (uint32_t i = 0; i < count; i++)
        dw_bench_histogram_merge(&live.now, is_open_loop ? &records[i]->intended : &records[i]->issue);
    dw_bench_histogram_clear(&live.step);
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) {
        uint64_t now = dw_bench_get(&live.now.buckets[i]), before = dw_bench_get(&live.before.buckets[i]);
        dw_bench_set(&live.step.buckets[i], now > before ? now - before : 0);
        if (now > before) {
            dw_bench_add(&live.step.count, now - before);
            dw_bench_set(&live.step.max, dw_bench_bucket_high(i));
        }
    }
    memcpy(&live.before, &live.now, sizeof live.now);
}

static void show_line(const struct dw_bench_run *run, const struct dw_bench_contender *contender, uint32_t round,
                      double seconds)
{
    char p50[16], p99[16], p999[16], max[16], strip[STRIP_SIZE * 4 + 1], line[512];
    draw_strip(strip, sizeof strip);
    struct winsize window = {0};
    bool is_wide = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_col >= 130;
    double rate = seconds > 0 ? (double)dw_bench_get(&live.step.count) / seconds : 0;
    int size = snprintf(line, sizeof line, "\r%u/%u %-16.24s %9.0f/s  p50 %8s  p99 %8s  p99.9 %8s  max %8s %s\033[K",
                        round + 1, run->rounds, contender->label, rate,
                        dw_bench_time_text(p50, (double)dw_bench_percentile(&live.step, 50)),
                        dw_bench_time_text(p99, (double)dw_bench_percentile(&live.step, 99)),
                        dw_bench_time_text(p999, (double)dw_bench_percentile(&live.step, 99.9)),
                        dw_bench_time_text(max, (double)dw_bench_get(&live.step.max)), is_wide ? strip : "");
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1) > 0)
        live.is_line_shown = true;
}

/* Another contender, or fewer samples than at the last look. */
static bool is_new_slice(const struct dw_bench_contender *contender, struct dw_bench_record *const *records,
                         uint32_t count)
{
    uint64_t recorded = 0;
    for (uint32_t i = 0; i < count; i++)
        recorded += dw_bench_get(&records[i]->issue.count);
    bool is_other = live.contender != contender;
    live.contender = contender;
    if (is_other)
        live.strip_count = 0;
    return is_other || recorded < dw_bench_get(&live.before.count);
}

void dw_bench_live_show(struct dw_bench_run *run, const struct dw_bench_contender *contender, uint32_t round,
                        struct dw_bench_record *const *records, uint32_t count)
{
    uint64_t now_ns = dw_bench_real_clock.now(NULL);
    if (run->is_quiet || !isatty(STDERR_FILENO) || now_ns - live.shown_ns < PERIOD_NS)
        return;
    double seconds = (double)(now_ns - live.shown_ns) / 1e9;
    live.shown_ns = now_ns;
    if (is_new_slice(contender, records, count)) { /* its first rate would be of the time before it as well */
        dw_bench_histogram_clear(&live.before);
        gather(records, count, contender->load.rate > 0);
        return;
    }
    gather(records, count, contender->load.rate > 0);
    if (dw_bench_get(&live.step.count) == 0)
        return;
    live.strip[live.strip_count++ % STRIP_SIZE] =
        (uint8_t)(dw_bench_bucket_of(dw_bench_percentile(&live.step, 99)) >> DW_BENCH_ROW_SHIFT);
    show_line(run, contender, round, seconds);
}

void dw_bench_live_round(const struct dw_bench_run *run, const struct dw_bench_contender *contender, uint32_t round)
{
    if (run->is_quiet || isatty(STDERR_FILENO))
        return;
    char p50[16], p99[16], max[16];
    const struct dw_bench_round *values = &contender->rounds[round];
    fprintf(stderr, "round %u/%u  %-24s %9.0f/s  p50 %8s  p99 %8s  max %8s\n", round + 1, run->rounds, contender->label,
            values->values[DW_BENCH_RATE], dw_bench_time_text(p50, values->values[DW_BENCH_P50]),
            dw_bench_time_text(p99, values->values[DW_BENCH_P99]),
            dw_bench_time_text(max, values->values[DW_BENCH_MAX]));
}

void dw_bench_live_end(void)
{
    if (live.is_line_shown && write(STDERR_FILENO, "\r\033[K", 4) < 0)
        return;
    live.is_line_shown = false;
}
