/* test_sim_enumeration.c - the simulated disk's crash images against a second, slower definition of what may survive.
 *
 * Random histories of ordinary and durable writes in flight, completions in any order and syncs, on four sectors. For
 * each moment and sector the values that may be found are worked out from the definition alone: the value of a write
 * may be there if the write had begun, unless a later event made a newer value durable. The walker must list exactly
 * the product of these sets: each state once, none missing, none impossible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/crash_disk.h"

#define SECTORS 4u
#define WRITES  12u
#define NEVER   UINT64_MAX

struct write_made {
    uint64_t first, count, issued, completed; /* events */
    uint8_t value;
    bool is_durable;
};
struct history {
    struct write_made writes[WRITES];
    size_t write_count;
    uint64_t syncs[WRITES];
    size_t sync_count;
};

static bool covers(const struct write_made *write, uint64_t sector)
{
    return sector >= write->first && sector < write->first + write->count;
}

/* The event from which on this write's value is durable in its sectors, seen from event `now`; NEVER: not yet. */
static uint64_t durable_from(const struct history *history, const struct write_made *write, uint64_t now)
{
    if (write->completed >= now)
        return NEVER;
    if (write->is_durable)
        return write->completed;
    for (size_t i = 0; i < history->sync_count; i++) {
        if (history->syncs[i] > write->completed && history->syncs[i] < now)
            return history->syncs[i];
    }
    return NEVER;
}

/* Is `write` gone for good from `sector` because a newer one is durable there? */
static bool is_superseded(const struct history *history, const struct write_made *write, uint64_t sector, uint64_t now)
{
    for (size_t i = 0; i < history->write_count; i++) {
        const struct write_made *newer = &history->writes[i];
        if (newer == write || !covers(newer, sector))
            continue;
        uint64_t since = durable_from(history, newer, now);
        if (since != NEVER && write->completed < newer->completed && write->completed < since)
            return true;
    }
    return false;
}

static unsigned possible(const struct history *history, uint64_t sector, uint64_t now)
{
    unsigned values = 0;
    bool is_any_durable = false;
    for (size_t i = 0; i < history->write_count; i++) {
        const struct write_made *write = &history->writes[i];
        if (!covers(write, sector) || write->issued >= now)
            continue;
        is_any_durable = is_any_durable || durable_from(history, write, now) != NEVER;
        if (!is_superseded(history, write, sector, now))
            values |= 1u << write->value;
    }
    return is_any_durable ? values : values | 1u; /* 1 << 0: the zeros it began with */
}

static void compare(struct dw_sim_crash *crash, const struct history *history, uint64_t now, uint64_t *states)
{
    unsigned sets[SECTORS];
    uint64_t product = 1;
    for (uint64_t i = 0; i < SECTORS; i++) {
        sets[i] = possible(history, i, now);
        product *= (uint64_t)__builtin_popcount(sets[i]);
    }
    assert_int_equal(dw_sim_crash_seek(crash, now), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), product);
    uint64_t *seen = calloc(product, sizeof *seen);
    for (uint64_t state = 0; state < product; state++) {
        struct dw_disk *image = dw_crash_image(crash, now, state, false);
        for (uint64_t i = 0; i < SECTORS; i++) {
            int value = dw_crash_get(image, "f", i);
            assert_true(value >= 0 && (sets[i] >> value & 1));
        }
        seen[state] = dw_sim_fingerprint(image);
        for (uint64_t k = 0; k < state; k++)
            assert_true(seen[k] != seen[state]);
        dw_crash_drop(image);
    }
    free(seen);
    *states += product;
}

struct run {
    struct dw_disk *disk;
    struct dw_file *file;
    struct dw_queue *queue;
    struct dw_request requests[WRITES];
    uint8_t (*bytes)[SECTORS * DW_CRASH_SECTOR];
    size_t in_flight[WRITES]; /* writes, as the disk lists them */
};

static void begin_write(struct run *run, struct history *history, uint64_t draw)
{
    size_t index = history->write_count++;
    struct write_made *write = &history->writes[index];
    write->first = draw % SECTORS;
    write->count = 1 + draw / 7 % (SECTORS - write->first);
    write->value = (uint8_t)(index + 1);
    write->is_durable = draw & 64;
    write->issued = dw_sim_event_count(run->disk);
    write->completed = NEVER;
    memset(run->bytes[index], write->value, sizeof run->bytes[index]);
    run->requests[index] = (struct dw_request){.file = run->file,
                                               .bytes = run->bytes[index],
                                               .size = write->count * DW_CRASH_SECTOR,
                                               .offset = write->first * DW_CRASH_SECTOR,
                                               .is_durable = write->is_durable};
    run->in_flight[dw_sim_flight_count(run->disk)] = index;
    run->queue->ops->submit(run->queue, &run->requests[index]);
}

static void end_write(struct run *run, struct history *history, uint64_t draw)
{
    size_t count = dw_sim_flight_count(run->disk);
    if (count == 0)
        return;
    size_t which = draw % count;
    history->writes[run->in_flight[which]].completed = dw_sim_event_count(run->disk);
    memmove(run->in_flight + which, run->in_flight + which + 1, (count - which - 1) * sizeof *run->in_flight);
    dw_sim_complete(run->disk, which);
    run->queue->ops->reap(run->queue, false);
}

static void make_history(struct run *run, struct history *history, unsigned seed)
{
    srand(seed);
    while (history->write_count < WRITES || dw_sim_flight_count(run->disk)) {
        uint64_t draw = (uint64_t)rand();
        if (draw % 16 < 6 && history->write_count < WRITES && run->queue->in_flight < run->queue->depth) {
            begin_write(run, history, draw / 16);
        } else if (draw % 16 < 14) {
            end_write(run, history, draw / 16);
        } else if (history->sync_count < WRITES) {
            history->syncs[history->sync_count++] = dw_sim_event_count(run->disk);
            assert_int_equal(dw_file_sync(run->file), 0);
        }
    }
}

static void every_state_is_listed_exactly_once(void **state)
{
    (void)state;
    uint64_t states = 0, moments = 0;
    for (unsigned seed = 1; seed <= 150; seed++) {
        struct run run = {.disk = dw_crash_disk(&(struct dw_sim_options){.is_manual = true, .seed = seed})};
        struct dw_queue_options options = {.kind = "sim", .depth = 3};
        struct history history = {0};
        run.bytes = aligned_alloc(4096, WRITES * sizeof *run.bytes);
        run.file = dw_crash_file(run.disk, "f", DW_OPEN_WRITE | DW_OPEN_CREATE);
        assert_int_equal(run.disk->ops->allocate(run.file, SECTORS * DW_CRASH_SECTOR), 0);
        assert_int_equal(dw_file_sync(run.file), 0);
        assert_int_equal(run.disk->ops->sync_names(run.disk), 0);
        uint64_t from = dw_sim_event_count(run.disk);
        assert_int_equal(run.disk->ops->queue_create(run.disk, &options, &run.queue), 0);
        make_history(&run, &history, seed);
        run.queue->ops->close(run.queue);
        struct dw_sim_crash *crash;
        assert_int_equal(dw_sim_crash_create(run.disk, NULL, &crash), 0);
        for (uint64_t now = from; now <= dw_sim_event_count(run.disk); now++, moments++)
            compare(crash, &history, now, &states);
        dw_sim_crash_close(crash);
        dw_file_close(run.file);
        dw_crash_drop(run.disk);
        free(run.bytes);
    }
    print_message("%llu moments, %llu states, each exactly once\n", (unsigned long long)moments,
                  (unsigned long long)states);
    assert_true(states > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_is_listed_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
