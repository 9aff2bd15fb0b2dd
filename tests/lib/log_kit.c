/* log_kit.c - see log_kit.h. */
#include "tests/lib/log_kit.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/io_place.h"

char dw_log_kit_directory[DW_TMPDIR_SIZE];
char dw_log_kit_path[DW_TMPDIR_SIZE + 8];
const char *dw_log_kit_backend = "sync";

int dw_log_kit_set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(dw_log_kit_directory, "log");
    snprintf(dw_log_kit_path, sizeof dw_log_kit_path, "%s/log", dw_log_kit_directory);
    return 0;
}
int dw_log_kit_tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(dw_log_kit_directory);
    return 0;
}

struct dwal_options dw_log_kit_options(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.ring_size = 256 << 10;
    options.write_size_max = 32 << 10;
    options.blanks = 2;
    options.backend = dw_log_kit_backend;
    return options;
}

dwal *dw_log_kit_open_with(const struct dwal_options *options)
{
    dwal *log = NULL;
    int result = dwal_open(dw_log_kit_path, options, &log);
    if (result < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

dwal *dw_log_kit_open(void)
{
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 0;
    options.blanks = 0;
    return dw_log_kit_open_with(&options);
}

dwal *dw_log_kit_create(void)
{
    struct dwal_options options = dw_log_kit_options();
    if (dwal_create(dw_log_kit_path, &options) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    return dw_log_kit_open();
}

struct dwal_entry dw_log_kit_entry(const void *bytes, size_t size, struct iovec *part)
{
    *part = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    return (struct dwal_entry){.data = part, .data_count = 1};
}

uint64_t dw_log_kit_append_text(dwal *log, const char *text, uint64_t *end)
{
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(text, strlen(text), &part);
    uint64_t lsn;
    assert_int_equal(dwal_append(log, &entry, &lsn, end), 0);
    return lsn;
}

/* Entry `i` is its number, spread over a size of its own. */
size_t dw_log_kit_numbered(uint64_t i, char *bytes)
{
    size_t size = 8 + (size_t)(i * 131 % 900);
    memset(bytes, (int)(i % 251), size);
    memcpy(bytes, &i, sizeof i);
    return size;
}

void dw_log_kit_append(dwal *log, uint64_t from, uint64_t to)
{
    char bytes[1024];
    struct iovec part;
    uint64_t end = 0;
    for (uint64_t i = from; i < to; i++) {
        struct dwal_entry entry = dw_log_kit_entry(bytes, dw_log_kit_numbered(i, bytes), &part);
        if (dwal_append(log, &entry, NULL, &end) < 0)
            fail_msg("append: %s", dwal_last_error()->text);
    }
    assert_int_equal(dwal_sync(log, end), 0);
}

void dw_log_kit_check(dwal *log, uint64_t from, uint64_t to)
{
    dwal_cursor *cursor;
    char expected[1024];
    struct dwal_record record;
    uint64_t i = from;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        size_t size = dw_log_kit_numbered(i, expected);
        if (record.data_size != size || memcmp(record.data, expected, size) != 0)
            fail_msg("entry %llu differs", (unsigned long long)i);
        i++;
    }
    assert_int_equal(result, DWAL_EEND);
    assert_int_equal(i, to);
    dwal_cursor_close(cursor);
}

int dw_log_kit_run(const struct CMUnitTest *tests, size_t count)
{
    static const char *const backends[] = {"sync", "uring", "aio"};
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        dw_log_kit_backend = backends[i];
        if (!dw_place_has_queue(dw_log_kit_backend)) {
            printf("skipped: %s is forbidden here, or not built\n", dw_log_kit_backend);
            continue;
        }
        failed += _cmocka_run_group_tests(dw_log_kit_backend, tests, count, NULL, NULL);
    }
    return failed;
}
