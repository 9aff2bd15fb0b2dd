/* indexed_model.c - the lives of the model: see indexed_model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "tests/lib/indexed_model_internal.h"

static uint64_t clock_now(void *context)
{
    uint64_t *now = context;
    return *now += 1000;
}

static uint64_t now_ns = 1;
static const struct dw_clock model_clock = {clock_now, clock_now, &now_ns};

/* ---- the log on its disk ---- */

static int open_base(void *context, const struct dwal_options *options, dwal **base)
{
    struct dw_model *m = context;
    struct dw_log_setup setup = {
        .disk = m->disk, .clock = &model_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    int result = dw_log_open_on(&setup, options, base);
    m->base = *base;
    return result;
}

static void draw_options(struct dw_model *m)
{
    m->options = (struct dwal_options)DWAL_OPTIONS_INIT;
    m->options.volume_size = (8 + dw_model_draw(m, 12)) * 4096;
    m->options.ring_size = dw_model_draw(m, 2) ? 65536 : 131072;
    m->options.write_size_max = 4096u << dw_model_draw(m, 3);
    m->options.in_flight_writes = 1 + (uint32_t)dw_model_draw(m, 4);
    m->options.blanks = 1 + (uint32_t)dw_model_draw(m, 2);
    m->options.fill = dw_model_draw(m, 2) ? DWAL_FILL_ZERO : DWAL_FILL_ALLOCATE;
    m->options.marker_delay_ms = UINT32_MAX;
    m->options.backend = dw_model_draw(m, 4) ? "sim" : "sync";
    if (dw_model_draw(m, 3) == 0)
        m->options.toc_length =
            40 + 24 * (uint32_t)dw_model_draw(m, 8); /* too little for all: coarse, or none at all */
}

static struct dwal_indexed_options indexed_options(struct dw_model *m, struct dwal_options *base)
{
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    *base = m->options;
    options.base = base;
    options.recent = 1u << dw_model_draw(m, 10); /* small, so that the indexes are used */
    options.tables = 1 + (uint32_t)dw_model_draw(m, 3);
    return options;
}

static void create(struct dw_model *m)
{
    static const uint8_t log_id[16] = {1, 2, 3};
    struct dwal_options base, made;
    draw_options(m);
    dw_assert(dw_sim_open(&(struct dw_sim_options){.seed = m->random, .complete_percent = 50}, &m->disk) == 0);
    struct dwal_indexed_options options = indexed_options(m, &base);
    if (dw_indexed_base_options(&options, &made) < 0 ||
        dw_log_create_on(m->disk, &model_clock, log_id, 0x87654321u, &made) < 0)
        dw_model_differs(m, "create failed");
    m->options.blanks = 0;
    m->contents[0] = (struct dw_model_content){.first = 1};
}

/* ---- lives ---- */

static void open_log(struct dw_model *m)
{
    struct dwal_options base;
    struct dwal_indexed_options options = indexed_options(m, &base);
    m->base = NULL;
    int result = dw_indexed_open_with(open_base, m, &options, true, &m->log);
    if (result < 0)
        dw_model_differs(m, "open answered %s", dwal_error_name(result));
    struct dwal_indexed_stats stats = {.size = sizeof stats};
    dw_model_must(m, dwal_indexed_get_stats(m->log, &stats), "stats");
    m->counts->scanned += stats.records_scanned;
    m->counts->restored += stats.records_scanned == 0;
}

static void count_life(struct dw_model *m)
{
    struct dwal_indexed_stats stats = {.size = sizeof stats};
    dw_model_must(m, dwal_indexed_get_stats(m->log, &stats), "stats");
    m->counts->volumes += stats.volumes;
    m->counts->lives++;
}

/* The next life begins with the content of call `at`. */
static void begin_life(struct dw_model *m, uint32_t at)
{
    m->contents[0] = m->contents[at];
    m->op_count = m->visible = 0;
    m->begun[0] = m->acked[0] = 0;
    m->life++;
}

static int copy_name(void *context, const char *name, uint64_t size)
{
    struct dw_disk **disks = context;
    struct dw_file *from, *to;
    uint8_t *bytes;
    size_t done;
    dw_assert(disks[0]->ops->open(disks[0], name, DW_OPEN_READ, &from) == 0);
    dw_assert(disks[1]->ops->open(disks[1], name, DW_OPEN_WRITE | DW_OPEN_CREATE, &to) == 0);
    bytes = dw_alloc_io(size + 4096, 4096);
    dw_assert(bytes && (size == 0 || (dw_file_read(from, bytes, size, 0, &done) == 0 && done == size)));
    dw_assert(size == 0 || dw_file_write(to, bytes, size, 0) == 0);
    dw_assert(dw_file_sync(to) == 0);
    dw_free_io(bytes);
    dw_file_close(from);
    dw_file_close(to);
    return 0;
}

/* What is on `image` onto a disk of its own, whose history begins there. */
static void move_to_new_disk(struct dw_model *m, struct dw_disk *image)
{
    struct dw_disk *disks[2] = {image, NULL};
    dw_assert(dw_sim_open(&(struct dw_sim_options){.seed = m->random, .complete_percent = 50}, &disks[1]) == 0);
    dw_assert(image->ops->list(image, copy_name, disks) == 0);
    dw_assert(disks[1]->ops->sync_names(disks[1]) == 0);
    m->begin_event = dw_sim_event_count(disks[1]);
    m->disk = disks[1];
}

/* Take one of the states that a crash at some event of this life may leave. Returns the range of calls that it may show. */
static void crash(struct dw_model *m, uint32_t *low, uint32_t *high)
{
    struct dw_sim_crash *walker;
    struct dw_disk *image, *old = m->disk;
    uint64_t count = dw_sim_event_count(old) - m->begin_event;
    uint64_t back = dw_model_draw(m, 3) ? dw_model_draw(m, 60) : dw_model_draw(m, count + 1);
    uint64_t event = m->begin_event + count - (back < count ? back : count);
    dw_assert(dw_sim_crash_create(old, &(struct dw_sim_crash_options){0}, &walker) == 0);
    dw_assert(dw_sim_crash_seek(walker, event) == 0);
    uint32_t *picks = calloc(dw_sim_crash_choice_count(walker) + 1, sizeof *picks);
    dw_assert(picks);
    dw_sim_crash_picks_of_seed(walker, dw_model_draw(m, 1000), picks);
    dw_assert(dw_sim_crash_image(walker, picks, m->random, &image) == 0);
    move_to_new_disk(m, image);
    image->ops->close(image);
    free(picks);
    dw_sim_crash_close(walker);
    old->ops->close(old);
    *low = *high = 0;
    for (uint32_t i = 0; i <= m->op_count; i++) {
        if (m->acked[i] <= event)
            *low = i;
        if (m->begun[i] <= event)
            *high = i;
    }
}

static void reopen_after_crash(struct dw_model *m)
{
    uint32_t low, high;
    dwal *base = m->base;
    m->counts->failed += m->has_failed;
    m->is_faulty = m->has_failed = false;
    dw_indexed_abandon(m->log);
    dw_log_abandon(base);
    crash(m, &low, &high);
    open_log(m);
    for (uint32_t i = low; i <= high; i++)
        if (dw_model_log_is(m, &m->contents[i])) {
            m->counts->unacked_kept += i - low;
            m->counts->unacked_lost += high - i;
            m->counts->crashes++;
            begin_life(m, i);
            return;
        }
    uint64_t first, last;
    (void)dwal_indexed_bounds(m->log, &first, &last);
    dw_model_differs(m,
                     "after a crash the log has %" PRIu64 " to %" PRIu64 ", which is none of calls %u (%" PRIu64
                     " to %" PRIu64 ") to %u (%" PRIu64 " to %" PRIu64 ")",
                     first, last, low, m->contents[low].first, m->contents[low].last, high, m->contents[high].first,
                     m->contents[high].last);
}

static void reopen_after_close(struct dw_model *m)
{
    dw_model_must(m, dwal_indexed_close(m->log), "close");
    dw_model_acknowledge(m);
    struct dw_disk *old = m->disk;
    if (dw_model_draw(m, 2)) {
        move_to_new_disk(m, old);
        old->ops->close(old);
    } else {
        m->begin_event = dw_sim_event_count(m->disk);
    }
    open_log(m);
    m->counts->clean++;
    begin_life(m, m->op_count);
    dw_model_check_all(m, dw_model_now(m));
}

/* A write will fail, once and for good: the log stops, and what it acknowledged before must be there. */
static void plan_fault(struct dw_model *m)
{
    static const enum dw_sim_fault_kind kinds[] = {DW_SIM_FAULT_WRITE, DW_SIM_FAULT_WRITE_DONE, DW_SIM_FAULT_SYNC};
    m->is_faulty = true;
    dw_sim_fault(m->disk, &(struct dw_sim_fault){.kind = kinds[dw_model_draw(m, 3)],
                                                 .at = 1 + dw_model_draw(m, 150),
                                                 .is_sticky = dw_model_draw(m, 2)});
}

static void live(struct dw_model *m, uint64_t operations)
{
    if (dw_model_draw(m, 8) == 0)
        plan_fault(m);
    uint64_t calls = 1 + dw_model_draw(m, dw_model_draw(m, 4) ? OPS_MAX / 4 : OPS_MAX);
    for (uint64_t i = 0; i < calls && m->counts->operations < operations && m->op_count < OPS_MAX && !m->has_failed;
         i++)
        dw_model_call(m);
    if (!m->has_failed)
        dw_model_check_cursor(m, &m->contents[m->visible], m->contents[m->visible].first, WINDOW);
    count_life(m);
}

void dw_indexed_model_run(uint64_t seed, uint64_t operations, struct dw_indexed_model_counts *counts)
{
    struct dw_model *m = calloc(1, sizeof *m);
    *counts = (struct dw_indexed_model_counts){0};
    dw_assert(m);
    m->seed = m->random = seed;
    m->counts = counts;
    m->bytes = malloc(SIZE_MAX_ENTRY);
    dw_assert(m->bytes);
    while (counts->operations < operations) {
        create(m);
        begin_life(m, 0);
        m->begin_event = dw_sim_event_count(m->disk);
        open_log(m);
        for (int lives = 0; lives < 60 && counts->operations < operations; lives++) {
            live(m, operations);
            if (dw_model_draw(m, 4) || m->is_faulty)
                reopen_after_crash(m);
            else
                reopen_after_close(m);
        }
        dw_model_must(m, dwal_indexed_close(m->log), "the last close");
        m->disk->ops->close(m->disk);
    }
    free(m->bytes);
    free(m);
}
