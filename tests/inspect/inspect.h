/* inspect.h - what the tests of the inspecting calls share: a small log in a fresh directory, and bytes turned in it.
 *
 * The log: volumes of 256 KiB, entries "entry N" with metadata "m", some of them long enough to run on from volume to
 * volume. Closed cleanly. */
#ifndef DW_TESTS_INSPECT_INSPECT_H
#define DW_TESTS_INSPECT_INSPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <dwal/inspect.h>
#include <dwal/scan.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

#define ENTRY_COUNT 900
#define LONG_SIZE   90000u

struct made {
    char directory[DW_TMPDIR_SIZE];
    char path[DW_TMPDIR_SIZE + 16];
    char save[DW_TMPDIR_SIZE + 16];
    uint64_t lsns[ENTRY_COUNT], ends[ENTRY_COUNT];
};

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int must_result = (call);                                                                                      \
        if (must_result != 0)                                                                                          \
            fail_msg("%s: %s: %s", #call, dwal_error_name(must_result), dwal_last_error()->text);                      \
    } while (0)

/* Every 100th entry is long. The content tells the entry's index. */
static inline size_t fill_entry(size_t index, char *data)
{
    size_t size = index % 100 == 99 ? LONG_SIZE : 40 + index % 700;
    memset(data, 'a' + (int)(index % 26), size);
    int head = snprintf(data, 32, "entry %zu", index);
    data[head] = ' ';
    return size;
}

static inline void append_entries(dwal *log, struct made *made, size_t from, size_t to)
{
    static char data[LONG_SIZE];
    char meta[] = "m";
    for (size_t i = from; i < to; i++) {
        struct iovec parts[2] = {{meta, 1}, {data, fill_entry(i, data)}};
        struct dwal_entry entry = {&parts[0], &parts[1], 1, 1, (uint16_t)i};
        must(dwal_append(log, &entry, &made->lsns[i], &made->ends[i]));
    }
}

static inline int make_log(void **state)
{
    static struct made made;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dw_tmpdir_make(made.directory, "inspect");
    snprintf(made.path, sizeof made.path, "%s/log", made.directory);
    snprintf(made.save, sizeof made.save, "%s/save", made.directory);
    options.volume_size = 256 << 10;
    options.blanks = 1;
    must(dwal_create(made.path, &options));
    dwal *log;
    must(dwal_open(made.path, NULL, &log));
    append_entries(log, &made, 0, ENTRY_COUNT);
    must(dwal_close(log));
    *state = &made;
    return 0;
}
static inline int remove_log(void **state)
{
    struct made *made = *state;
    dw_tmpdir_remove(made->directory);
    return 0;
}
#define INSPECT_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_log)

/* Turn bytes of a file. */
static inline void turn_bytes(const struct made *made, const char *name, long offset, size_t size)
{
    char path[DW_TMPDIR_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", made->path, name);
    FILE *file = fopen(path, "r+be");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(fseek(file, offset + (long)i, SEEK_SET), 0);
        int byte = fgetc(file);
        assert_int_equal(fseek(file, offset + (long)i, SEEK_SET), 0);
        assert_int_not_equal(fputc(byte ^ 0x55, file), EOF);
    }
    assert_int_equal(fclose(file), 0);
}

/* The byte of its volume's file at which payload of `lsn` lies: with blocks of 4096 and sectors of 512 bytes. */
static inline long place_of(uint64_t lsn, const struct dwal_info *info)
{
    uint64_t block = lsn / info->payload_size % info->data_blocks, q = lsn % info->payload_size + 28;
    return (long)((block + 2) * info->block_size + q + 4 + 4 * (q / (info->sector_size - 4)));
}
static inline uint32_t volume_of(uint64_t lsn, const struct dwal_info *info)
{
    return (uint32_t)(lsn / info->payload_size / info->data_blocks);
}
static inline struct dwal_info info_of(const struct made *made)
{
    struct dwal_info info = {.size = sizeof info};
    must(dwal_get_info(made->path, NULL, &info));
    return info;
}
static inline void turn_lsn(const struct made *made, uint64_t lsn, size_t size)
{
    struct dwal_info info = info_of(made);
    char name[32];
    snprintf(name, sizeof name, "%010u.vol", volume_of(lsn, &info));
    turn_bytes(made, name, place_of(lsn, &info), size);
}

struct findings {
    size_t count, repairable;
    struct dwal_damage first;
};
static inline void take_finding(void *context, const struct dwal_damage *damage)
{
    struct findings *findings = context;
    if (findings->count++ == 0)
        findings->first = *damage;
    findings->repairable += damage->is_repairable;
}
static inline struct dwal_report verify(const struct made *made, struct findings *findings)
{
    struct dwal_report report = {.size = sizeof report};
    memset(findings, 0, sizeof *findings);
    must(dwal_verify(made->path, NULL, true, take_finding, findings, &report));
    assert_int_equal(report.findings, findings->count);
    return report;
}

/* Entries of the log from index `from` on are exactly those of indexes [from, to). */
static inline void expect_entries(const struct made *made, size_t from, size_t to)
{
    static char data[LONG_SIZE];
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    dwal *log;
    dwal_cursor *cursor;
    must(dwal_open(made->path, &options, &log));
    must(dwal_cursor_open(log, made->lsns[from], &cursor));
    struct dwal_record record;
    for (size_t i = from; i < to; i++) {
        must(dwal_cursor_next(cursor, &record));
        size_t size = fill_entry(i, data);
        assert_int_equal(record.lsn, made->lsns[i]);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, data, size);
    }
    assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_EEND);
    dwal_cursor_close(cursor);
    must(dwal_close(log));
}

#endif
