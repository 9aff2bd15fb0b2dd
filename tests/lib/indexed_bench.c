/* indexed_bench.c - see indexed_bench.h. */
#include "tests/lib/indexed_bench.h"

#include "io/sim.h"

enum { STEPS_MAX = 100000, BATCH = 7 };

static int open_base(void *context, const struct dwal_options *options, dwal **base)
{
    struct dw_indexed_bench *bench = context;
    struct dw_log_setup setup = {.disk = bench->disk, .is_disk_borrowed = true, .is_single_stepped = true};
    int result = dw_log_open_on(&setup, options, base);
    bench->base = *base;
    return result;
}

static struct dwal_indexed_options bench_options(void)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    struct dwal_options *base = dw_indexed_kit_base();
    base->volume_size = base->blanks = 0;
    base->backend = "sync";
    base->marker_delay_ms = UINT32_MAX;
    return options;
}

int dw_indexed_bench_try_open(struct dw_indexed_bench *bench, const struct dwal_indexed_options *options)
{
    struct dwal_indexed_options standard = bench_options();
    return dw_indexed_open_with(open_base, bench, options ? options : &standard, true, &bench->log);
}

void dw_indexed_bench_open(struct dw_indexed_bench *bench)
{
    if (dw_indexed_bench_try_open(bench, NULL) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
}

void dw_indexed_bench_create(struct dw_indexed_bench *bench, struct dw_disk *disk)
{
    static const uint8_t log_id[16] = {7};
    struct dwal_indexed_options options = dw_indexed_kit_options();
    struct dwal_options base;
    assert_int_equal(dw_indexed_base_options(&options, &base), 0);
    bench->disk = disk;
    assert_int_equal(dw_log_create_on(disk, NULL, log_id, 0x80000001u, &base), 0);
    dw_indexed_bench_open(bench);
}

void dw_indexed_bench_pump(struct dw_indexed_bench *bench)
{
    for (int idle = 0, i = 0; i < STEPS_MAX && idle < 4; i++) {
        bool is_flushed = dw_log_step_flusher(bench->base), is_made = dw_log_step_maker(bench->base);
        idle = is_flushed || is_made ? 0 : idle + 1;
    }
}

void dw_indexed_bench_store(struct dw_indexed_bench *bench, uint64_t from, uint64_t to)
{
    static uint8_t bytes[BATCH][DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_entry entries[BATCH];
    while (from <= to) {
        size_t count = 0;
        for (; count < BATCH && from + count <= to; count++)
            entries[count] = (struct dwal_indexed_entry){.index = from + count,
                                                         .data = bytes[count],
                                                         .size = dw_indexed_kit_bytes(from + count, 0, bytes[count])};
        int result = dwal_indexed_store(bench->log, entries, count);
        if (result == 0)
            from += count;
        else if (result == DWAL_EFULL)
            dw_indexed_bench_pump(bench);
        else
            fail_msg("store: %s", dwal_last_error()->text);
    }
}

void dw_indexed_bench_crash(struct dw_indexed_bench *bench)
{
    dwal *base = bench->base;
    dw_indexed_abandon(bench->log);
    dw_log_abandon(base);
    bench->log = NULL;
    bench->base = NULL;
}

struct dw_disk *dw_indexed_bench_sim(void)
{
    struct dw_disk *disk;
    assert_int_equal(dw_sim_open(NULL, &disk), 0);
    return disk;
}

uint32_t dw_indexed_bench_volumes(dwal *base, bool is_full)
{
    struct dwal_volume volume = {.size = sizeof volume};
    uint32_t count = 0;
    for (uint32_t number = 0; dwal_volume_from(base, number, &volume) == 0; number = volume.number + 1)
        count += volume.is_full == is_full;
    return count;
}
