/* test_layer_calls.c - calls of the layers that take a path, without memory; and atomic files, with every system call failing.
 *
 * The linker leads malloc and its kin, and the system calls of atomic files, here (see CMakeLists.txt). */
#include <dirent.h>
#include <dwal/atomic_file.h>
#include <dwal/backup.h>
#include <dwal/indexed.h>
#include <dwal/journal.h>
#include <dwal/raft.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "tests/lib/indexed_kit.h"
#include "tests/lib/raft_kit.h"

/* ---- what fails ------------------------------------------------------------------------------------------------------- */

/* The n-th counted call fails, once or for good; 0: none. Only while `is_inside`. */
struct sweep {
    uint64_t count, at;
    bool is_sticky;
};
static struct sweep memory, calls;
static bool is_inside;
static int call_error;
static const char *failed_call;

static bool is_failing(struct sweep *sweep)
{
    if (!is_inside)
        return false;
    sweep->count++;
    return sweep->at != 0 && (sweep->is_sticky ? sweep->count >= sweep->at : sweep->count == sweep->at);
}

static bool is_call_failing(const char *name)
{
    if (!is_failing(&calls))
        return false;
    failed_call = name;
    errno = call_error;
    return true;
}

#define WRAP_MEMORY(type, name, declared, given)                                                                       \
    type __real_##name declared;                                                                                       \
    type __wrap_##name declared;                                                                                       \
    type __wrap_##name declared                                                                                        \
    {                                                                                                                  \
        return is_failing(&memory) ? NULL : __real_##name given;                                                       \
    }
WRAP_MEMORY(void *, malloc, (size_t size), (size))
WRAP_MEMORY(void *, calloc, (size_t count, size_t size), (count, size))
WRAP_MEMORY(void *, realloc, (void *memory_, size_t size), (memory_, size))
WRAP_MEMORY(char *, strdup, (const char *text), (text))
WRAP_MEMORY(void *, dw_host_allocate, (size_t size, size_t alignment, bool is_zeroed), (size, alignment, is_zeroed))

#define WRAP_CALL(type, name, declared, given)                                                                         \
    type __real_##name declared;                                                                                       \
    type __wrap_##name declared;                                                                                       \
    type __wrap_##name declared                                                                                        \
    {                                                                                                                  \
        return is_call_failing(#name) ? -1 : __real_##name given;                                                      \
    }
WRAP_CALL(int, openat, (int directory, const char *name, int flags, mode_t mode), (directory, name, flags, mode))
WRAP_CALL(ssize_t, write, (int file, const void *bytes, size_t size), (file, bytes, size))
WRAP_CALL(int, fsync, (int file), (file))
WRAP_CALL(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP_CALL(int, fstatat, (int directory, const char *name, struct stat *facts, int flags),
          (directory, name, facts, flags))
WRAP_CALL(int, fstat, (int file, struct stat *facts), (file, facts))
WRAP_CALL(int, flock, (int file, int operation), (file, operation))
WRAP_CALL(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags))
WRAP_CALL(int, unlinkat, (int directory, const char *name, int flags), (directory, name, flags))
WRAP_CALL(int, fchmod, (int file, mode_t mode), (file, mode))
WRAP_CALL(ssize_t, pread, (int file, void *bytes, size_t size, off_t offset), (file, bytes, size, offset))

static int inside(int result)
{
    is_inside = false;
    return result;
}
#define INSIDE(call) (is_inside = true, inside(call))

/* ---- calls that take a path, without memory ------------------------------------------------------------------------------ */

static uint32_t seen;
static void see_entry(void *context, const struct dwal_record *record, uint64_t offset)
{
    (void)context, (void)record, (void)offset;
    seen++;
}
static void see_table(void *context, const void *bytes, size_t size, uint64_t offset)
{
    (void)context, (void)bytes, (void)size, (void)offset;
    seen++;
}
static bool see_indexed(void *context, const struct dwal_indexed_record *record)
{
    (void)context, (void)record;
    seen++;
    return true;
}
static bool see_raft(void *context, const struct dwal_raft_record *record)
{
    (void)context, (void)record;
    seen++;
    return true;
}

static int call_scan_volume(void)
{
    const struct dwal_volume_scan scan = {.size = sizeof scan, .entry = see_entry, .table = see_table};
    return dwal_scan_volume(dw_log_kit_path, 0, &scan);
}
static int call_read_table(void)
{
    static uint8_t table[4096];
    uint32_t length, magic;
    int result = dwal_read_table(dw_log_kit_path, 0, table, sizeof table, &length, &magic);
    seen += result == 0 && length > 0;
    return result;
}
static int call_dump(void)
{
    const struct dwal_indexed_dump dump = {.size = sizeof dump, .entry = see_indexed};
    return dwal_indexed_dump_entries(dw_log_kit_path, &dump);
}
static int call_raft_info(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_info info = {.size = sizeof info};
    int result = dwal_raft_get_info(dw_log_kit_path, &options, &info);
    seen += (uint32_t)info.entries;
    return result;
}
static int call_raft_snapshots(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_snapshots *snapshots = NULL;
    int result = dwal_raft_get_snapshots(dw_log_kit_path, &options, &snapshots);
    assert_true(result < 0 ? !snapshots : snapshots->count > 0);
    seen += result == 0;
    dwal_raft_snapshots_free(snapshots);
    return result;
}
static int call_raft_verify(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_state state;
    int result = dwal_raft_verify(dw_log_kit_path, NULL, &options, &state);
    seen += result == 0;
    return result;
}
static int call_raft_scan(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_scan scan = {.size = sizeof scan, .record = see_raft};
    return dwal_raft_scan(dw_log_kit_path, &options, &scan);
}
static int call_raft_repair(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    bool is_changed = false;
    int result = dwal_raft_repair(dw_log_kit_path, &options, NULL, &is_changed);
    assert_false(is_changed);
    seen += result == 0;
    return result;
}
static int call_backup(void)
{
    char destination[sizeof dw_log_kit_path + 16];
    struct dwal_backup backup = {.size = sizeof backup, .is_incremental = true};
    snprintf(destination, sizeof destination, "%s.copy", dw_log_kit_path);
    int result = dwal_backup(dw_log_kit_path, destination, &backup);
    seen += result == 0;
    assert_true(result < 0 || backup.end > 0);
    return result;
}

struct named_call {
    const char *name;
    int (*call)(void);
};

static void sweep_memory(const struct named_call *call)
{
    uint64_t runs = 0, refused = 0;
    memory = (struct sweep){0};
    seen = 0;
    assert_int_equal(INSIDE(call->call()), 0);
    assert_true(seen > 0);
    uint64_t count = memory.count, bytes = dw_alloc_bytes();
    assert_true(count > 0);
    for (uint64_t at = 1; at <= count; at++)
        for (int is_sticky = 0; is_sticky < 2; is_sticky++, runs++) {
            memory = (struct sweep){.at = at, .is_sticky = is_sticky != 0};
            int result = INSIDE(call->call());
            const struct dwal_error *error = dwal_last_error();
            if (result < 0 && (error->code != result || (result != DWAL_EMEMORY && error->system_code != ENOMEM &&
                                                         !strstr(error->text, "emory"))))
                fail_msg("%s without allocation %llu answers %s: %s", call->name, (unsigned long long)at,
                         dwal_error_name(result), error->text);
            if (result < 0 && !strstr(error->text, dwal_error_action(result)))
                fail_msg("%s: what to do is missing: %s", call->name, error->text);
            if (dw_alloc_bytes() != bytes)
                fail_msg("%s without allocation %llu leaves memory behind", call->name, (unsigned long long)at);
            refused += result < 0;
        }
    memory = (struct sweep){0};
    assert_int_equal(call->call(), 0);
    print_message("%s: %llu allocations, %llu runs, %llu refused\n", call->name, (unsigned long long)count,
                  (unsigned long long)runs, (unsigned long long)refused);
    assert_true(refused > 0);
}

static void calls_on_an_indexed_log_without_memory(void **state)
{
    (void)state;
    static const struct named_call all[] = {{"scan_volume", call_scan_volume},
                                            {"read_table", call_read_table},
                                            {"dump_entries", call_dump},
                                            {"backup", call_backup}};
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 900, 0, 9);
    dw_indexed_kit_close(log);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sweep_memory(&all[i]);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1, 900, 0, 0);
    dw_indexed_kit_close(log);
}

static void calls_on_a_raft_log_without_memory(void **state)
{
    (void)state;
    static const struct named_call all[] = {{"raft info", call_raft_info},
                                            {"raft snapshots", call_raft_snapshots},
                                            {"raft verify", call_raft_verify},
                                            {"raft scan", call_raft_scan},
                                            {"raft repair", call_raft_repair}};
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 200, 1);
    dw_raft_kit_save_snapshot(raft, 100, 1);
    dw_raft_kit_save_state(raft, 1, 1, 200);
    dw_raft_kit_close(raft);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sweep_memory(&all[i]);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 200, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

/* ---- atomic files -------------------------------------------------------------------------------------------------------- */

static char file_name[DW_TMPDIR_SIZE + 8];

static size_t content_of(uint32_t version, char *bytes)
{
    size_t size = 70000 + version * 10; /* more than one buffer */
    memset(bytes, (int)('a' + version), size);
    return size;
}

/* Version number of the file; -1: the call failed, and said why. */
static int read_version(void)
{
    static char bytes[80000], expected[80000];
    dwal_atomic_reader *reader = NULL;
    uint32_t magic = 0;
    size_t done = 0, whole = 0;
    int result = INSIDE(dwal_atomic_open(file_name, 0, &reader, &magic));
    assert_true(result < 0 ? !reader : reader != NULL);
    while (result == 0) {
        result = INSIDE(dwal_atomic_read(reader, bytes + whole, sizeof bytes - whole, &done));
        if (result < 0 || done == 0)
            break;
        whole += done;
    }
    dwal_atomic_close(reader);
    if (result < 0) {
        assert_int_equal(dwal_last_error()->code, result);
        assert_int_not_equal(result, DWAL_EATOMIC_DAMAGED);
        return -1;
    }
    assert_int_equal(whole, content_of(magic, expected));
    assert_memory_equal(bytes, expected, whole);
    return (int)magic;
}

static int write_version(uint32_t version)
{
    static char bytes[80000];
    dwal_atomic_writer *writer = NULL;
    size_t size = content_of(version, bytes);
    int result = INSIDE(dwal_atomic_create(file_name, version, 0, &writer));
    assert_true(result < 0 ? !writer : writer != NULL);
    if (result == 0)
        result = INSIDE(dwal_atomic_write(writer, bytes, 100));
    if (result == 0)
        result = INSIDE(dwal_atomic_write(writer, bytes + 100, size - 100));
    if (result == 0)
        result = INSIDE(dwal_atomic_commit(writer));
    if (result < 0 && writer) {
        struct dwal_error why = *dwal_last_error();
        (void)INSIDE(dwal_atomic_abandon(writer));
        (void)dwal_set_error(&why);
    }
    return result;
}

static uint32_t files_in_directory(void)
{
    DIR *directory = opendir(dw_log_kit_directory);
    uint32_t count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* One write under a fault; the file is the old one or the new one, and the next write leaves nothing else behind. */
static void write_under_fault(struct sweep *sweep, uint64_t at, bool is_sticky, int *refused)
{
    *sweep = (struct sweep){0};
    assert_int_equal(write_version(1), 0);
    *sweep = (struct sweep){.at = at, .is_sticky = is_sticky};
    failed_call = "memory";
    int result = write_version(2);
    struct dwal_error error = *dwal_last_error();
    *sweep = (struct sweep){0};
    int version = read_version();
    if (result == 0 ? version != 2 : version != 1 && version != 2)
        fail_msg("call %llu (%s) fails: the write answers %s, the file has version %d", (unsigned long long)at,
                 failed_call, dwal_error_name(result), version);
    if (result < 0 && version == 2 && !strstr(error.text, "directory"))
        fail_msg("call %llu (%s) fails: the file was replaced, and the error is %s", (unsigned long long)at,
                 failed_call, error.text);
    if (result < 0 && (error.code != result || !strstr(error.text, dwal_error_action(result))))
        fail_msg("the error says little: %s", error.text);
    if (!is_sticky && files_in_directory() != 1)
        fail_msg("call %llu (%s) fails once, and leaves a file behind", (unsigned long long)at, failed_call);
    assert_int_equal(write_version(3), 0);
    if (files_in_directory() != 1)
        fail_msg("call %llu (%s) fails: a temporary file stays for good", (unsigned long long)at, failed_call);
    *refused += result < 0;
}

static void sweep_file(struct sweep *sweep, int error, const char *what)
{
    int refused = 0, unread = 0;
    call_error = error;
    snprintf(file_name, sizeof file_name, "%s/file", dw_log_kit_directory);
    *sweep = (struct sweep){0};
    assert_int_equal(write_version(1), 0);
    *sweep = (struct sweep){0};
    assert_int_equal(write_version(2), 0);
    uint64_t count = sweep->count;
    *sweep = (struct sweep){0};
    assert_int_equal(read_version(), 2);
    uint64_t read_count = sweep->count;
    assert_true(count > 0 && read_count > 0);
    for (uint64_t at = 1; at <= count; at++)
        for (int is_sticky = 0; is_sticky < 2; is_sticky++)
            write_under_fault(sweep, at, is_sticky != 0, &refused);
    for (uint64_t at = 1; at <= read_count; at++) {
        *sweep = (struct sweep){.at = at};
        int version = read_version();
        assert_true(version == 3 || version == -1);
        unread += version == -1;
    }
    *sweep = (struct sweep){0};
    print_message("%s: %llu of a write, %llu of a read; %d writes and %d reads refused\n", what,
                  (unsigned long long)count, (unsigned long long)read_count, refused, unread);
    assert_true(refused > 0 && unread > 0);
}

static void an_atomic_file_is_old_or_new_whatever_fails(void **state)
{
    (void)state;
    sweep_file(&memory, ENOMEM, "allocations");
    sweep_file(&calls, EIO, "system calls that answer EIO");
    sweep_file(&calls, ENOSPC, "system calls that answer ENOSPC");
    sweep_file(&calls, EROFS, "system calls that answer EROFS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(an_atomic_file_is_old_or_new_whatever_fails),
        DW_LOG_KIT_TEST(calls_on_an_indexed_log_without_memory),
        DW_LOG_KIT_TEST(calls_on_a_raft_log_without_memory),
    };
    dw_log_kit_backend = "sync";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
