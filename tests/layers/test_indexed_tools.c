/* test_indexed_tools.c - what stands beside the indexed log's entries: verifier, copying, dumping, counters, plugs. */
#include <dwal/verifier.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/indexed_kit.h"

/* ---- R19 ---- */

static void R19_the_codec_of_the_first_open_is_kept_and_compared(void **state)
{
    (void)state;
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log;
    assert_int_equal(dwal_indexed_create(dw_log_kit_path, &options), 0);
    options.codec = 1000;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT); /* reserved */
    options.codec = 0;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0); /* not said yet */
    assert_int_equal(dwal_indexed_codec(log), 0);
    dw_indexed_kit_close(log);
    options.codec = 65536;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0);
    assert_int_equal(dwal_indexed_codec(log), 65536);
    dw_indexed_kit_store(log, 1, 3000, 0, 100); /* far away from where it was said */
    dw_indexed_kit_close(log);
    options.codec = 65537;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), DWAL_EINDEX_CODEC);
    assert_null(log);
    log = dw_indexed_kit_open();
    assert_int_equal(dwal_indexed_codec(log), 65536);
    dw_indexed_kit_close(log);
}

struct heard {
    uint64_t events, durable;
};

static void hear_event(void *context, enum dwal_event_level level, const char *text)
{
    (void)level, (void)text;
    ((struct heard *)context)->events++;
}

static void hear_durable(void *context, uint64_t durable, int failure)
{
    (void)failure;
    ((struct heard *)context)->durable = durable;
}

static void R19_the_users_callbacks_are_called_with_the_users_context(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log;
    dw_indexed_kit_base()->event = hear_event;
    dw_indexed_kit_base()->durable = hear_durable;
    dw_indexed_kit_base()->context = &heard;
    assert_int_equal(dwal_indexed_create(dw_log_kit_path, &options), 0);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0);
    dw_indexed_kit_store(log, 1, 10, 0, 10);
    assert_true(heard.durable > 0 && heard.events > 0);
    dw_indexed_kit_close(log);
    dw_indexed_kit_base()->table_keep = 1;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    options.recent = 3;
    dw_indexed_kit_base()->table_keep = 0;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
}

static void a_log_of_another_kind_is_refused(void **state)
{
    (void)state;
    dwal_indexed *log;
    dwal *plain = dw_log_kit_create();
    assert_int_equal(dwal_close(plain), 0);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, NULL, &log), DWAL_EMAGIC);
    assert_int_equal(dwal_indexed_open("/nowhere/at/all", NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dwal_indexed_open(NULL, NULL, &log), DWAL_EARGUMENT);
}

static void a_second_process_may_read_but_not_write(void **state)
{
    (void)state;
    dwal_indexed *writer = dw_indexed_kit_create(), *reader;
    struct dwal_indexed_options options = dw_indexed_kit_options();
    struct dwal_indexed_entry entry = {.index = 1001, .data = "x", .size = 1};
    dw_indexed_kit_store(writer, 1, 1000, 0, 50);
    dw_indexed_kit_base()->volume_size = dw_indexed_kit_base()->blanks = 0;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &reader), DWAL_EBUSY);
    dw_indexed_kit_base()->mode = DWAL_READ_ONLY;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &reader), 0);
    uint64_t last = dwal_indexed_last(reader);
    assert_in_range(last, 900, 1000); /* up to the newest watermark */
    dw_indexed_kit_expect_all(reader, 1, last, 0, 0);
    assert_int_equal(dwal_indexed_store(reader, &entry, 1), DWAL_EREADONLY);
    assert_int_equal(dwal_indexed_truncate_front(reader, 5), DWAL_EREADONLY);
    assert_int_equal(dwal_indexed_set_u64(reader, "k", 1, 1), DWAL_EREADONLY);
    dw_indexed_kit_close(reader);
    dw_indexed_kit_store(writer, 1001, 1010, 0, 10);
    dw_indexed_kit_expect_all(writer, 1, 1010, 0, 0);
    dw_indexed_kit_close(writer);
}

/* ---- R22 ---- */

struct checkpoint_entry { /* how this test lays a checkpoint out */
    char magic[8];
    struct dwal_checkpoint checkpoint;
};

static bool read_checkpoint(void *context, const struct dwal_indexed_entry *entry, struct dwal_checkpoint *checkpoint)
{
    (void)context;
    struct checkpoint_entry laid;
    if (entry->size != sizeof laid || memcmp(entry->data, "CHECKPNT", 8) != 0)
        return false;
    memcpy(&laid, entry->data, sizeof laid);
    *checkpoint = laid.checkpoint;
    return true;
}

static struct dwal_verifier_report last_report;

static void take_report(void *context, const struct dwal_verifier_report *report)
{
    (void)context;
    last_report = *report;
}

static const struct dwal_verifier_options verifier_options = {
    .size = sizeof verifier_options, .read_checkpoint = read_checkpoint, .report = take_report};

static void store_numbered(dwal_verifier *verifier, uint64_t from, uint64_t to, uint32_t generation)
{
    for (uint64_t index = from; index <= to; index++) {
        uint8_t bytes[DW_INDEXED_KIT_SIZE_MAX];
        struct dwal_indexed_entry entry = {
            .index = index, .data = bytes, .size = dw_indexed_kit_bytes(index, generation, bytes)};
        assert_int_equal(dwal_verifier_store(verifier, &entry, 1), 0);
    }
}

static void store_checkpoint(dwal_verifier *verifier, uint64_t index, const struct dwal_checkpoint *checkpoint)
{
    struct checkpoint_entry laid = {.magic = {'C', 'H', 'E', 'C', 'K', 'P', 'N', 'T'}, .checkpoint = *checkpoint};
    struct dwal_indexed_entry entry = {.index = index, .data = &laid, .size = sizeof laid};
    assert_int_equal(dwal_verifier_store(verifier, &entry, 1), 0);
}

struct replica {
    char path[DW_TMPDIR_SIZE + 16];
    dwal_indexed *log;
    dwal_verifier *verifier;
};

static void open_replica(struct replica *replica, const char *name)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    snprintf(replica->path, sizeof replica->path, "%s/%s", dw_log_kit_directory, name);
    assert_int_equal(dwal_indexed_create(replica->path, &options), 0);
    assert_int_equal(dwal_indexed_open(replica->path, &options, &replica->log), 0);
    assert_int_equal(dwal_verifier_create(replica->log, &verifier_options, &replica->verifier), 0);
}

static void close_replica(struct replica *replica)
{
    dwal_verifier_close(replica->verifier);
    dw_indexed_kit_close(replica->log);
}

static void R22_a_checkpoint_is_compared_with_what_was_written_and_read(void **state)
{
    (void)state;
    struct replica leader, follower;
    struct dwal_checkpoint checkpoint;
    open_replica(&leader, "leader");
    open_replica(&follower, "follower");
    assert_false(dwal_verifier_checkpoint(leader.verifier, &checkpoint));
    assert_int_equal(checkpoint.first, 1); /* an empty range begins it */
    store_checkpoint(leader.verifier, 1, &checkpoint);
    store_checkpoint(follower.verifier, 1, &checkpoint);
    assert_int_equal(dwal_verifier_run(leader.verifier, 0), DWAL_ETIMEOUT);
    store_numbered(leader.verifier, 2, 40, 0);
    store_numbered(follower.verifier, 2, 40, 0);
    assert_true(dwal_verifier_checkpoint(leader.verifier, &checkpoint));
    assert_int_equal(checkpoint.first, 1);
    store_checkpoint(leader.verifier, 41, &checkpoint);
    store_checkpoint(follower.verifier, 41, &checkpoint);
    assert_int_equal(dwal_verifier_run(leader.verifier, 0), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_SOUND);
    assert_int_equal(dwal_verifier_run(follower.verifier, 1000000), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_SOUND);
    assert_int_equal(last_report.result, 0);
    assert_true(last_report.is_written_known);
    assert_int_equal(last_report.first, 1);
    assert_int_equal(last_report.last, 40);
    assert_int_equal(last_report.read_sum, checkpoint.sum);
    /* Something is changed on the way to the follower. */
    store_numbered(leader.verifier, 42, 50, 0);
    store_numbered(follower.verifier, 42, 49, 0);
    store_numbered(follower.verifier, 50, 50, 1);
    assert_true(dwal_verifier_checkpoint(leader.verifier, &checkpoint));
    store_checkpoint(follower.verifier, 51, &checkpoint);
    assert_int_equal(dwal_verifier_run(follower.verifier, 0), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_IN_FLIGHT);
    assert_int_equal(last_report.result, DWAL_EINDEX_SUM);
    struct dwal_verifier_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_verifier_get_stats(follower.verifier, &stats), 0);
    assert_int_equal(stats.verified, 2);
    assert_int_equal(stats.in_flight_faults, 1);
    close_replica(&leader);
    close_replica(&follower);
}

static void R22_what_changed_here_is_told_apart_from_what_came_changed(void **state)
{
    (void)state;
    struct replica replica;
    struct dwal_checkpoint checkpoint;
    open_replica(&replica, "replica");
    assert_false(dwal_verifier_checkpoint(replica.verifier, &checkpoint));
    store_checkpoint(replica.verifier, 1, &checkpoint);
    store_numbered(replica.verifier, 2, 20, 0);
    /* A store behind the verifier's back stands for bytes that changed below it: its sum differs from what is read. */
    assert_int_equal(dwal_indexed_truncate_back(replica.log, 19), 0);
    dw_indexed_kit_store(replica.log, 20, 20, 7, 1);
    assert_true(dwal_verifier_checkpoint(replica.verifier, &checkpoint));
    store_checkpoint(replica.verifier, 21, &checkpoint);
    assert_int_equal(dwal_verifier_run(replica.verifier, 0), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_STORAGE);
    assert_int_equal(last_report.result, DWAL_EINDEX_SUM);
    assert_int_equal(last_report.written_sum, last_report.expected_sum);
    /* Another process wrote it: nothing is known but what is read. */
    dwal_verifier_close(replica.verifier);
    assert_int_equal(dwal_verifier_create(replica.log, &verifier_options, &replica.verifier), 0);
    checkpoint = (struct dwal_checkpoint){.first = 2, .sum = 99};
    store_checkpoint(replica.verifier, 22, &checkpoint);
    assert_int_equal(dwal_verifier_run(replica.verifier, 0), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_EITHER);
    /* And a range that was truncated away cannot be judged. */
    assert_int_equal(dwal_indexed_truncate_front(replica.log, 10), 0);
    checkpoint = (struct dwal_checkpoint){.first = 3, .sum = 99};
    store_checkpoint(replica.verifier, 23, &checkpoint);
    assert_int_equal(dwal_verifier_run(replica.verifier, 0), 0);
    assert_int_equal(last_report.fault, DWAL_VERIFIER_RANGE);
    assert_int_equal(last_report.result, DWAL_EINDEX_NONE);
    close_replica(&replica);
}

static void R22_one_range_waits_others_are_dropped_counted_and_told(void **state)
{
    (void)state;
    struct replica replica;
    struct dwal_checkpoint checkpoint;
    open_replica(&replica, "replica");
    assert_false(dwal_verifier_checkpoint(replica.verifier, &checkpoint));
    store_checkpoint(replica.verifier, 1, &checkpoint);
    uint64_t index = 2;
    for (int range = 0; range < 4; range++) {
        store_numbered(replica.verifier, index, index + 9, 0);
        index += 10;
        assert_true(dwal_verifier_checkpoint(replica.verifier, &checkpoint));
        store_checkpoint(replica.verifier, index++, &checkpoint);
    }
    assert_int_equal(dwal_verifier_run(replica.verifier, 0), 0);
    assert_int_equal(last_report.first, 1);
    assert_int_equal(last_report.last, 11);
    assert_int_equal(last_report.skipped_first, 12);
    assert_int_equal(last_report.skipped_last, 44);
    assert_int_equal(dwal_verifier_run(replica.verifier, 0), DWAL_ETIMEOUT);
    struct dwal_verifier_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_verifier_get_stats(replica.verifier, &stats), 0);
    assert_int_equal(stats.checkpoints, 4);
    assert_int_equal(stats.dropped, 3);
    assert_int_equal(stats.verified, 1);
    stats.size = 0;
    assert_int_equal(dwal_verifier_get_stats(replica.verifier, &stats), DWAL_EARGUMENT);
    close_replica(&replica);
}

static void R22_the_sum_sees_every_bit_the_order_and_the_lengths(void **state)
{
    (void)state;
    uint8_t bytes[37];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 11);
    uint64_t sum = dwal_verifier_sum(0, 5, bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(dwal_verifier_sum(0, 5, bytes, sizeof bytes), sum);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_not_equal(dwal_verifier_sum(0, 6, bytes, sizeof bytes), sum);
    uint8_t zeros[3] = {0};
    assert_int_not_equal(dwal_verifier_sum(0, 1, zeros, 2), dwal_verifier_sum(0, 1, zeros, 3));
    uint64_t ab = dwal_verifier_sum(dwal_verifier_sum(0, 1, "a", 1), 2, "b", 1);
    assert_int_not_equal(ab, dwal_verifier_sum(dwal_verifier_sum(0, 1, "b", 1), 2, "a", 1));
    assert_string_equal(dwal_verifier_fault_name(DWAL_VERIFIER_STORAGE), "storage");
}

/* ---- R23 ---- */

struct dumped {
    uint64_t count, last;
    uint64_t stop_at;
    char json[200];
};

static bool dump_entry(void *context, const struct dwal_indexed_record *record)
{
    struct dumped *dumped = context;
    dumped->count++;
    dumped->last = record->index;
    snprintf(dumped->json, sizeof dumped->json, "{\"index\":%" PRIu64 ",\"lsn\":%" PRIu64 ",\"size\":%zu}",
             record->index, record->lsn, record->size);
    return record->index != dumped->stop_at;
}

static void R23_entries_are_dumped_beside_the_writer_also_truncated_ones(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 100, 0, 10);
    assert_int_equal(dwal_indexed_truncate_back(log, 90), 0);
    dw_indexed_kit_store(log, 91, 120, 1, 10);
    struct dumped dumped = {0};
    struct dwal_indexed_dump dump = {.size = sizeof dump, .context = &dumped, .entry = dump_entry};
    for (int attempt = 0; attempt < 200 && dumped.count != 130; attempt++) { /* up to the newest watermark */
        dumped.count = 0;
        assert_int_equal(dwal_indexed_set_u64(log, "t", 1, (uint64_t)attempt), 0);
        assert_int_equal(dwal_indexed_dump_entries(dw_log_kit_path, &dump), 0);
    }
    assert_int_equal(dumped.count, 130); /* 91 to 100 twice */
    assert_int_equal(dumped.last, 120);
    dumped.count = 0;
    dump.after = 49;
    dump.before = 60;
    assert_int_equal(dwal_indexed_dump_entries(dw_log_kit_path, &dump), 0);
    assert_int_equal(dumped.count, 10);
    dumped = (struct dumped){.stop_at = 55};
    assert_int_equal(dwal_indexed_dump_entries(dw_log_kit_path, &dump), 0);
    assert_int_equal(dumped.last, 55);
    assert_int_equal(dwal_indexed_dump_entries(dw_log_kit_path, NULL), DWAL_EARGUMENT);
    dw_indexed_kit_close(log);
}

/* ---- R24 ---- */

struct progress {
    uint64_t calls, stop_at, index, last, bytes;
};

static bool see_progress(void *context, uint64_t index, uint64_t last, uint64_t bytes)
{
    struct progress *progress = context;
    assert_true(index > progress->index && bytes > progress->bytes);
    progress->index = index;
    progress->last = last;
    progress->bytes = bytes;
    return ++progress->calls != progress->stop_at;
}

static void R24_a_log_is_copied_with_progress_can_be_stopped_and_taken_up(void **state)
{
    (void)state;
    char place[DW_TMPDIR_SIZE + 16], value[8];
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *from = dw_indexed_kit_create(), *to;
    size_t size;
    dw_indexed_kit_store(from, 7, 3000, 0, 100);
    assert_int_equal(dwal_indexed_set(from, "vote", 4, "me", 2), 0);
    assert_int_equal(dwal_indexed_set_u64(from, "extra", 5, 9), 0);
    snprintf(place, sizeof place, "%s/copy", dw_log_kit_directory);
    assert_int_equal(dwal_indexed_create(place, &options), 0);
    assert_int_equal(dwal_indexed_open(place, &options, &to), 0);
    struct progress progress = {.stop_at = 3};
    struct dwal_indexed_copy copy = {
        .size = sizeof copy, .batch_bytes = 50000, .progress = see_progress, .context = &progress};
    assert_int_equal(dwal_indexed_copy_from(to, from, &copy), DWAL_EINDEX_CANCELLED);
    assert_int_equal(progress.calls, 3);
    assert_int_equal(progress.last, 3000);
    assert_in_range(progress.bytes, 150000, 160000);
    assert_int_equal(dwal_indexed_last(to), progress.index);
    progress = (struct progress){.index = progress.index};
    assert_int_equal(dwal_indexed_copy_from(to, from, &copy), 0);
    assert_int_equal(progress.index, 3000);
    dw_indexed_kit_expect_all(to, 7, 3000, 0, 0);
    assert_int_equal(dwal_indexed_value(to, "vote", 4, value, sizeof value, &size, NULL), 0);
    assert_int_equal(size, 2);
    uint64_t number;
    assert_int_equal(dwal_indexed_value_u64(to, "extra", 5, &number), 0);
    assert_int_equal(number, 9);
    assert_int_equal(dwal_indexed_copy_from(to, from, NULL), 0); /* nothing is left to copy */
    assert_int_equal(dwal_indexed_reset(to), 0);
    dw_indexed_kit_store(to, 1, 2, 0, 2); /* does not end where the other one begins */
    assert_int_equal(dwal_indexed_copy_from(to, from, NULL), DWAL_EINDEX_GAP);
    dw_indexed_kit_close(to);
    dw_indexed_kit_close(from);
}

/* ---- R25 ---- */

static void R25_the_counters_count_what_was_done(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 2000, 0, 100);
    dw_indexed_kit_expect(log, 1999, 0);
    assert_int_equal(dwal_indexed_truncate_front(log, 1001), 0);
    assert_int_equal(dwal_indexed_truncate_back(log, 1990), 0);
    assert_int_equal(dwal_indexed_set_u64(log, "k", 1, 1), 0);
    uint64_t number, bytes = 0;
    uint8_t content[DW_INDEXED_KIT_SIZE_MAX];
    assert_int_equal(dwal_indexed_value_u64(log, "k", 1, &number), 0);
    for (uint64_t index = 1; index <= 2000; index++)
        bytes += dw_indexed_kit_bytes(index, 0, content);
    struct dwal_indexed_stats stats = dw_indexed_kit_stats(log);
    assert_int_equal(stats.appends, 20);
    assert_int_equal(stats.entries_written, 2000);
    assert_int_equal(stats.bytes_written, bytes);
    assert_int_equal(stats.entries_read, 1);
    assert_int_equal(stats.bytes_read, dw_indexed_kit_bytes(1999, 0, content));
    assert_int_equal(stats.cached_reads, 1);
    assert_int_equal(stats.front_truncations, 1);
    assert_int_equal(stats.entries_truncated_front, 1000);
    assert_int_equal(stats.back_truncations, 1);
    assert_int_equal(stats.entries_truncated_back, 10);
    assert_int_equal(stats.value_sets, 1);
    assert_int_equal(stats.value_gets, 1);
    assert_in_range(stats.volumes, 3, 10);
    assert_true(stats.volume_age_ns > 0);
    static char text[8192],
        *wanted[] = {"dwal_indexed_entries_written_total 2000\n", "# TYPE dwal_indexed_bytes_read_total"};
    size_t length = dwal_indexed_stats_text(&stats, text, sizeof text);
    assert_int_equal(length, strlen(text));
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr(text, wanted[i]));
    char small[10];
    assert_int_equal(dwal_indexed_stats_text(&stats, small, sizeof small), length);
    assert_int_equal(strlen(small), 9);
    assert_int_equal(dwal_indexed_stats_text(&stats, NULL, 0), length);
    stats.size = 0;
    assert_int_equal(dwal_indexed_get_stats(log, &stats), DWAL_EARGUMENT);
    dw_indexed_kit_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(R19_the_codec_of_the_first_open_is_kept_and_compared),
        DW_LOG_KIT_TEST(R19_the_users_callbacks_are_called_with_the_users_context),
        DW_LOG_KIT_TEST(a_log_of_another_kind_is_refused),
        DW_LOG_KIT_TEST(a_second_process_may_read_but_not_write),
        DW_LOG_KIT_TEST(R22_a_checkpoint_is_compared_with_what_was_written_and_read),
        DW_LOG_KIT_TEST(R22_what_changed_here_is_told_apart_from_what_came_changed),
        DW_LOG_KIT_TEST(R22_one_range_waits_others_are_dropped_counted_and_told),
        DW_LOG_KIT_TEST(R22_the_sum_sees_every_bit_the_order_and_the_lengths),
        DW_LOG_KIT_TEST(R23_entries_are_dumped_beside_the_writer_also_truncated_ones),
        DW_LOG_KIT_TEST(R24_a_log_is_copied_with_progress_can_be_stopped_and_taken_up),
        DW_LOG_KIT_TEST(R25_the_counters_count_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
