/* test_store_load.c - what loading finds: nothing, half a log, strangers, damage; how much it reads, and that it writes nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "core/store/names.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/store_kit.h"

struct subject {
    struct dw_disk *sim, *disk;
    struct dw_kit kit;
};

static struct subject subject;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(dw_sim_open(NULL, &subject.sim), 0);
    assert_int_equal(dw_fault_open(subject.sim, true, &subject.disk), 0);
    dw_kit_init(&subject.kit, subject.disk, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_kit_abandon(&subject.kit);
    subject.disk->ops->close(subject.disk);
    return 0;
}

static void make_log(uint32_t volumes)
{
    assert_int_equal(dw_kit_create(&subject.kit), 0);
    assert_int_equal(dw_kit_start(&subject.kit), 0);
    for (uint32_t i = 0; i < volumes; i++)
        assert_int_equal(dw_kit_roll(&subject.kit), 0);
    dw_kit_abandon(&subject.kit);
}

static void put_file(const char *name, uint64_t size)
{
    struct dw_file *file;
    assert_int_equal(subject.sim->ops->open(subject.sim, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    if (size)
        assert_int_equal(subject.sim->ops->allocate(file, size), 0);
    dw_file_close(file);
}

static void an_empty_directory_has_no_log(void **state)
{
    (void)state;
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_ENOLOG);
    put_file("something else", 4096);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_ENOLOG);
}

static void volumes_without_a_superblock_are_lost_and_cannot_be_created_over(void **state)
{
    (void)state;
    make_log(1);
    assert_int_equal(dw_sim_remove(subject.sim, "dwal.super"), 0);
    uint64_t before = dw_sim_fingerprint(subject.sim);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_ELOST);
    assert_int_equal(dw_kit_create(&subject.kit), DWAL_EEXIST);
    assert_true(dw_sim_fingerprint(subject.sim) == before);
}

static void an_only_volume_with_a_record_is_not_taken_for_an_interrupted_creation(void **state)
{
    (void)state;
    assert_int_equal(dw_kit_create(&subject.kit), 0);
    assert_int_equal(dw_kit_start(&subject.kit), 0);
    assert_int_equal(dw_kit_fill(&subject.kit, 12, 13, 1), 0); /* in its last block */
    dw_kit_abandon(&subject.kit);
    assert_int_equal(dw_sim_remove(subject.sim, "dwal.super"), 0);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_ELOST);
    assert_int_equal(dw_kit_create(&subject.kit), DWAL_EEXIST);
}

static void an_interrupted_creation_is_no_log_and_is_swept_by_the_next_one(void **state)
{
    (void)state;
    assert_int_equal(dw_kit_create(&subject.kit), 0);
    assert_int_equal(dw_sim_remove(subject.sim, "dwal.super"), 0);
    put_file("dwal.tmp.super", 4096);
    put_file("dwal.tmp.blank", 4096);
    put_file("017.bvl", 4096);
    put_file("notes.txt", 10);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_ENOLOG);
    assert_int_equal(dw_kit_create(&subject.kit), 0);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_false(dw_sim_peek(subject.sim, "dwal.tmp.super", 0, NULL, 0));
    assert_false(dw_sim_peek(subject.sim, "dwal.tmp.blank", 0, NULL, 0));
    assert_false(dw_sim_peek(subject.sim, "017.bvl", 0, NULL, 0));
    assert_true(dw_sim_peek(subject.sim, "notes.txt", 0, NULL, 0));
}

static void a_creation_that_another_process_is_in_the_middle_of_is_left_alone(void **state)
{
    (void)state;
    struct dw_file *file;
    const struct dw_disk_ops *ops = subject.sim->ops;
    assert_int_equal(ops->open(subject.sim, "dwal.tmp.blank", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    assert_int_equal(ops->lock(file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(dw_kit_create(&subject.kit), DWAL_EBUSY);
    assert_true(dw_sim_peek(subject.sim, "dwal.tmp.blank", 0, NULL, 0));
    dw_file_close(file);
    assert_int_equal(dw_kit_create(&subject.kit), 0);
}

static void load_reads_two_times_a_volume_and_the_superblock_once(void **state)
{
    (void)state;
    for (uint32_t volumes = 1; volumes <= 9; volumes += 4) {
        set_up(NULL);
        make_log(volumes);
        subject.kit.options.is_read_only = true;
        uint64_t before = dw_fault_count(subject.disk, DW_FAULT_READ);
        assert_int_equal(dw_kit_load(&subject.kit), 0);
        size_t rows = dw_store_volume_count(subject.kit.store);
        assert_int_equal(rows, volumes + 2);
        assert_int_equal(dw_fault_count(subject.disk, DW_FAULT_READ) - before, 1 + 2 * rows);
        assert_int_equal(dw_store_read_count(subject.kit.store), 1 + 2 * rows);
        tear_down(NULL);
    }
    set_up(NULL);
}

static void helpers_find_the_same_as_one_thread(void **state)
{
    (void)state;
    enum { VOLUMES = 60 };
    make_log(VOLUMES);
    struct dw_sim_damage rot = {.kind = DW_SIM_GARBAGE, .name = "0000000017.vol", .size = 4096, .seed = 3};
    assert_int_equal(dw_sim_damage(subject.sim, &rot), 0);
    struct dw_kit other;
    dw_kit_init(&other, subject.disk, 0);
    subject.kit.options.is_read_only = other.options.is_read_only = true;
    other.options.load_threads = DW_LOAD_THREADS;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_kit_load(&other), 0);
    assert_int_equal(dw_store_read_count(other.store), dw_store_read_count(subject.kit.store));
    assert_int_equal(dw_store_volume_count(other.store), VOLUMES + 2);
    for (size_t i = 0; i < VOLUMES + 2; i++) {
        const struct dw_volume *a = dw_store_volume_at(subject.kit.store, i);
        const struct dw_volume *b = dw_store_volume_at(other.store, i);
        assert_int_equal(a->number, b->number);
        assert_int_equal(a->header_verdict, b->header_verdict);
        assert_int_equal(a->is_header_doubled, i != 17);
        assert_int_equal(b->is_header_doubled, i != 17);
        assert_int_equal(a->is_sealed, b->is_sealed);
        assert_memory_equal(&a->header, &b->header, sizeof a->header);
        assert_memory_equal(&a->toc, &b->toc, sizeof a->toc);
        uint64_t end_a, end_b;
        assert_int_equal(dw_store_successor(subject.kit.store, a->number, &end_a),
                         dw_store_successor(other.store, b->number, &end_b));
        assert_true(end_a == end_b);
    }
    dw_kit_abandon(&other);
}

static void without_memory_or_descriptors_for_helpers_the_load_is_told_or_done(void **state)
{
    (void)state;
    make_log(60);
    subject.kit.options.load_threads = DW_LOAD_THREADS;
    for (uint64_t at = 1; at < 60; at++) {
        dw_alloc_fail_at(at, true);
        int result = dw_kit_load(&subject.kit);
        dw_alloc_fail_at(0, false);
        if (result == 0) {
            assert_int_equal(dw_store_volume_count(subject.kit.store), 62);
            dw_kit_abandon(&subject.kit);
        } else {
            assert_int_equal(result, DWAL_EMEMORY);
        }
    }
    struct dw_fault_rule rule = {
        .kinds = DW_FAULT_OPEN, .at = 20, .is_sticky = true, .error = -EMFILE, .name_start = "00000000"};
    dw_fault_add(subject.disk, &rule);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_EDEVICE);
    assert_int_equal(dwal_last_error()->system_code, EMFILE);
    dw_fault_clear(subject.disk);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
}

static void a_volume_that_goes_away_between_list_and_open_is_not_there(void **state)
{
    (void)state;
    make_log(3);
    struct dw_fault_rule rule = {.kinds = DW_FAULT_OPEN, .at = 1, .error = -ENOENT, .name_start = "0000000000"};
    dw_fault_add(subject.disk, &rule);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_null(dw_store_find(subject.kit.store, 0));
    assert_int_equal(dw_store_first_from(subject.kit.store, 0), 1);
}

static void load_changes_nothing(void **state)
{
    (void)state;
    make_log(3);
    put_file("dwal.tmp.blank", 4096);
    uint64_t before = dw_sim_fingerprint(subject.sim);
    uint64_t changes = dw_fault_count(subject.disk, DW_FAULT_ANY_CHANGE & ~(unsigned)DW_FAULT_OPEN);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    dw_kit_abandon(&subject.kit);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_fault_count(subject.disk, DW_FAULT_ANY_CHANGE & ~(unsigned)DW_FAULT_OPEN), changes);
    assert_true(dw_sim_fingerprint(subject.sim) == before);
}

static void load_leaves_no_file_open_but_the_superblock(void **state)
{
    (void)state;
    make_log(3);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    for (size_t i = 0; i < dw_store_volume_count(subject.kit.store); i++)
        assert_null(dw_store_volume_at(subject.kit.store, i)->file);
}

static void temporaries_are_removed_by_settle_and_only_then(void **state)
{
    (void)state;
    make_log(1);
    char name[48];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "dwal.tmp.%d", i);
        put_file(name, 512);
    }
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_true(dw_sim_peek(subject.sim, name, 0, NULL, 0));
    assert_int_equal(dw_kit_recover(&subject.kit, true), 0);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "dwal.tmp.%d", i);
        assert_false(dw_sim_peek(subject.sim, name, 0, NULL, 0));
    }
}

static void strangers_are_named_warned_about_and_left_alone(void **state)
{
    (void)state;
    make_log(1);
    put_file("1.vol", 4096);
    put_file("2147483648.vol", 4096);
    put_file("123.bvl", 4096); /* a blank's name, not a blank's size */
    put_file("unrelated", 4096);
    uint32_t warnings = subject.kit.warning_calls;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_store_stranger_count(subject.kit.store), 3);
    assert_int_equal(subject.kit.warning_calls - warnings, 3);
    uint32_t blanks = dw_kit_counts(&subject.kit).blanks_ready;
    assert_int_equal(dw_kit_recover(&subject.kit, false), 0);
    dw_kit_settle_down(&subject.kit);
    assert_int_equal(dw_kit_counts(&subject.kit).blanks_ready, blanks);
    assert_true(dw_sim_peek(subject.sim, "123.bvl", 0, NULL, 0));
    assert_true(dw_sim_peek(subject.sim, "1.vol", 0, NULL, 0));
}

static void damaged_headers_are_verdicts_not_failures(void **state)
{
    (void)state;
    make_log(2);
    struct dw_sim_damage one = {.kind = DW_SIM_GARBAGE, .name = "0000000000.vol", .size = 4096, .seed = 1};
    struct dw_sim_damage both = {.kind = DW_SIM_GARBAGE, .name = "0000000001.vol", .size = 8192, .seed = 2};
    struct dw_sim_damage unreadable = {.kind = DW_SIM_UNREADABLE, .name = "0000000002.vol", .size = 512};
    struct dw_sim_damage gone = {.kind = DW_SIM_UNREADABLE, .name = "0000000003.vol", .size = 65536};
    assert_int_equal(dw_sim_damage(subject.sim, &one), 0);
    assert_int_equal(dw_sim_damage(subject.sim, &both), 0);
    assert_int_equal(dw_sim_damage(subject.sim, &unreadable), 0);
    assert_int_equal(dw_sim_damage(subject.sim, &gone), 0);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    const struct dw_volume *volume = dw_store_find(subject.kit.store, 0);
    assert_int_equal(volume->header_verdict, DW_DECODED_OK);
    assert_false(volume->is_header_doubled);
    volume = dw_store_find(subject.kit.store, 1);
    assert_int_equal(volume->header_verdict, DW_DECODED_BAD_MAGIC);
    assert_int_equal(volume->toc_verdict, DW_DECODED_OK);
    volume = dw_store_find(subject.kit.store, 2);
    assert_int_equal(volume->header_verdict, DW_DECODED_OK);
    assert_false(volume->is_header_doubled);
    assert_int_equal(volume->read_error, 0);
    volume = dw_store_find(subject.kit.store, 3);
    assert_int_not_equal(volume->read_error, 0);
}

static void a_short_file_and_a_damaged_toc_are_told(void **state)
{
    (void)state;
    make_log(2);
    assert_int_equal(dw_sim_resize(subject.sim, "0000000000.vol", 20480), 0);
    struct dw_sim_damage rot = {
        .kind = DW_SIM_ROT, .name = "0000000001.vol", .offset = DW_KIT_VOLUME_SIZE - 4096, .size = 512, .bit = 400};
    assert_int_equal(dw_sim_damage(subject.sim, &rot), 0);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    const struct dw_volume *volume = dw_store_find(subject.kit.store, 0);
    assert_int_equal(volume->file_size, 20480);
    assert_int_equal(volume->toc_verdict, DW_DECODED_BAD_MAGIC);
    assert_int_equal(volume->header_verdict, DW_DECODED_OK);
    volume = dw_store_find(subject.kit.store, 1);
    assert_int_equal(volume->toc_verdict, DW_DECODED_BAD_CRC);
    assert_false(volume->is_sealed);
}

static void a_volume_under_another_volumes_name_is_misplaced(void **state)
{
    (void)state;
    make_log(2);
    const struct dw_disk_ops *ops = subject.sim->ops;
    assert_int_equal(ops->unlink(subject.sim, "0000000000.vol"), 0);
    assert_int_equal(ops->rename(subject.sim, "0000000001.vol", "0000000000.vol"), 0);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_store_find(subject.kit.store, 0)->header_verdict, DW_DECODED_MISPLACED);
    assert_null(dw_store_find(subject.kit.store, 1));
}

static void the_chain_follows_predecessors_and_not_numbers(void **state)
{
    (void)state;
    make_log(1); /* 0 and 1, 2 claimed ahead */
    uint32_t abandoned = 2;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(
        dw_kit_cut(&subject.kit, 1, dw_first_lsn_of_volume(&subject.kit.create.geometry, 1), 7, &abandoned, 1), 0);
    dw_kit_settle_down(&subject.kit);
    uint64_t end;
    assert_int_equal(dw_store_successor(subject.kit.store, 0, &end), 1);
    assert_int_equal(end, dw_end_lsn_of_volume(&subject.kit.create.geometry, 0));
    assert_int_equal(dw_store_successor(subject.kit.store, 1, &end), 7);
    assert_int_equal(end, dw_first_lsn_of_volume(&subject.kit.create.geometry, 1));
    assert_int_equal(dw_store_successor(subject.kit.store, 7, &end), 8);
    assert_int_equal(dw_store_successor(subject.kit.store, 8, &end), DW_VOLUME_NUMBER_NONE);
    assert_int_equal(dw_store_successor(subject.kit.store, DW_VOLUME_NUMBER_NONE, &end), DW_VOLUME_NUMBER_NONE);
    assert_int_equal(dw_store_first_from(subject.kit.store, 0), 0);
    assert_int_equal(dw_store_first_from(subject.kit.store, 2), 7);
    assert_int_equal(dw_store_first_from(subject.kit.store, 9), DW_VOLUME_NUMBER_NONE);
}

static void an_abandoned_volume_that_is_still_there_is_not_in_the_chain(void **state)
{
    (void)state;
    make_log(1);
    /* As after a crash between the superblock and the end of settle: 7 was claimed and recorded, 2 not yet removed. */
    struct dw_fault_rule rule = {.kinds = DW_FAULT_RENAME | DW_FAULT_UNLINK, .at = 2, .is_sticky = true};
    uint32_t abandoned = 2;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    dw_fault_add(subject.disk, &rule);
    assert_int_equal(
        dw_kit_cut(&subject.kit, 1, dw_first_lsn_of_volume(&subject.kit.create.geometry, 1), 7, &abandoned, 1),
        DWAL_EDEVICE);
    dw_kit_abandon(&subject.kit);
    dw_fault_clear(subject.disk);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_non_null(dw_store_find(subject.kit.store, 2));
    uint64_t end;
    assert_int_equal(dw_store_successor(subject.kit.store, 1, &end), 7);
    assert_int_equal(dw_store_first_from(subject.kit.store, 2), 7);
}

static void a_reader_sees_what_a_writer_did_after_refresh(void **state)
{
    (void)state;
    make_log(1);
    struct dw_kit *kit = &subject.kit;
    struct dw_kit reader;
    dw_kit_init(&reader, subject.disk, 0);
    reader.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&reader), 0);
    assert_false(dw_store_has_writer(reader.store));
    assert_int_equal(dw_kit_load(kit), 0);
    assert_int_equal(dw_kit_recover(kit, false), 0);
    assert_true(dw_store_has_writer(reader.store));
    assert_int_equal(dw_kit_roll(kit), 0);
    assert_int_equal(dw_kit_roll(kit), 0);
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(&kit->create.geometry, 0)), 0);
    dw_kit_settle_down(kit);
    struct dw_volume *pinned;
    assert_int_equal(dw_store_refresh(reader.store), 0);
    assert_int_equal(dw_store_volume_count(reader.store), dw_store_volume_count(kit->store));
    assert_null(dw_store_find(reader.store, 0));
    assert_int_equal(dw_store_first(reader.store), dw_end_lsn_of_volume(&kit->create.geometry, 0));
    assert_true(dw_store_find(reader.store, 2)->is_sealed);
    assert_int_equal(dw_store_pin(reader.store, 0, &pinned), DWAL_ETRIMMED);
    assert_int_equal(dw_store_pin(reader.store, 99, &pinned), DWAL_ENOTFOUND);
    assert_int_equal(dw_store_trim(reader.store, 1), DWAL_EREADONLY);
    dw_kit_abandon(&reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_directory_has_no_log),
        TEST(volumes_without_a_superblock_are_lost_and_cannot_be_created_over),
        TEST(an_only_volume_with_a_record_is_not_taken_for_an_interrupted_creation),
        TEST(an_interrupted_creation_is_no_log_and_is_swept_by_the_next_one),
        TEST(a_creation_that_another_process_is_in_the_middle_of_is_left_alone),
        cmocka_unit_test_teardown(load_reads_two_times_a_volume_and_the_superblock_once, tear_down),
        TEST(helpers_find_the_same_as_one_thread),
        TEST(without_memory_or_descriptors_for_helpers_the_load_is_told_or_done),
        TEST(a_volume_that_goes_away_between_list_and_open_is_not_there),
        TEST(load_changes_nothing),
        TEST(load_leaves_no_file_open_but_the_superblock),
        TEST(temporaries_are_removed_by_settle_and_only_then),
        TEST(strangers_are_named_warned_about_and_left_alone),
        TEST(damaged_headers_are_verdicts_not_failures),
        TEST(a_short_file_and_a_damaged_toc_are_told),
        TEST(a_volume_under_another_volumes_name_is_misplaced),
        TEST(the_chain_follows_predecessors_and_not_numbers),
        TEST(an_abandoned_volume_that_is_still_there_is_not_in_the_chain),
        TEST(a_reader_sees_what_a_writer_did_after_refresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
