/* test_store_superblock.c - four copies of one truth: which holds when some are damaged, torn, unreadable or of another time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "io/sim.h"
#include "tests/lib/store_kit.h"

struct subject {
    struct dw_disk *disk;
    struct dw_kit kit;
};

/* A log whose newest superblock (trim point 100) lies in slot 1 and the one before (trim point 0) in slot 0. */
static void make(struct subject *subject)
{
    assert_int_equal(dw_sim_open(NULL, &subject->disk), 0);
    dw_kit_init(&subject->kit, subject->disk, 0);
    assert_int_equal(dw_kit_create(&subject->kit), 0); /* sequences 1 and 2 */
    assert_int_equal(dw_kit_start(&subject->kit), 0);  /* 3 */
    assert_int_equal(dw_kit_fill(&subject->kit, 0, 2, 3), 0);
    assert_int_equal(dw_store_trim(subject->kit.store, 50), 0);  /* 4, slot 0 */
    assert_int_equal(dw_store_trim(subject->kit.store, 100), 0); /* 5, slot 1 */
    dw_kit_abandon(&subject->kit);
}

static void drop(struct subject *subject)
{
    dw_kit_abandon(&subject->kit);
    subject->disk->ops->close(subject->disk);
}

static void damage(struct subject *subject, uint32_t copy, enum dw_sim_damage_kind kind)
{
    struct dw_sim_damage damage = {.kind = kind,
                                   .name = "dwal.super",
                                   .offset = (uint64_t)copy * 4096,
                                   .size = kind == DW_SIM_ROT ? 512 : 4096,
                                   .bit = 1000,
                                   .seed = 5};
    assert_int_equal(dw_sim_damage(subject->disk, &damage), 0);
}

static const enum dw_sim_damage_kind kinds[] = {DW_SIM_ROT, DW_SIM_ZERO, DW_SIM_GARBAGE, DW_SIM_UNREADABLE};

static void one_damaged_copy_never_falls_back_to_an_older_state(void **state)
{
    (void)state;
    for (uint32_t copy = 0; copy < 4; copy++) {
        for (size_t kind = 0; kind < DW_COUNT_OF(kinds); kind++) {
            struct subject subject;
            make(&subject);
            damage(&subject, copy, kinds[kind]);
            assert_int_equal(dw_kit_load(&subject.kit), 0);
            assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, 5);
            assert_int_equal(dw_store_first(subject.kit.store), 100);
            assert_int_equal(dw_store_superblock_copies(subject.kit.store), (copy & 1) == 1 ? 1 : 2);
            assert_int_equal(dw_kit_recover(&subject.kit, false), 0);
            drop(&subject);
        }
    }
}

static void a_pair_of_damaged_copies_in_different_slots_is_survived(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 4; a += 2) {
        for (uint32_t b = 1; b < 4; b += 2) {
            struct subject subject;
            make(&subject);
            damage(&subject, a, DW_SIM_GARBAGE);
            damage(&subject, b, DW_SIM_ROT);
            assert_int_equal(dw_kit_load(&subject.kit), 0);
            assert_int_equal(dw_store_first(subject.kit.store), 100);
            drop(&subject);
        }
    }
}

static void a_slot_lost_in_both_copies_keeps_writers_out_and_lets_readers_look(void **state)
{
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct subject subject;
        make(&subject);
        damage(&subject, slot, DW_SIM_ZERO);
        damage(&subject, slot + 2, DW_SIM_ROT);
        assert_int_equal(dw_kit_load(&subject.kit), DWAL_ECORRUPT);
        subject.kit.options.is_read_only = true;
        assert_int_equal(dw_kit_load(&subject.kit), 0);
        assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, slot == 0 ? 5 : 4);
        assert_int_equal(dw_store_superblock_copies(subject.kit.store), 0);
        drop(&subject);
    }
}

static void with_no_copy_left_the_log_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum dw_sim_damage_kind kind;
        int answer;
    } cases[] = {{DW_SIM_ROT, DWAL_ECORRUPT}, {DW_SIM_UNREADABLE, DWAL_EDEVICE}, {DW_SIM_GARBAGE, DWAL_EFOREIGN}};
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        struct subject subject;
        make(&subject);
        for (uint32_t copy = 0; copy < 4; copy++)
            damage(&subject, copy, cases[i].kind);
        assert_int_equal(dw_kit_load(&subject.kit), cases[i].answer);
        drop(&subject);
    }
}

static void every_bit_of_a_copy_is_covered(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    for (uint64_t bit = 0; bit < (uint64_t)DW_SUPERBLOCK_SIZE * 8; bit += 5) {
        struct dw_sim_damage flip = {.kind = DW_SIM_ROT, .name = "dwal.super", .offset = 4096, .size = 512, .bit = bit};
        assert_int_equal(dw_sim_damage(subject.disk, &flip), 0);
        assert_int_equal(dw_kit_load(&subject.kit), 0);
        assert_int_equal(dw_store_superblock_copies(subject.kit.store), 1);
        assert_int_equal(dw_store_first(subject.kit.store), 100);
        dw_kit_abandon(&subject.kit);
        assert_int_equal(dw_sim_damage(subject.disk, &flip), 0); /* and back */
    }
    drop(&subject);
}

static void any_block_size_is_found_even_when_the_first_copies_are_damaged(void **state)
{
    (void)state;
    for (uint32_t block_size = DW_BLOCK_SIZE_MIN; block_size <= DW_BLOCK_SIZE_MAX; block_size *= 2) {
        for (uint32_t bad = 0; bad < 4; bad++) {
            struct subject subject;
            assert_int_equal(dw_sim_open(NULL, &subject.disk), 0);
            dw_kit_init(&subject.kit, subject.disk, 0);
            const char *why;
            assert_int_equal(dw_geometry_init(&subject.kit.create.geometry, block_size, 512, 16u * block_size, 0, &why),
                             0);
            assert_int_equal(dw_kit_create(&subject.kit), 0);
            struct dw_sim_damage damage = {.kind = DW_SIM_GARBAGE,
                                           .name = "dwal.super",
                                           .size = block_size,
                                           .seed = bad,
                                           .offset = (uint64_t)bad * block_size};
            assert_int_equal(dw_sim_damage(subject.disk, &damage), 0);
            assert_int_equal(dw_kit_load(&subject.kit), 0);
            assert_int_equal(dw_store_superblock(subject.kit.store)->geometry.block_size, block_size);
            assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, 2);
            drop(&subject);
        }
    }
}

/* Write `info` over both copies of the slot that its sequence asks for. */
static void plant(struct subject *subject, const struct dw_superblock_info *info, uint32_t format_version)
{
    static _Alignas(4096) uint8_t block[4096];
    struct dw_superblock_info planted = *info;
    planted.format_version = format_version;
    dw_superblock_encode(&planted, block);
    struct dw_file *file;
    assert_int_equal(subject->disk->ops->open(subject->disk, "dwal.super", DW_OPEN_WRITE, &file), 0);
    for (uint64_t copy = info->sequence & 1; copy < 4; copy += 2)
        assert_int_equal(dw_file_write_durable(file, block, sizeof block, copy * 4096), 0);
    dw_file_close(file);
}

static struct dw_superblock_info newest_of(struct subject *subject)
{
    assert_int_equal(dw_kit_load(&subject->kit), 0);
    struct dw_superblock_info info = *dw_store_superblock(subject->kit.store);
    dw_kit_abandon(&subject->kit);
    info.sequence++;
    return info;
}

static void unknown_features_are_refused_as_their_class_says(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    struct dw_superblock_info info = newest_of(&subject);
    info.feature_compat = 0x10;
    plant(&subject, &info, DW_FORMAT_VERSION);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    dw_kit_abandon(&subject.kit);

    info.feature_ro_compat = 0x20;
    plant(&subject, &info, DW_FORMAT_VERSION);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_EVERSION);
    subject.kit.options.is_read_only = true;
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    dw_kit_abandon(&subject.kit);

    info.feature_incompat = 0x40;
    plant(&subject, &info, DW_FORMAT_VERSION);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_EVERSION);
    drop(&subject);
}

static void a_newer_format_in_one_slot_is_refused(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    struct dw_superblock_info info = newest_of(&subject);
    plant(&subject, &info, DW_FORMAT_VERSION + 1);
    uint64_t before = dw_sim_fingerprint(subject.disk);
    assert_int_equal(dw_kit_load(&subject.kit), DWAL_EVERSION);
    assert_true(dw_sim_fingerprint(subject.disk) == before);
    drop(&subject);
}

static void a_superblock_in_the_wrong_slot_is_not_believed(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    struct dw_sim_damage damage = {.kind = DW_SIM_COPY,
                                   .name = "dwal.super",
                                   .offset = 4096,
                                   .size = 4096,
                                   .other_name = "dwal.super",
                                   .other_offset = 0};
    assert_int_equal(dw_sim_damage(subject.disk, &damage), 0); /* the newest, misdirected into slot 0 */
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, 5);
    assert_int_equal(dw_store_superblock_copies(subject.kit.store), 2);
    drop(&subject);
}

static void the_slots_are_written_in_turn_first_copy_then_second(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    assert_int_equal(dw_kit_load(&subject.kit), 0);
    assert_int_equal(dw_kit_recover(&subject.kit, false), 0); /* sequence 6 */
    uint64_t from = dw_sim_event_count(subject.disk);
    assert_int_equal(dw_store_trim(subject.kit.store, 200), 0);
    assert_int_equal(dw_store_trim(subject.kit.store, 300), 0);
    static const uint64_t offsets[] = {1 * 4096, 3 * 4096, 0, 2 * 4096};
    size_t seen = 0;
    for (uint64_t i = from; i < dw_sim_event_count(subject.disk); i++) {
        const struct dw_sim_event *event = dw_sim_event_at(subject.disk, i);
        if (event->kind != DW_SIM_ISSUE)
            continue;
        assert_true(event->is_durable);
        assert_int_equal(event->size, 4096);
        assert_true(seen < DW_COUNT_OF(offsets));
        assert_int_equal(event->offset, offsets[seen++]);
    }
    assert_int_equal(seen, 4);
    drop(&subject);
}

/* All four copies, as if they had been written with this epoch and sequence. */
static void rewrite(struct subject *subject, uint64_t epoch, uint64_t sequence)
{
    assert_int_equal(dw_kit_load(&subject->kit), 0);
    struct dw_superblock_info info = *dw_store_superblock(subject->kit.store);
    dw_kit_abandon(&subject->kit);
    struct dw_file *file;
    assert_int_equal(subject->disk->ops->open(subject->disk, "dwal.super", DW_OPEN_WRITE, &file), 0);
    uint8_t *block = dw_alloc_io(4096, 4096);
    info.epoch = epoch;
    for (uint32_t copy = 0; copy < 4; copy++) {
        info.sequence = (copy & 1) == (sequence & 1) ? sequence : sequence - 1;
        dw_superblock_encode(&info, block);
        assert_int_equal(dw_file_write_durable(file, block, 4096, (uint64_t)copy * 4096), 0);
    }
    dw_free_io(block);
    dw_file_close(file);
}

static void epochs_and_sequences_end_rather_than_wrap(void **state)
{
    (void)state;
    const uint64_t ends[][2] = {{UINT64_MAX, 7}, {3, UINT64_MAX}};
    for (size_t i = 0; i < DW_COUNT_OF(ends); i++) {
        struct subject subject;
        make(&subject);
        rewrite(&subject, ends[i][0], ends[i][1]);
        assert_int_equal(dw_kit_load(&subject.kit), 0);
        assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, ends[i][1]);
        assert_int_equal(dw_kit_recover(&subject.kit, false), DWAL_EEXHAUSTED);
        dw_kit_abandon(&subject.kit);
        assert_int_equal(dw_kit_load(&subject.kit), 0); /* it can still be read, and nothing was written */
        assert_int_equal(dw_store_superblock(subject.kit.store)->sequence, ends[i][1]);
        drop(&subject);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_damaged_copy_never_falls_back_to_an_older_state),
        cmocka_unit_test(a_pair_of_damaged_copies_in_different_slots_is_survived),
        cmocka_unit_test(a_slot_lost_in_both_copies_keeps_writers_out_and_lets_readers_look),
        cmocka_unit_test(with_no_copy_left_the_log_is_refused),
        cmocka_unit_test(every_bit_of_a_copy_is_covered),
        cmocka_unit_test(any_block_size_is_found_even_when_the_first_copies_are_damaged),
        cmocka_unit_test(unknown_features_are_refused_as_their_class_says),
        cmocka_unit_test(a_newer_format_in_one_slot_is_refused),
        cmocka_unit_test(a_superblock_in_the_wrong_slot_is_not_believed),
        cmocka_unit_test(the_slots_are_written_in_turn_first_copy_then_second),
        cmocka_unit_test(epochs_and_sequences_end_rather_than_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
