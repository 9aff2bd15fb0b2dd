/* test_store_crash.c - a crash at every moment of a log's life, in many of the states that it may leave: the store loads, every
 * acknowledged block is where it was, what was trimmed stays trimmed, and the log goes on; also after a second crash in the
 * middle of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/sim.h"
#include "tests/lib/store_kit.h"

enum { BLOCKS_MAX = 4096, CHOICES_MAX = 65536 };
#ifdef DW_SANITIZED
enum { STATES_PER_EVENT = 6, NESTED_EVERY = 211 };
#else
enum { STATES_PER_EVENT = 40, NESTED_EVERY = 41 };
#endif

static char current[128]; /* which crash state is being looked at */

/* What was promised by the first `event` events. */
struct promise {
    bool is_created;
    bool is_written[BLOCKS_MAX];
    uint64_t trim_least, trim_most;
};

static void learn(struct promise *promise, struct dw_disk *disk, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        const struct dw_sim_event *event = dw_sim_event_at(disk, i);
        if (event->kind != DW_SIM_MARK)
            continue;
        if (event->mark == DW_KIT_MARK_CREATED)
            promise->is_created = true;
        if (event->mark == DW_KIT_MARK_BLOCK)
            promise->is_written[event->value] = true;
        if (event->mark == DW_KIT_MARK_TRIM_BEGIN)
            promise->trim_most = event->value;
        if (event->mark == DW_KIT_MARK_TRIM_END)
            promise->trim_least = event->value;
    }
}

static void check_blocks(struct dw_kit *kit, const struct promise *promise, const char *when)
{
    const struct dw_geometry *geometry = &kit->create.geometry;
    uint64_t trim = dw_store_first(kit->store);
    for (uint64_t block = dw_block_of_lsn(geometry, trim); block < BLOCKS_MAX; block++) {
        if (!promise->is_written[block])
            continue;
        uint32_t number = dw_volume_of_block(geometry, block);
        if (dw_store_first_from(kit->store, number) != number)
            fail_msg("%s, %s: volume %u is not part of the log", current, when, number);
        if (!dw_kit_block_is_sound(kit, block))
            fail_msg("%s, %s: block %llu is lost", current, when, (unsigned long long)block);
    }
}

/* No crash leaves a volume without both its headers, or a blank that is not whole. */
static void check_files(struct dw_kit *kit)
{
    for (size_t i = 0; i < dw_store_volume_count(kit->store); i++) {
        const struct dw_volume *volume = dw_store_volume_at(kit->store, i);
        if (volume->header_verdict != DW_DECODED_OK || !volume->is_header_doubled)
            fail_msg("%s: volume %u: header %s", current, volume->number, dw_decoded_text(volume->header_verdict));
    }
    if (dw_store_stranger_count(kit->store) != 0)
        fail_msg("%s: %s is none of ours", current, dw_store_stranger_at(kit->store, 0));
}

/* Load what the crash left, compare with the promise, recover, go on for a while. */
static void check_image(struct dw_disk *image, const struct promise *promise, bool is_cut)
{
    struct dw_kit kit;
    dw_kit_init(&kit, image, 64);
    kit.marked = image;
    int result = dw_kit_load(&kit);
    if (result == DWAL_ENOLOG && !promise->is_created) {
        assert_int_equal(dw_kit_create(&kit), 0);
        result = dw_kit_load(&kit);
    }
    if (result != 0)
        fail_msg("%s does not load: %s", current, dwal_last_error()->text);
    check_files(&kit);
    uint64_t trim = dw_store_first(kit.store);
    assert_true(trim >= promise->trim_least);
    assert_true(trim <= promise->trim_most);
    check_blocks(&kit, promise, "after load");
    if (dw_kit_recover(&kit, is_cut) != 0)
        fail_msg("%s does not settle: %s", current, dwal_last_error()->text);
    check_blocks(&kit, promise, "after settle");
    dw_kit_settle_down(&kit);
    assert_int_equal(kit.failure_calls, 0);
    assert_non_null(dw_store_next(kit.store));
    check_blocks(&kit, promise, "after the maker");
    dw_kit_abandon(&kit);
}

static void describe(struct dw_sim_crash *crash, const uint32_t *picks)
{
    static char text[4000];
    dw_sim_crash_describe(crash, picks, text, sizeof text);
    printf("%s\n", text);
}

static uint64_t walk(struct dw_disk *disk, const struct promise *before, uint32_t states, uint32_t nested_every,
                     const struct dw_sim_crash_options *options)
{
    static uint32_t picks[2][CHOICES_MAX];
    uint32_t *mine = picks[nested_every == 0];
    struct dw_sim_crash *crash;
    assert_int_equal(dw_sim_crash_create(disk, options, &crash), 0);
    struct promise *promise = malloc(sizeof *promise);
    assert_non_null(promise);
    *promise = *before;
    uint64_t count = dw_sim_event_count(disk), checked = 0;
    for (uint64_t event = 0; event <= count; event++) {
        if (event > 0)
            learn(promise, disk, event - 1, event);
        assert_int_equal(dw_sim_crash_seek(crash, event), 0);
        assert_true(dw_sim_crash_choice_count(crash) <= CHOICES_MAX);
        uint64_t possible = dw_sim_crash_state_count(crash);
        for (uint64_t state = 0; state < states && state < possible; state++, checked++) {
            if (possible <= states)
                dw_sim_crash_picks_of_state(crash, state, mine);
            else
                dw_sim_crash_picks_of_seed(crash, state < 2 ? state : state + event * states, mine);
            struct dw_disk *image;
            assert_int_equal(dw_sim_crash_image(crash, mine, state, &image), 0);
            snprintf(current, sizeof current, "event %llu state %llu of %llu", (unsigned long long)event,
                     (unsigned long long)state, (unsigned long long)possible);
            if (getenv("DW_VERBOSE"))
                describe(crash, mine);
            check_image(image, promise, (event + state) % 2 == 0);
            if (nested_every != 0 && checked % nested_every == 0)
                checked += walk(image, promise, 3, 0, options);
            image->ops->close(image);
        }
    }
    free(promise);
    dw_sim_crash_close(crash);
    return checked;
}

/* A life with everything in it. The trim comes before the maker, so that volumes are recycled and not only unlinked. */
static void live(struct dw_disk *disk, uint32_t fill_mode, bool is_kept)
{
    struct dw_kit kit;
    dw_kit_init(&kit, disk, 64);
    kit.marked = disk;
    kit.create.fill_mode = fill_mode;
    kit.options.keep_retired = is_kept;
    const struct dw_geometry *geometry = &kit.create.geometry;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    for (uint32_t number = 0; number < 3; number++) {
        if (number == 1) /* three ahead instead of one */
            dw_store_demand(kit.store, dw_end_lsn_of_volume(geometry, 4));
        dw_kit_settle_down(&kit);
        assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks, 3), 0);
        dw_store_advance(kit.store);
        assert_int_equal(dw_kit_trim(&kit, dw_first_lsn_of_volume(geometry, number) + (number ? 100 : 0)), 0);
    }
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, 2, 3), 0);
    uint64_t end = dw_lsn_of_block(geometry, kit.durable_block);
    assert_int_equal(dw_store_close(kit.store, true, end), 0);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_recover(&kit, true), 0); /* a cut: the claimed volume is abandoned */
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, 1, 3), 0);
    assert_int_equal(kit.failure_calls, 0);
    dw_kit_abandon(&kit);
}

static void crash_everywhere(uint32_t fill_mode, bool is_kept, const struct dw_sim_crash_options *options)
{
    struct dw_disk *disk;
    assert_int_equal(dw_sim_open(NULL, &disk), 0);
    live(disk, fill_mode, is_kept);
    struct promise promise = {0};
    uint64_t checked = walk(disk, &promise, STATES_PER_EVENT, NESTED_EVERY, options);
    printf("%llu events, %llu crash states\n", (unsigned long long)dw_sim_event_count(disk),
           (unsigned long long)checked);
    disk->ops->close(disk);
}

static void a_crash_anywhere_leaves_a_log_that_goes_on(void **state)
{
    (void)state;
    crash_everywhere(DWAL_FILL_ZERO, false, NULL);
}

static void a_crash_anywhere_with_recycling_and_any_names_leaves_a_log_that_goes_on(void **state)
{
    (void)state;
    struct dw_sim_crash_options options = {.is_name_subset = true, .garbled = 3};
    crash_everywhere(DWAL_FILL_ALLOCATE, true, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_anywhere_leaves_a_log_that_goes_on),
        cmocka_unit_test(a_crash_anywhere_with_recycling_and_any_names_leaves_a_log_that_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
