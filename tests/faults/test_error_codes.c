/* test_error_codes.c - every code of DWAL_ERRORS, answered by a public call for its real reason.
 *
 * The table is made by the X-macro itself: a code without a function here does not compile. Of each the error must carry
 * the code, the place (volume, block, lsn, errno) as far as there is one, and a text that names what, where and what to do. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "tests/faults/error_cases_raft.h"
#include "tests/faults/error_cases_indexed.h"
#include "tests/faults/error_cases_atomic.h"

/* ---- one function per code ---- */

static struct told throw_DWAL_EARGUMENT(void)
{
    struct told told = {.words = {"ring_size", "5000"}};
    struct dwal_options options = dw_log_kit_options();
    dwal *log;
    assert_int_equal(dwal_create(path, &options), 0);
    options.ring_size = 5000;
    told.result = dwal_open(path, &options, &log);
    return told;
}

static struct told throw_DWAL_ETOOBIG(void)
{
    dwal *log = dw_log_kit_create();
    char byte = 1;
    struct iovec huge = {&byte, (size_t)DWAL_PART_SIZE_MAX + 1};
    struct dwal_entry entry = {.data = &huge, .data_count = 1};
    struct told told = {.words = {"longer than", "2147483643"}};
    told.result = keep(dwal_append(log, &entry, NULL, NULL));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_EBUSY(void)
{
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(path, &options), 0);
    int up[2], down[2];
    assert_int_equal(pipe(up) | pipe(down), 0);
    pid_t child = fork();
    if (child == 0) {
        dwal *log;
        char byte = 'o';
        if (dwal_open(path, NULL, &log) != 0 || write(up[1], &byte, 1) != 1)
            _exit(1);
        close(down[1]);
        (void)!read(down[0], &byte, 1); /* until the parent is done */
        _exit(dwal_close(log) == 0 ? 0 : 1);
    }
    char byte;
    assert_int_equal(read(up[0], &byte, 1), 1);
    struct told told = open_tells((struct told){.words = {"another writer", path}});
    (void)keep(told.result);
    close(down[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(up[0]), close(up[1]), close(down[0]);
    return told;
}

static struct told throw_DWAL_EEXIST(void)
{
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(path, &options), 0);
    return (struct told){.result = dwal_create(path, &options), .words = {"there is a log", path}};
}

static struct told throw_DWAL_ENOLOG(void)
{
    assert_int_equal(mkdir(path, 0700), 0);
    return open_tells((struct told){.words = {"no log", path}});
}

static struct told throw_DWAL_EDEVICE(void)
{
    struct faulty faulty = open_faulty(false);
    uint64_t lsn, end;
    struct told told = {
        .has_volume = true, .has_block = true, .has_lsn = true, .system_code = EIO, .words = {"0000000000.vol", path}};
    dw_fault_add(faulty.disk,
                 &(struct dw_fault_rule){.kinds = DW_FAULT_ANY_WRITE, .at = 1, .error = -EIO, .name_start = "0000"});
    assert_int_equal(commit_text(faulty.log, "never durable", &lsn, &end), DWAL_EFAILED);
    told.result = dwal_failure(faulty.log, &kept_error); /* the call that tells the first cause */
    is_kept = true;
    close_quietly(&faulty);
    return told;
}

static struct told throw_DWAL_ENOSPACE(void)
{
    struct dwal_options options = dw_log_kit_options();
    struct rlimit before, small = {.rlim_cur = 64 << 10, .rlim_max = RLIM_INFINITY};
    struct told told = {.system_code = EFBIG, .words = {path, "first volume"}};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    told.result = dwal_create(path, &options);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    return told;
}

static struct told throw_DWAL_EFAILED(void)
{
    struct faulty faulty = open_faulty(false);
    struct told told = {
        .has_volume = true, .has_block = true, .has_lsn = true, .words = {"stopped", "0000000000.vol", "errno 5"}};
    dw_fault_add(faulty.disk,
                 &(struct dw_fault_rule){.kinds = DW_FAULT_ANY_WRITE, .at = 1, .error = -EIO, .name_start = "0000"});
    told.result = keep(commit_text(faulty.log, "never durable", NULL, NULL));
    close_quietly(&faulty);
    return told;
}

static struct told throw_DWAL_EREADONLY(void)
{
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(path, &options), 0);
    options.mode = DWAL_READ_ONLY;
    dwal *log = dw_log_kit_open_with(&options);
    struct told told = {.words = {"read-only"}};
    told.result = keep(commit_text(log, "no", NULL, NULL));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_ENOTFOUND(void)
{
    dwal *log = dw_log_kit_create();
    uint64_t lsn, end;
    assert_int_equal(commit_text(log, "here", &lsn, &end), 0);
    struct told told = {.has_volume = true, .has_block = true, .has_lsn = true, .words = {"lsn 3"}};
    told.result = keep(read_at(log, lsn + 3, 4096));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_ETRIMMED(void)
{
    dwal *log = dw_log_kit_create();
    uint64_t lsn, end;
    assert_int_equal(commit_text(log, "old", &lsn, &end), 0);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    struct told told = {.has_volume = true, .has_lsn = true, .words = {"trim point", "dwal_first()"}};
    told.result = keep(read_at(log, lsn, 4096));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_EEND(void)
{
    dwal *log = dw_log_kit_create();
    dwal_cursor *cursor;
    struct dwal_record record;
    struct told told = {.is_answer = true};
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    told.result = dwal_cursor_next(cursor, &record);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_EBUFFER(void)
{
    dwal *log = dw_log_kit_create();
    uint64_t lsn, end;
    assert_int_equal(commit_text(log, "twelve bytes", &lsn, &end), 0);
    struct told told = {.has_volume = true, .has_lsn = true, .words = {"12 bytes", "the buffer has 5"}};
    told.result = keep(read_at(log, lsn, 5));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_EFULL(void)
{
    struct faulty faulty = open_faulty(true); /* nobody flushes */
    static const char bytes[5000];
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(bytes, sizeof bytes, &part);
    struct told told = {.words = {"no room"}};
    while (told.result == 0)
        told.result = dwal_try_append(faulty.log, &entry, NULL, NULL);
    (void)keep(told.result);
    dw_log_abandon(faulty.log);
    faulty.disk->ops->close(faulty.disk);
    return told;
}

static uint64_t make_long_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                                uint32_t capacity)
{
    (void)context, (void)volume, (void)first, (void)end, (void)spill, (void)table;
    return (uint64_t)capacity + 1;
}

static struct told throw_DWAL_ETABLE(void)
{
    struct told told = {.has_volume = true, .has_lsn = true, .words = {"volume 0", "101 bytes", "100"}};
    struct dwal_options options = dw_log_kit_options();
    options.toc_length = 100;
    assert_int_equal(dwal_create(path, &options), 0);
    options.table = make_long_table;
    dwal *log = dw_log_kit_open_with(&options);
    while (commit_text(log, "fills a block", NULL, NULL) == 0)
        ;
    assert_int_equal(dwal_failure(log, NULL), DWAL_ETABLE);
    assert_int_equal(dwal_close(log), DWAL_EFAILED);
    told.result = dwal_open(path, &options, &log); /* asked again for the volume that had none */
    return told;
}

static struct told throw_DWAL_EUNSUPPORTED(void)
{
    struct dwal_options options = dw_log_kit_options();
    return (struct told){.result = dwal_create("/dev/shm", &options), .words = {"/dev/shm", "memory"}};
}

static struct told throw_DWAL_EMEMORY(void)
{
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(path, &options), 0);
    dw_alloc_fail_at(3, false);
    struct told told = open_tells((struct told){.words = {"memory"}});
    dw_alloc_fail_at(0, false);
    return told;
}

static struct told throw_DWAL_ETIMEOUT(void)
{
    dwal *log = dw_log_kit_create();
    struct told told = {.words = {"time"}};
    told.result = keep(dwal_wait(log, dwal_durable(log), 1000000));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_EMAGIC(void)
{
    struct dwal_options options = dw_log_kit_options();
    dwal *log;
    options.magic_number = 0x1111;
    assert_int_equal(dwal_create(path, &options), 0);
    options.magic_number = 0x2222;
    return (struct told){.result = dwal_open(path, &options, &log), .words = {"1111", "2222"}};
}

static struct told throw_DWAL_EPERMISSION(void)
{
    struct dwal_options options = dw_log_kit_options();
    bool is_root = geteuid() == 0;
    assert_int_equal(dwal_create(path, &options), 0);
    if (is_root) {
        assert_int_equal(chmod(dw_log_kit_directory, 0755), 0);
        assert_int_equal(seteuid(65534), 0); /* nobody; the log's directory is 0700 */
    } else {
        assert_int_equal(chmod(path, 0), 0);
    }
    struct told told = open_tells((struct told){.system_code = EACCES, .words = {path}});
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    else
        assert_int_equal(chmod(path, 0700), 0);
    return told;
}

/* ---- the table ---- */

static const struct code_case {
    int code;
    const char *name;
    struct told (*throw)(void);
} cases[] = {
#define CASE(name, number, meaning, action) {number, #name, throw_##name},
    DWAL_ERRORS(CASE)
#undef CASE
};

static void check_place(const struct code_case *item, const struct told *told, const struct dwal_error *error)
{
    if (told->has_volume != (error->volume != DWAL_NO_VOLUME) || told->has_block != (error->block != DWAL_NO_LSN) ||
        told->has_lsn != (error->lsn != DWAL_NO_LSN))
        fail_msg("%s: volume %u, block %llu, lsn %llu: %s", item->name, error->volume, (unsigned long long)error->block,
                 (unsigned long long)error->lsn, error->text);
    if (told->system_code != error->system_code)
        fail_msg("%s: the system's code is %d and not %d: %s", item->name, error->system_code, told->system_code,
                 error->text);
}

static void check_words(const struct code_case *item, const struct told *told, const struct dwal_error *error)
{
    for (size_t i = 0; i < 3 && told->words[i]; i++)
        if (!strstr(error->text, told->words[i]))
            fail_msg("%s: the text does not say \"%s\": %s", item->name, told->words[i], error->text);
    if (!strstr(error->text, dwal_error_action(item->code)))
        fail_msg("%s: the text does not say what to do: %s", item->name, error->text);
}

static void every_code_is_answered_with_place_and_words(void **state)
{
    const struct code_case *item = *state;
    is_kept = false;
    struct told told = item->throw();
    struct dwal_error error = is_kept ? kept_error : *dwal_last_error();
    if (told.result != item->code)
        fail_msg("%s was wanted, %s came: %s", item->name, dwal_error_name(told.result), error.text);
    assert_string_equal(dwal_error_name(told.result), item->name);
    if (told.is_answer)
        return;
    assert_int_equal(error.code, item->code);
    check_place(item, &told, &error);
    check_words(item, &told, &error);
}

static int set_up(void **state)
{
    void *item = *state;
    int result = dw_log_kit_set_up(state);
    *state = item;
    return result;
}

int main(void)
{
    enum { COUNT = sizeof cases / sizeof cases[0] };
    struct CMUnitTest tests[COUNT];
    union {
        const struct code_case *read;
        void *state;
    } item;
    for (size_t i = 0; i < COUNT; i++) {
        item.read = &cases[i];
        tests[i] = (struct CMUnitTest){cases[i].name, every_code_is_answered_with_place_and_words, set_up,
                                       dw_log_kit_tear_down, item.state};
    }
    return _cmocka_run_group_tests("codes", tests, COUNT, NULL, NULL);
}
