/* device_kit.c - see device_kit.h. */
#include "tests/lib/device_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/format/codec.h"
#include "core/log/log.h"

#define ENTRY_SIZE 11000u /* three blocks */

uint64_t dw_device_kit_size(uint32_t slots)
{
    struct dw_device_info info = {
        .block_size = 4096, .slot_size = DW_DEVICE_KIT_VOLUME, .device_size = UINT64_C(1) << 30};
    assert_true(dw_device_layout(&info));
    return 2 * info.slots_at + slots * DW_DEVICE_KIT_VOLUME;
}

void dw_device_kit_make(struct dw_device_kit *kit, uint32_t slots)
{
    dw_tmpdir_make(kit->directory, "device");
    snprintf(kit->path, sizeof kit->path, "%s/device", kit->directory);
    int file = open(kit->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    dw_device_kit_resize(kit, dw_device_kit_size(slots));
}

void dw_device_kit_remove(struct dw_device_kit *kit)
{
    dw_tmpdir_remove(kit->directory);
}

void dw_device_kit_resize(struct dw_device_kit *kit, uint64_t size)
{
    assert_int_equal(truncate(kit->path, (off_t)size), 0);
}

struct dw_disk *dw_device_kit_disk(struct dw_device_kit *kit, const char *name, unsigned flags)
{
    struct dw_disk *disk;
    assert_int_equal(dw_disk_device_open(kit->path, flags, true, &disk), 0);
    snprintf(disk->part, sizeof disk->part, "%s", name);
    return disk;
}

struct dwal_options dw_device_kit_options(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = DW_DEVICE_KIT_VOLUME;
    options.ring_size = 128 << 10;
    options.write_size_max = 16 << 10;
    options.blanks = 1;
    options.backend = "sync";
    return options;
}

int dw_device_kit_create(struct dw_device_kit *kit, const char *name, const struct dwal_options *given)
{
    static uint8_t next;
    uint8_t log_id[16] = {7, ++next};
    struct dwal_options options = given ? *given : dw_device_kit_options();
    struct dw_disk *disk = dw_device_kit_disk(kit, name, DW_OPEN_WRITE);
    int result = dw_log_create_on(disk, &dw_clock_system, log_id, 0x87654321u, &options);
    disk->ops->close(disk);
    return result;
}

int dw_device_kit_open(struct dw_device_kit *kit, const char *name, const struct dwal_options *given, dwal **log)
{
    struct dwal_options options = given ? *given : dw_device_kit_options();
    options.volume_size = 0;
    options.blanks = 0;
    unsigned flags = options.mode == DWAL_WRITE ? DW_OPEN_WRITE : DW_OPEN_READ;
    struct dw_log_setup setup = {.disk = NULL};
    *log = NULL;
    int result = dw_disk_device_open(kit->path, flags, true, &setup.disk);
    if (result != 0) /* no assertion: a process besides the test's comes here as well */
        return dw_fail_system(result, "opening %s failed", kit->path);
    snprintf(setup.disk->part, sizeof setup.disk->part, "%s", name);
    result = dw_log_open_on(&setup, &options, log);
    if (result != 0)
        setup.disk->ops->close(setup.disk);
    return result;
}

dwal *dw_device_kit_must_open(struct dw_device_kit *kit, const char *name)
{
    dwal *log;
    if (dw_device_kit_open(kit, name, NULL, &log) != 0)
        fail_msg("open #%s: %s", name, dwal_last_error()->text);
    return log;
}

void dw_device_kit_must_close(dwal *log)
{
    if (dwal_close(log) != 0)
        fail_msg("close: %s", dwal_last_error()->text);
}

/* ---- entries ---- */

enum { WAIT_MS = 60000 }; /* a disk that others keep busy */

static void fill_entry(char letter, uint64_t number, char bytes[ENTRY_SIZE])
{
    memset(bytes, letter, ENTRY_SIZE);
    memcpy(bytes, &number, sizeof number);
}

static int commit(dwal *log, char letter, uint64_t number, uint64_t *end)
{
    static char bytes[ENTRY_SIZE];
    fill_entry(letter, number, bytes);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    return dwal_commit(log, &entry, NULL, end);
}

int dw_device_kit_commit(dwal *log, char letter, uint64_t number)
{
    return commit(log, letter, number, NULL);
}

uint64_t dw_device_kit_append(dwal *log, char letter, uint64_t from, uint64_t to)
{
    uint64_t end = 0;
    for (uint64_t i = from; i < to; i++) {
        int result = DWAL_ENOSPACE; /* what was trimmed comes back a moment later */
        for (int attempt = 0; attempt < WAIT_MS && result == DWAL_ENOSPACE; attempt++) {
            result = commit(log, letter, i, &end);
            if (result == DWAL_ENOSPACE)
                usleep(1000);
        }
        if (result != 0)
            fail_msg("commit of %c %llu: %s", letter, (unsigned long long)i, dwal_last_error()->text);
    }
    return end;
}

void dw_device_kit_check(dwal *log, char letter, uint64_t from, uint64_t to)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    uint64_t number = from;
    bool is_first = true;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int result; (result = dwal_cursor_next(cursor, &record)) != DWAL_EEND; number++) {
        static char bytes[ENTRY_SIZE];
        if (result != 0)
            fail_msg("entry %c %llu: %s", letter, (unsigned long long)number, dwal_last_error()->text);
        assert_int_equal(record.data_size, ENTRY_SIZE);
        if (is_first && dwal_first(log) > 0)
            memcpy(&number, record.data, sizeof number);
        is_first = false;
        fill_entry(letter, number, bytes);
        assert_memory_equal(record.data, bytes, ENTRY_SIZE);
    }
    dwal_cursor_close(cursor);
    assert_int_equal(number, to);
}

/* ---- slots ---- */

static void keep_log(void *context, const struct dwal_device_log *log)
{
    struct dw_device_kit_logs *logs = context;
    logs->logs[logs->count++] = *log;
}

static struct dwal_device survey(struct dw_disk *disk, struct dw_device_kit_logs *logs)
{
    struct dwal_device device = {.size = sizeof device};
    struct dw_device_kit_logs own;
    logs = logs ? logs : &own;
    logs->count = 0;
    if (dw_store_survey_device(disk, &device, keep_log, logs) != 0)
        fail_msg("survey: %s", dwal_last_error()->text);
    return device;
}

struct dwal_device dw_device_kit_survey(struct dw_device_kit *kit, struct dw_device_kit_logs *logs)
{
    struct dw_disk *disk = dw_device_kit_disk(kit, "", DW_OPEN_READ);
    struct dwal_device device = survey(disk, logs);
    disk->ops->close(disk);
    return device;
}

void dw_device_kit_wait_free(struct dw_device_kit *kit, uint32_t slots)
{
    for (int attempt = 0; attempt < WAIT_MS && dw_device_kit_survey(kit, NULL).slots_free < slots; attempt++)
        usleep(1000);
    assert_true(dw_device_kit_survey(kit, NULL).slots_free >= slots);
}

void dw_device_kit_check_slots(struct dw_disk *disk)
{
    struct dw_device_kit_logs logs;
    struct dwal_device device = survey(disk, &logs);
    uint32_t slots = device.slots_free;
    for (uint32_t i = 0; i < logs.count; i++) {
        slots += logs.logs[i].volumes + logs.logs[i].blanks;
        assert_int_equal(logs.logs[i].unfinished, 0);
        assert_true(logs.logs[i].is_complete);
    }
    assert_int_equal(slots, device.slots);
    assert_int_equal(device.slots_damaged, 0);
}

void dw_device_kit_check_all_slots(struct dw_device_kit *kit)
{
    struct dw_disk *disk = dw_device_kit_disk(kit, "", DW_OPEN_READ);
    dw_device_kit_check_slots(disk);
    disk->ops->close(disk);
}

/* ---- bytes ---- */

void dw_device_kit_read(struct dw_device_kit *kit, uint64_t offset, void *bytes, size_t size)
{
    int file = open(kit->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(file, bytes, size, (off_t)offset), (ssize_t)size);
    close(file);
}

void dw_device_kit_write(struct dw_device_kit *kit, uint64_t offset, const void *bytes, size_t size)
{
    int file = open(kit->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, bytes, size, (off_t)offset), (ssize_t)size);
    assert_int_equal(fsync(file), 0);
    close(file);
}

void dw_device_kit_spoil(struct dw_device_kit *kit, uint64_t offset, size_t size)
{
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 0xdb, size);
    dw_device_kit_write(kit, offset, bytes, size);
    free(bytes);
}
