/* test_recover_fuzz.c - logs that no writer ever wrote: fields changed under right checksums, blocks and headers swapped, files
 * cut short. Recovery and readers must come to an answer, in bounded memory, without an assertion; what recovery would
 * settle must be possible; and what was settled opens again. The seed of a failure is printed.
 * DWAL_FUZZ_SEED and DWAL_FUZZ_RUNS choose others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "core/read/reader.h"
#include "core/read/recover.h"
#include "tests/format/mend.h"
#include "tests/lib/image.h"

enum { RUNS = 3000, RECORDS_MAX = 2000, MEMORY_MAX = 24 << 20 };

static uint64_t state_of_random, current_run;

static uint64_t draw(uint64_t below)
{
    state_of_random = state_of_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state_of_random >> 33) % below;
}

static uint64_t odd_number(void)
{
    static const uint64_t numbers[] = {
        0, 1, 2, 3, 7, 8, 16, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX, UINT64_MAX / 2, 4096, 65535};
    return draw(3) ? draw(80000) : numbers[draw(sizeof numbers / sizeof numbers[0])];
}

static struct dw_image *make(void)
{
    struct dw_image *image = dw_image_new(&(struct dw_image_shape){.data_blocks = 3 + (uint32_t)draw(4),
                                                                   .in_flight_blocks = 1 + (uint32_t)draw(4),
                                                                   .first_volume = 2,
                                                                   .is_recycled = true});
    image->lag = draw(3);
    for (uint64_t i = 3 + draw(12); i > 0; i--) {
        switch (draw(6)) {
        case 0:
            dw_image_append(image, (uint32_t)draw(5000), (uint32_t)draw(20000));
            break;
        case 1:
            dw_image_append_more(image, (uint32_t)draw(50), (uint32_t)draw(3000));
            break;
        case 2:
            dw_image_mark(image);
            break;
        case 3:
            dw_image_fill(image, 2);
            break;
        default:
            dw_image_append(image, (uint32_t)draw(50), (uint32_t)draw(300));
            break;
        }
    }
    if (draw(8))
        dw_image_append(image, 0, 9); /* ends a batch */
    dw_image_seal(image);
    uint32_t last = image->head;
    for (uint32_t number = 2; number < last; number++)
        if (draw(4))
            dw_image_toc(image, number);
    if (draw(3) == 0 && image->entry_count > 2) {
        uint64_t cut = image->entries[image->entry_count - 1].lsn;
        bool is_in_batch = image->entries[image->entry_count - 2].is_more;
        if (!is_in_batch && cut > dw_first_lsn_of_volume(&image->geometry, image->head))
            dw_image_cut(image, cut, last + 1 + (uint32_t)draw(2));
        dw_image_fill(image, 1 + (uint32_t)draw(3));
    }
    bool is_open = image->entry_count > 0 && image->entries[image->entry_count - 1].is_more;
    if (!is_open && draw(3) == 0)
        dw_image_close(image);
    else if (draw(2))
        dw_image_claim(image);
    return image;
}

/* ---- damage ---- */

static uint32_t any_volume(const struct dw_image *image)
{
    uint32_t used[DW_IMAGE_VOLUMES_MAX], count = 0;
    for (uint32_t i = 0; i < DW_IMAGE_VOLUMES_MAX; i++)
        if (image->volumes[i].is_used)
            used[count++] = i + 2;
    return used[draw(count)];
}

static uint64_t any_block(const struct dw_image *image)
{
    return dw_first_block_of_volume(&image->geometry, any_volume(image)) + draw(image->geometry.data_blocks);
}

/* Change a field of `size` bytes at `at`. */
static void change(uint8_t *at, size_t size)
{
    uint64_t value = odd_number();
    memcpy(at, &value, size);
}

static void change_block_header(struct dw_image *image)
{
    static const uint8_t at[] = {8, 16, 24, 26, 28}, size[] = {8, 8, 2, 2, 2};
    uint8_t *block = dw_image_block(image, any_block(image));
    uint64_t which = draw(5);
    change(block + at[which], size[which]);
    mend_block_header(&image->identity, block);
}

static void change_volume_header(struct dw_image *image)
{
    static const uint8_t at[] = {20, 40, 44, 48, 76, 80}, size[] = {4, 4, 4, 8, 4, 8};
    uint8_t *header = dw_image_volume(image, any_volume(image))->bytes;
    uint64_t which = draw(6);
    change(header + at[which], size[which]);
    mend_volume_header(header);
    if (draw(2))
        memcpy(header + 4096, header, 4096);
}

static void change_toc(struct dw_image *image)
{
    static const uint8_t at[] = {16, 20, 40, 48, 56, 64, 88, 96}, size[] = {4, 4, 8, 8, 8, 8, 4, 8};
    uint8_t *toc = dw_image_volume(image, any_volume(image))->bytes + dw_place_of_toc(&image->geometry);
    uint64_t which = draw(8);
    change(toc + at[which], size[which]);
    mend_toc(toc, dw_toc_area_size(&image->geometry));
}

static void change_superblock(struct dw_image *image)
{
    struct dw_superblock_info *superblock = &image->superblock;
    switch (draw(6)) {
    case 0:
        superblock->trim = odd_number();
        break;
    case 1:
        superblock->clean_end = odd_number();
        break;
    case 2:
        superblock->watermark = odd_number() % 100;
        break;
    case 3:
        superblock->state = draw(2) ? DW_SUPERBLOCK_CLEAN : DW_SUPERBLOCK_OPEN;
        break;
    case 4:
        superblock->claimed = superblock->head + (uint32_t)draw(3);
        break;
    default:
        superblock->head = (uint32_t)draw(superblock->claimed + 1);
        break;
    }
    if (superblock->head > superblock->claimed)
        superblock->head = superblock->claimed;
}

static void damage(struct dw_image *image)
{
    uint32_t number = any_volume(image);
    switch (draw(12)) {
    case 0:
        dw_image_flip(image, number, draw(image->geometry.volume_size), (uint32_t)draw(8));
        break;
    case 1:
    case 2:
        change_block_header(image);
        break;
    case 3:
        change_volume_header(image);
        break;
    case 4:
        change_toc(image);
        break;
    case 5:
        change_superblock(image);
        break;
    case 6:
        dw_image_lose(image, any_block(image));
        break;
    case 7:
        dw_image_lose_sector(image, any_block(image), (uint32_t)draw(8));
        break;
    case 8:
        memcpy(dw_image_block(image, any_block(image)), dw_image_block(image, any_block(image)), 4096);
        break;
    case 9:
        memcpy(dw_image_volume(image, number)->bytes, dw_image_volume(image, any_volume(image))->bytes, 8192);
        break;
    case 10:
        dw_image_truncate(image, number, draw(2) ? 0 : draw(image->geometry.volume_size / 512) * 512);
        break;
    default:
        dw_image_unreadable(image, number, draw(image->geometry.volume_size));
        break;
    }
}

/* ---- checks ---- */

static void check_settlement(const struct dw_geometry *g, const struct dw_store *store,
                             const struct dw_recovered *recovered)
{
    const struct dw_settlement *settlement = &recovered->settlement;
    const struct dw_superblock_info *superblock = dw_store_superblock(store);
    assert_true(settlement->tail <= superblock->claimed);
    assert_true(settlement->next_number > superblock->claimed);
    for (size_t i = 0; i < dw_store_volume_count(store); i++)
        assert_true(settlement->next_number > dw_store_volume_at(store, i)->number);
    if (settlement->is_continued) {
        uint32_t number = dw_volume_of_block(g, settlement->next_block);
        bool is_behind = number == settlement->tail + 1 && settlement->next_number == number &&
                         settlement->next_block == dw_first_block_of_volume(g, number);
        assert_true(number == settlement->tail || is_behind);
        assert_non_null(dw_store_find(store, settlement->tail));
    } else {
        assert_true(settlement->cut >= dw_first_lsn_of_volume(g, settlement->tail));
        assert_true(settlement->cut <= dw_end_lsn_of_volume(g, settlement->tail));
    }
    for (size_t i = 0; i < settlement->toc_count; i++) {
        const struct dw_toc_info *toc = &settlement->tocs[i].toc;
        assert_true(i == 0 || settlement->tocs[i - 1].number < settlement->tocs[i].number);
        assert_true(toc->first_lsn <= toc->last_lsn && toc->last_lsn <= toc->end);
        assert_true(toc->first_lsn >= dw_first_lsn_of_volume(g, toc->number));
        assert_true(toc->end <= dw_end_lsn_of_volume(g, toc->number));
        assert_true((toc->first_lsn == toc->end) == (toc->entry_count == 0));
    }
    for (size_t i = 0; i < settlement->abandoned_count; i++)
        assert_true(settlement->abandoned[i] != settlement->tail);
}

static uint64_t durable_block(void *context)
{
    return ((struct dw_recovered *)context)->end_block;
}

static void read_on(struct dw_store *store, struct dw_recovered *recovered)
{
    struct dw_recent recent = {.context = recovered, .durable_block = durable_block};
    struct dw_reader *reader;
    assert_int_equal(dw_reader_create(store, &recent, 4096u << draw(5), &reader), 0);
    dw_reader_limit(reader, recovered->end);
    for (int seek = 0; seek < 4; seek++) {
        struct dwal_record record;
        uint64_t last = 0;
        assert_int_equal(dw_reader_seek(reader, seek ? draw(recovered->end + 1) : 0), 0);
        for (int i = 0; i < RECORDS_MAX; i++) {
            if (dw_reader_next(reader, &record) != 0)
                break;
            assert_true(record.lsn >= last && record.end > record.lsn && record.end <= recovered->end);
            last = record.end;
            if (draw(2))
                (void)!dw_reader_data(reader, &record, NULL);
        }
        if (draw(2))
            (void)!dw_reader_seek_exact(reader, draw(recovered->end + 5));
        assert_true(dw_alloc_bytes() < MEMORY_MAX);
    }
    dw_reader_close(reader);
}

static void ignore_damage(void *context, const struct dwal_damage *damage)
{
    (void)context;
    assert_true(memchr(damage->text, 0, sizeof damage->text) != NULL);
}

static struct dw_recover_options any_options(void)
{
    return (struct dw_recover_options){.is_tolerant = draw(2) == 0,
                                       .is_full = draw(3) == 0,
                                       .has_live_writer = draw(5) == 0,
                                       .min_lsn = draw(6) ? 0 : odd_number(),
                                       .look_ahead = draw(4) ? -1 : (int64_t)draw(40000),
                                       .damage = ignore_damage};
}

/* Look at it without changing it. */
static void look(const struct dw_image *image)
{
    struct dw_store_options store_options = {.is_read_only = true, .in_flight_blocks = 4, .clock = &dw_clock_system};
    struct dw_disk *disk = dw_image_disk(image);
    struct dw_store *store;
    if (dw_store_load(disk, &store_options, &store) == 0) {
        for (int i = 0; i < 3; i++) {
            struct dw_recover_options options = any_options();
            struct dw_recovered recovered;
            assert_int_equal(dw_recover(store, &options, &recovered), 0);
            if (recovered.error.code == 0 && !options.has_live_writer)
                check_settlement(&image->geometry, store, &recovered);
            assert_true(recovered.error.code == 0 || recovered.error.text[0] != 0);
            read_on(store, &recovered);
            dw_recovered_free(&recovered);
        }
        (void)dw_store_close(store, false, 0);
    }
    disk->ops->close(disk);
}

/* Nothing is damaged: nothing may be refused, and all that is complete must be there. */
static void check_sound(const struct dw_image *image)
{
    struct dw_store_options store_options = {.is_read_only = true, .in_flight_blocks = 4, .clock = &dw_clock_system};
    struct dw_disk *disk = dw_image_disk(image);
    struct dw_store *store;
    uint64_t count = 0, complete = 0;
    for (size_t i = 0; i < image->entry_count; i++) {
        count += !image->entries[i].is_dropped;
        if (!image->entries[i].is_dropped && !image->entries[i].is_more)
            complete = count;
    }
    assert_int_equal(dw_store_load(disk, &store_options, &store), 0);
    for (int is_full = 0; is_full < 2; is_full++) {
        struct dw_recover_options options = {.look_ahead = -1, .is_full = is_full};
        struct dw_recovered recovered;
        assert_int_equal(dw_recover(store, &options, &recovered), 0);
        if (recovered.error.code != 0)
            fail_msg("a sound log is refused: %s", recovered.report.text);
        assert_int_equal(recovered.report.findings, recovered.report.verdict == DWAL_VERDICT_TORN);
        if (is_full)
            assert_int_equal(recovered.report.entries, complete);
        check_settlement(&image->geometry, store, &recovered);
        dw_recovered_free(&recovered);
    }
    (void)dw_store_close(store, false, 0);
    disk->ops->close(disk);
}

/* Load for writing, recover, settle. True: it opened. *end: where. */
static bool open_once(struct dw_disk *disk, bool is_tolerant, bool is_full, uint64_t *end)
{
    struct dw_store_options store_options = {.in_flight_blocks = 4, .clock = &dw_clock_system};
    struct dw_recover_options options = {.look_ahead = -1, .is_tolerant = is_tolerant, .is_full = is_full};
    struct dw_recovered recovered;
    struct dw_store *store;
    if (dw_store_load(disk, &store_options, &store) != 0)
        return false;
    assert_int_equal(dw_store_lock(store), 0);
    assert_int_equal(dw_recover(store, &options, &recovered), 0);
    if (getenv("DWAL_FUZZ_SEED"))
        print_message("%d row %u repairable %d: %s; cont %d tail %u next %llu cut %llu\n",
                      (int)recovered.report.verdict, recovered.report.row, recovered.report.is_repairable,
                      recovered.report.text, recovered.settlement.is_continued, recovered.settlement.tail,
                      (unsigned long long)recovered.settlement.next_block,
                      (unsigned long long)recovered.settlement.cut);
    bool is_open = recovered.error.code == 0;
    *end = recovered.end;
    if (is_open)
        is_open = dw_store_settle(store, &recovered.settlement) == 0;
    dw_recovered_free(&recovered);
    (void)dw_store_close(store, false, 0);
    return is_open;
}

/* What was seen in full and settled opens again, and ends at the same place or behind a gap where nothing is. */
static void settle(const struct dw_image *image)
{
    struct dw_disk *disk = dw_image_disk(image);
    uint64_t end = 0;
    bool is_tolerant = draw(2) == 0;
    if (open_once(disk, is_tolerant, true, &end)) {
        uint64_t again = 0;
        if (!open_once(disk, is_tolerant, draw(2), &again))
            fail_msg("opened once and then never again: %s", dwal_last_error()->text);
        if (again < end)
            fail_msg("ended at %llu, then at %llu", (unsigned long long)end, (unsigned long long)again);
    }
    disk->ops->close(disk);
}

static void logs_that_nobody_wrote_get_an_answer(void **state)
{
    (void)state;
    const char *from = getenv("DWAL_FUZZ_SEED");
    const char *runs = getenv("DWAL_FUZZ_RUNS");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, count = runs ? strtoull(runs, NULL, 10) : from ? 1 : RUNS;
    uint64_t before = dw_alloc_bytes();
    for (uint64_t run = first; run < first + count; run++) {
        state_of_random = run * 7919;
        current_run = run;
        struct dw_image *image = make();
        check_sound(image);
        for (uint64_t i = draw(5); i > 0; i--)
            damage(image);
        look(image);
        settle(image);
        dw_image_free(image);
        if (dw_alloc_bytes() != before)
            fail_msg("seed %llu leaks", (unsigned long long)run);
    }
}

static int tell_seed(void **state)
{
    (void)state;
    print_message("the last seed was %llu: DWAL_FUZZ_SEED=%llu runs it alone\n", (unsigned long long)current_run,
                  (unsigned long long)current_run);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(logs_that_nobody_wrote_get_an_answer, tell_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
