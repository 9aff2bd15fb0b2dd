/* test_inspect_dump.c - dwal_dump lists every structure in the order on disk, also of what is damaged. */
#include "tests/inspect/inspect.h"

struct listing {
    size_t count, kinds[DWAL_ITEM_BLANK + 1], unsound;
    size_t records_sound;
    char last_file[32];
    uint64_t last_offset;
    uint64_t block_bytes; /* of the volume being listed: blocks and blank runs must cover it */
    struct dwal_item first_unsound;
    size_t stop_after;
};

static bool take_item(void *context, const struct dwal_item *item)
{
    struct listing *listing = context;
    bool is_same_file = strcmp(listing->last_file, item->file) == 0;
    bool is_record = item->kind == DWAL_ITEM_RECORD || item->kind == DWAL_ITEM_SPILL;
    if (is_same_file && !is_record)
        assert_true(item->offset >= listing->last_offset);
    if (!is_record)
        listing->last_offset = item->offset;
    snprintf(listing->last_file, sizeof listing->last_file, "%s", item->file);
    listing->count++;
    listing->kinds[item->kind]++;
    if (!item->is_sound && listing->unsound++ == 0)
        listing->first_unsound = *item;
    if (item->kind == DWAL_ITEM_RECORD && item->is_sound)
        listing->records_sound++;
    if (item->kind == DWAL_ITEM_BLOCK || (item->kind == DWAL_ITEM_BLANK && item->volume != DWAL_NO_VOLUME))
        listing->block_bytes += item->size;
    assert_true(strlen(item->text) > 0);
    return listing->stop_after == 0 || listing->count < listing->stop_after;
}

static struct listing dump(const char *path)
{
    static struct listing listing;
    memset(&listing, 0, sizeof listing);
    must(dwal_dump(path, NULL, take_item, &listing));
    return listing;
}

static void a_sound_log_is_listed_whole(void **state)
{
    struct made *made = *state;
    struct dwal_info info = info_of(made);
    struct listing listing = dump(made->path);
    assert_int_equal(listing.unsound, 0);
    assert_int_equal(listing.kinds[DWAL_ITEM_SUPERBLOCK], 4);
    assert_int_equal(listing.kinds[DWAL_ITEM_VOLUME_HEADER], 2 * info.volumes);
    assert_int_equal(listing.kinds[DWAL_ITEM_RECORD], ENTRY_COUNT);
    assert_true(listing.kinds[DWAL_ITEM_SPILL] > 0);
    assert_true(listing.kinds[DWAL_ITEM_TOC] >= info.volumes - 2);
    /* Every byte of the volumes behind the headers is in a block, a blank run, or the TOC area. */
    uint64_t all = info.volumes * (info.volume_size - 2 * info.block_size);
    uint64_t tocs = listing.kinds[DWAL_ITEM_TOC] * info.block_size;
    assert_int_equal(listing.block_bytes + tocs, all);
}

static void a_damaged_block_and_its_records_are_listed_as_such(void **state)
{
    struct made *made = *state;
    turn_lsn(made, made->lsns[300] + 30, 1);
    struct listing listing = dump(made->path);
    assert_true(listing.unsound >= 1);
    assert_int_equal(listing.first_unsound.kind, DWAL_ITEM_RECORD);
    assert_int_equal(listing.first_unsound.lsn, made->lsns[300]);
    turn_lsn(made, made->lsns[300] + 30, 1);
    turn_bytes(made, "0000000001.vol", 4096 * 7 + 8, 1); /* a block's header */
    listing = dump(made->path);
    assert_true(listing.unsound >= 1);
    assert_int_equal(listing.first_unsound.volume, 1);
    assert_true(listing.records_sound > ENTRY_COUNT - 300);
}

static void one_volume_file_is_listed_without_its_superblock(void **state)
{
    struct made *made = *state;
    char alone[DW_TMPDIR_SIZE + 64];
    struct listing in_place, moved;
    snprintf(alone, sizeof alone, "%s/0000000001.vol", made->path);
    in_place = dump(alone);
    dw_shell_good("cp %s %s/", alone, made->directory);
    snprintf(alone, sizeof alone, "%s/0000000001.vol", made->directory);
    moved = dump(alone);
    assert_int_equal(in_place.unsound, 0);
    assert_int_equal(in_place.count, moved.count);
    assert_int_equal(in_place.records_sound, moved.records_sound);
    assert_int_equal(moved.unsound, 0);
    dw_shell_good("printf x | dd of=%s bs=1 seek=40 conv=notrunc status=none",
                  alone); /* the second header copy helps */
    moved = dump(alone);
    assert_int_equal(moved.unsound, 1);
    assert_int_equal(in_place.records_sound, moved.records_sound);
    dw_shell_good("printf x | dd of=%s bs=1 seek=$((4096 + 40)) conv=notrunc status=none", alone);
    moved = dump(alone);
    assert_int_equal(moved.count, 1);
    assert_int_equal(moved.unsound, 1);
}

static void a_log_without_a_superblock_is_listed(void **state)
{
    struct made *made = *state;
    struct listing whole = dump(made->path);
    dw_shell_good("rm %s/dwal.super", made->path);
    struct listing listing = dump(made->path);
    assert_int_equal(listing.count + 4, whole.count);
    assert_int_equal(listing.unsound, 0);
}

static void a_short_file_is_listed_as_far_as_it_goes(void **state)
{
    struct made *made = *state;
    dw_shell_good("truncate -s 100001 %s/0000000001.vol", made->path);
    struct listing listing = dump(made->path);
    assert_true(listing.unsound > 30);
    dw_shell_good("truncate -s 0 %s/0000000001.vol && truncate -s 5000 %s/dwal.super", made->path, made->path);
    listing = dump(made->path);
    assert_true(listing.unsound > 30);
}

static void the_caller_may_stop(void **state)
{
    struct made *made = *state;
    struct listing listing = {.stop_after = 10};
    must(dwal_dump(made->path, NULL, take_item, &listing));
    assert_int_equal(listing.count, 10);
}

static void what_is_no_log_is_refused(void **state)
{
    struct made *made = *state;
    struct listing listing = {0};
    char path[DW_TMPDIR_SIZE + 64];
    assert_int_equal(dwal_dump(made->directory, NULL, take_item, &listing), DWAL_ENOLOG);
    assert_int_equal(dwal_dump("/does/not/exist", NULL, take_item, &listing), DWAL_ENOLOG);
    snprintf(path, sizeof path, "%s/other", made->directory);
    dw_shell_good(": > %s", path);
    assert_int_equal(dwal_dump(path, NULL, take_item, &listing), DWAL_ENOLOG);
    assert_int_equal(dwal_dump("", NULL, take_item, &listing), DWAL_EARGUMENT);
    assert_int_equal(listing.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSPECT_TEST(a_sound_log_is_listed_whole),
        INSPECT_TEST(a_damaged_block_and_its_records_are_listed_as_such),
        INSPECT_TEST(one_volume_file_is_listed_without_its_superblock),
        INSPECT_TEST(a_log_without_a_superblock_is_listed),
        INSPECT_TEST(a_short_file_is_listed_as_far_as_it_goes),
        INSPECT_TEST(the_caller_may_stop),
        INSPECT_TEST(what_is_no_log_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
