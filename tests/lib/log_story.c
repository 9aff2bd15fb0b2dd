/* log_story.c - the story and its oracle: see log_story.h.
 *
 * Promises that are checked at every step: what was acknowledged is there, in order, byte for byte; a batch whole or not
 * at all; what was dropped stays away; the trim point is one that was asked for; a failed log stays failed with its first
 * cause, acknowledges nothing more and still reads; an error has its code, its place and its words. */
#include "tests/lib/log_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"

enum { SIZE_MAX_OF_ENTRY = 40000, BATCH_MAX = 8, ATTEMPTS = 60 };

char dw_story_context[512];

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fail_msg(" (%s): %s", #condition, dw_story_context);                                                       \
        }                                                                                                              \
    } while (0)

/* ---- content ---- */

size_t dw_story_size_of(uint32_t seed)
{
    if (seed % 31 == 17)
        return SIZE_MAX_OF_ENTRY; /* larger than the ring */
    if (seed % 7 == 3)
        return 5000; /* runs on into the next block */
    return 8 + (size_t)seed * 131 % 900;
}

void dw_story_fill(uint32_t seed, void *bytes)
{
    uint8_t *at = bytes;
    size_t size = dw_story_size_of(seed);
    uint32_t word = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        word = word * 1664525u + 1013904223u;
        at[i] = (uint8_t)(word >> 24);
    }
}

/* ---- making ---- */

/* Time passes whenever somebody looks: what waits for a moment is tried again soon, and every run is alike. */
static uint64_t tick(void *context)
{
    struct dw_story *story = context;
    story->now_ns += 500000;
    return story->now_ns;
}

struct dw_story *dw_story_new(struct dw_disk *disk, const char *backend)
{
    struct dw_story *story = calloc(1, sizeof *story);
    if (!story)
        abort();
    story->disk = disk;
    story->backend = backend;
    story->blanks = 1;
    story->now_ns = 1000000000;
    story->clock = (struct dw_clock){.monotonic_ns = tick, .realtime_ns = tick, .context = story};
    return story;
}

void dw_story_free(struct dw_story *story)
{
    CHECK(!story->log, "a log is still open");
    free(story);
}

struct dwal_options dw_story_options(const struct dw_story *story)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 32 << 10;
    options.write_size_max = 16 << 10;
    options.backend = story->backend;
    options.marker_delay_ms = story->is_single_stepped ? UINT32_MAX : 3;
    return options;
}

/* An error has a code of its own, the words of its code's action, and a text that stands for itself. */
static int note(struct dw_story *story, int result, const char *what)
{
    if (result == 0 || result == DWAL_EEND)
        return result;
    const struct dwal_error *error = dwal_last_error();
    CHECK(result < 0 && strcmp(dwal_error_name(result), "unknown") != 0, "%s answers %d\n", what, result);
    CHECK(error->code == result, "%s answers %s, the error says %s: %s\n", what, dwal_error_name(result),
          dwal_error_name(error->code), error->text);
    CHECK(strlen(error->text) > 20, "%s: the text says little: \"%s\"\n", what, error->text);
    CHECK(strstr(error->text, dwal_error_action(result)) || strlen(error->text) + 1 == sizeof error->text,
          "%s: what to do is missing: \"%s\"\n", what, error->text);
    story->errors++;
    return result;
}

int dw_story_create(struct dw_story *story)
{
    static const uint8_t log_id[16] = "story of a log";
    struct dwal_options options = dw_story_options(story);
    options.volume_size = 64 << 10; /* 13 data blocks */
    options.blanks = story->blanks;
    int result =
        dw_log_create_on(story->disk, story->is_single_stepped ? &story->clock : NULL, log_id, 0x80001234u, &options);
    story->is_created |= result == 0;
    story->is_created_durably |= result == 0;
    note(story, result, "create");
    if (story->on_life_end)
        story->on_life_end(story->context);
    return result;
}

static int open_on(struct dw_story *story, struct dw_disk *disk, const struct dwal_options *options, dwal **log)
{
    struct dw_log_setup setup = {.disk = disk, .is_disk_borrowed = true, .is_single_stepped = story->is_single_stepped};
    if (story->is_single_stepped)
        setup.clock = &story->clock;
    int result = dw_log_open_on(&setup, options, log);
    CHECK(result < 0 ? *log == NULL : *log != NULL, "open answers %d\n", result);
    return result;
}

int dw_story_open(struct dw_story *story, const struct dwal_options *options)
{
    struct dwal_options own = dw_story_options(story);
    int result = note(story, open_on(story, story->disk, options ? options : &own, &story->log), "open");
    story->lives += result == 0;
    story->open_errors += result != 0;
    if (result != 0 && story->on_life_end)
        story->on_life_end(story->context);
    return result;
}

void dw_story_pump(struct dw_story *story)
{
    if (!story->is_single_stepped) {
        usleep(2000);
        return;
    }
    uint32_t idle = 0;
    for (uint32_t i = 0; i < 200 && idle < 6; i++) { /* idle: time passes for what waits */
        bool is_worked = dw_log_step_maker(story->log);
        idle = is_worked ? 0 : idle + 1;
        dw_log_step_flusher(story->log);
    }
}

/* ---- reading ---- */

/* Index of the first entry at or behind `lsn`. */
static uint32_t index_from(const struct dw_story *story, uint64_t lsn)
{
    uint32_t i = 0;
    while (i < story->entry_count && story->entries[i].lsn < lsn)
        i++;
    return i;
}

static void compare(const struct dw_story_entry *entry, const struct dwal_record *record)
{
    static uint8_t expected[SIZE_MAX_OF_ENTRY];
    CHECK(record->lsn == entry->lsn && record->end == entry->end, "entry %u: lsn %llu, read %llu\n", entry->seed,
          (unsigned long long)entry->lsn, (unsigned long long)record->lsn);
    CHECK(record->user == (uint16_t)entry->seed && record->more_of_batch == entry->is_more, "entry %u\n", entry->seed);
    CHECK(record->data_size == dw_story_size_of(entry->seed), "entry %u\n", entry->seed);
    dw_story_fill(entry->seed, expected);
    CHECK(memcmp(record->data, expected, record->data_size) == 0, "entry %u has other bytes\n", entry->seed);
}

/* Compare the log with the model. Answers the index behind the last entry that is there; UINT32_MAX: a read failed. */
static uint32_t walk(const struct dw_story *story, dwal *log)
{
    uint64_t first = dwal_first(log);
    CHECK(first == story->trim_done || first == story->trim_tried || story->trim_done == 0,
          "the trim point is %llu, asked for were %llu and %llu\n", (unsigned long long)first,
          (unsigned long long)story->trim_done, (unsigned long long)story->trim_tried);
    CHECK(first >= story->trim_done, "trimmed to %llu, now %llu\n", (unsigned long long)story->trim_done,
          (unsigned long long)first);
    dwal_cursor *cursor;
    if (dwal_cursor_open(log, 0, &cursor) != 0)
        return UINT32_MAX;
    uint32_t i = index_from(story, first);
    struct dwal_record record;
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        CHECK(i < story->entry_count, "the entry at lsn %llu was never appended, or was dropped\n",
              (unsigned long long)record.lsn);
        compare(&story->entries[i++], &record);
    }
    dwal_cursor_close(cursor);
    if (result != DWAL_EEND)
        return UINT32_MAX;
    CHECK(i == 0 || !story->entries[i - 1].is_more, "half a batch: it stops behind entry %u\n",
          story->entries[i - 1].seed);
    for (uint32_t rest = i; rest < story->entry_count; rest++)
        CHECK(!story->entries[rest].is_acknowledged, "entry %u at lsn %llu was acknowledged and is lost\n",
              story->entries[rest].seed, (unsigned long long)story->entries[rest].lsn);
    return i;
}

bool dw_story_read_all(struct dw_story *story, bool is_reopened)
{
    uint32_t found = walk(story, story->log);
    if (found == UINT32_MAX) {
        CHECK(story->may_reads_fail, "the log cannot be read: %s\n", dwal_last_error()->text);
        note(story, dwal_last_error()->code, "cursor");
        return false;
    }
    if (!is_reopened)
        return true; /* what is not durable yet is not shown yet */
    if (story->trim_tried != story->trim_done && dwal_first(story->log) == story->trim_tried)
        story->trim_done = story->trim_tried; /* it is there now, and durable: the superblock was synced and read */
    story->trim_tried = story->trim_done;
    story->entry_count = found;
    return true;
}

/* One entry by its lsn. */
static int read_one(struct dw_story *story, uint32_t index)
{
    static uint8_t buffer[SIZE_MAX_OF_ENTRY];
    struct dwal_record record;
    int result = dwal_read(story->log, story->entries[index].lsn, buffer, sizeof buffer, &record);
    if (result == 0)
        compare(&story->entries[index], &record);
    CHECK(result == 0 || story->may_reads_fail, "entry %u cannot be read: %s\n", story->entries[index].seed,
          dwal_last_error()->text);
    return note(story, result, "read");
}

/* ---- writing ---- */

static void remember(struct dw_story *story, uint32_t seed, uint64_t lsn, bool is_more)
{
    CHECK(story->entry_count < DW_STORY_ENTRIES_MAX, "the story is too long\n");
    story->entries[story->entry_count++] =
        (struct dw_story_entry){.lsn = lsn, .end = lsn + 20 + dw_story_size_of(seed), .seed = seed, .is_more = is_more};
}

int dw_story_append(struct dw_story *story, uint32_t count)
{
    static uint8_t bytes[BATCH_MAX][SIZE_MAX_OF_ENTRY];
    struct iovec parts[BATCH_MAX];
    struct dwal_entry entries[BATCH_MAX];
    uint64_t lsns[BATCH_MAX], end;
    uint32_t seed = story->next_seed;
    story->next_seed += count;
    for (uint32_t i = 0; i < count; i++) {
        dw_story_fill(seed + i, bytes[i]);
        parts[i] = (struct iovec){bytes[i], dw_story_size_of(seed + i)};
        entries[i] = (struct dwal_entry){.data = &parts[i], .data_count = 1, .user = (uint16_t)(seed + i)};
    }
    int result = DWAL_EFULL;
    for (uint32_t attempt = 0; attempt < ATTEMPTS && (result == DWAL_EFULL || result == DWAL_ENOSPACE); attempt++) {
        if (attempt > 0)
            dw_story_pump(story);
        result = count == 1 ? dwal_append(story->log, entries, lsns, &end)
                            : dwal_append_batch(story->log, entries, count, lsns, &end);
        story->no_space += result == DWAL_ENOSPACE;
    }
    if (result == DWAL_EFULL) /* without a text of its own: it exists single-stepped only */
        return result;
    for (uint32_t i = 0; i < count && result == 0; i++)
        remember(story, seed + i, lsns[i], i + 1 < count);
    return note(story, result, "append");
}

static void acknowledge(struct dw_story *story, uint64_t end)
{
    CHECK(dwal_durable(story->log) >= end, "acknowledged, and durable is less\n");
    for (uint32_t i = 0; i < story->entry_count; i++)
        story->entries[i].is_acknowledged |= story->entries[i].end <= end;
}

int dw_story_sync(struct dw_story *story)
{
    if (story->entry_count == 0)
        return 0;
    uint64_t end = story->entries[story->entry_count - 1].end;
    /* With a limit the flusher's thread does the write, without one the caller itself. */
    bool is_limited = !story->is_single_stepped && story->entry_count % 2 == 0;
    int result = is_limited ? dwal_sync_for(story->log, end, UINT64_C(20000000000)) : dwal_sync(story->log, end);
    if (result == 0)
        acknowledge(story, end);
    return note(story, result, "sync");
}

static int commit(struct dw_story *story)
{
    static uint8_t bytes[SIZE_MAX_OF_ENTRY];
    uint32_t seed = story->next_seed++;
    uint64_t lsn = DWAL_NO_LSN, end;
    dw_story_fill(seed, bytes);
    struct iovec part = {bytes, dw_story_size_of(seed)};
    struct dwal_entry entry = {.data = &part, .data_count = 1, .user = (uint16_t)seed};
    int result = DWAL_EFULL;
    for (uint32_t attempt = 0; attempt < ATTEMPTS && (result == DWAL_EFULL || result == DWAL_ENOSPACE); attempt++) {
        if (attempt > 0)
            dw_story_pump(story);
        result = dwal_commit(story->log, &entry, &lsn, &end);
        story->no_space += result == DWAL_ENOSPACE;
    }
    if (result == DWAL_EFULL)
        return result;
    if (lsn != DWAL_NO_LSN) /* reserved: after an error it may be there, or not */
        remember(story, seed, lsn, false);
    if (result == 0)
        acknowledge(story, end);
    return note(story, result, "commit");
}

static int trim(struct dw_story *story, uint32_t index)
{
    uint64_t lsn = story->entries[index].lsn;
    story->trim_tried = lsn;
    int result = dwal_trim(story->log, lsn);
    if (result == 0)
        story->trim_done = lsn;
    return note(story, result, "trim");
}

/* ---- a log that failed ---- */

static void check_failed(struct dw_story *story)
{
    struct dwal_error before, after;
    int code = dwal_failure(story->log, &before);
    CHECK(code < 0 && code == before.code && code != DWAL_EFAILED, "the first cause is %d\n", code);
    CHECK(code != DWAL_ENOSPACE, "a full disk is no failure: %s\n", before.text);
    CHECK(strlen(before.text) > 20 && strchr(before.text, ';'), "the cause says little: \"%s\"\n", before.text);
    uint64_t durable = dwal_durable(story->log);
    struct dwal_entry entry = {0};
    uint64_t lsn, end;
    CHECK(dwal_append(story->log, &entry, &lsn, &end) == DWAL_EFAILED, "append goes on\n");
    CHECK(dwal_commit(story->log, &entry, &lsn, &end) == DWAL_EFAILED, "commit goes on\n");
    CHECK(dwal_append_batch(story->log, &entry, 1, &lsn, &end) == DWAL_EFAILED, "batch goes on\n");
    CHECK(dwal_flush(story->log, durable) == DWAL_EFAILED, "flush goes on\n");
    CHECK(dwal_trim(story->log, durable) == DWAL_EFAILED, "trim goes on\n");
    if (dwal_end(story->log) > durable)
        CHECK(dwal_sync(story->log, durable + 1) == DWAL_EFAILED, "sync goes on\n");
    CHECK(dwal_sync(story->log, durable) == 0, "what is durable stays acknowledged: %s\n", dwal_last_error()->text);
    for (uint32_t i = index_from(story, dwal_first(story->log)); i < story->entry_count; i++)
        if (story->entries[i].is_acknowledged)
            (void)read_one(story, i); /* compares; an injected read error is an answer too */
    dw_story_pump(story);             /* the workers may meet further failures */
    CHECK(dwal_failure(story->log, &after) == code && memcmp(&before, &after, sizeof before) == 0,
          "the first cause changed: \"%s\", then \"%s\"\n", before.text, after.text);
    CHECK(dwal_durable(story->log) == durable, "durable grew after the failure\n");
    story->cause = before;
    story->failed++;
}

int dw_story_close(struct dw_story *story)
{
    if (!story->log)
        return 0;
    bool is_failed = dwal_failure(story->log, NULL) != 0;
    if (is_failed)
        check_failed(story);
    dwal *log = story->log;
    story->log = NULL;
    int result = note(story, dwal_close(log), "close");
    CHECK(!is_failed || result < 0, "a failed log closes as if nothing were\n");
    if (result == 0)
        for (uint32_t i = 0; i < story->entry_count; i++)
            story->entries[i].is_acknowledged = true;
    if (story->on_life_end)
        story->on_life_end(story->context);
    return result;
}

/* ---- the story ---- */

static bool is_going_on(const struct dw_story *story)
{
    return dwal_failure(story->log, NULL) == 0;
}

/* Entries one by one: some only appended, some committed, a batch now and then. */
static void write_some(struct dw_story *story, uint32_t count)
{
    for (uint32_t i = 0; i < count && is_going_on(story); i++) {
        int result;
        if (i % 9 == 4)
            result = dw_story_append(story, 4);
        else if (i % 3 == 2)
            result = commit(story);
        else
            result = dw_story_append(story, 1);
        if (result == DWAL_ENOSPACE || result == DWAL_EFULL)
            return;
        if (story->is_single_stepped && i % 4 == 0)
            dw_story_pump(story);
    }
    if (is_going_on(story))
        (void)dw_story_sync(story);
}

static void first_life(struct dw_story *story)
{
    write_some(story, story->is_short ? 18 : 24);
    if (is_going_on(story))
        (void)dw_story_read_all(story, false);
    uint32_t count = story->entry_count;
    if (count > 8 && is_going_on(story) && story->entries[count * 2 / 3].is_acknowledged)
        (void)trim(story, count * 2 / 3);
    dw_story_pump(story);
    write_some(story, story->is_short ? 9 : 16);
    for (uint32_t i = index_from(story, dwal_first(story->log)); i < story->entry_count; i += 5)
        if (story->entries[i].is_acknowledged)
            (void)read_one(story, i);
    if (is_going_on(story) && dw_story_append(story, 1) == 0) /* close has something to make durable */
        (void)note(story, dwal_flush(story->log, story->entries[story->entry_count - 1].end), "flush");
    (void)dw_story_close(story);
}

static void second_life(struct dw_story *story)
{
    if (dw_story_read_all(story, true)) {
        write_some(story, 8);
        dw_story_pump(story);
    }
    (void)dw_story_close(story);
}

void dw_story_play(struct dw_story *story)
{
    int result = dw_story_create(story);
    if (result != 0)
        result = dw_story_create(story);
    if (result == DWAL_EEXIST)
        story->is_created = true;
    if (!story->is_created)
        return;
    if (dw_story_open(story, NULL) == 0)
        first_life(story);
    /* Once more, as a user would after an error: a fault that came once is over by now. */
    result = dw_story_open(story, NULL);
    if (result != 0)
        result = dw_story_open(story, NULL);
    if (result == 0)
        second_life(story);
}

void dw_story_check(struct dw_story *story, struct dw_disk *disk)
{
    story->disk = disk;
    story->may_reads_fail = false;
    if (!story->is_created) {
        int result = dw_story_create(story);
        CHECK(result == 0 || result == DWAL_EEXIST, "a log cannot be made: %s\n", dwal_last_error()->text);
    }
    int result = dw_story_open(story, NULL);
    CHECK(result == 0, "the log does not open: %s\n", dwal_last_error()->text);
    (void)dw_story_read_all(story, true);
    for (int i = 0; i < 3; i++) {
        CHECK(commit(story) == 0, "the log takes nothing more: %s\n", dwal_last_error()->text);
    }
    CHECK(dw_story_close(story) == 0, "the log does not close: %s\n", dwal_last_error()->text);
}

void dw_story_check_image(const struct dw_story *story, struct dw_disk *disk)
{
    struct dw_story copy = *story;
    struct dwal_options options = dw_story_options(&copy);
    options.mode = DWAL_READ_ONLY;
    copy.clock.context = &copy;
    copy.log = NULL;
    int result = open_on(&copy, disk, &options, &copy.log);
    if (result == DWAL_ENOLOG && !story->is_created_durably && story->lives == 0)
        return;
    CHECK(result == 0, "the crash image does not open: %s\n", dwal_last_error()->text);
    CHECK(walk(&copy, copy.log) != UINT32_MAX, "the crash image cannot be read: %s\n", dwal_last_error()->text);
    (void)dwal_close(copy.log);
}
