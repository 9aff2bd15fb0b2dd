/* test_wipe.c - what was trimmed is overwritten before its place is used again, where that was asked for. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "tests/lib/tmpdir.h"

#define VOLUME (256u << 10)

static const char pattern[] = "this must not be found any more, nowhere in what was trimmed. ";
static char directory[DW_TMPDIR_SIZE], path[DW_TMPDIR_SIZE + 16];

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "wipe");
    (void)snprintf(path, sizeof path, "%s/log", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

/* How often the pattern stands in the files of the log. */
static unsigned count_pattern(void)
{
    unsigned count = 0;
    static char content[VOLUME + 1];
    DIR *open = opendir(path);
    assert_non_null(open);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        char name[DW_TMPDIR_SIZE + 300];
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
        if (!file)
            continue;
        size_t size = fread(content, 1, VOLUME, file);
        for (size_t at = 0; at + sizeof pattern < size; at++)
            if (content[at] == pattern[0] && memcmp(content + at, pattern, sizeof pattern - 1) == 0)
                count++;
        (void)fclose(file);
    }
    closedir(open);
    return count;
}

static void fill(dwal *log, const char *text, unsigned volumes)
{
    static struct dwal_stats stats;
    char bytes[500];
    stats.size = sizeof stats;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = text[i % strlen(text)];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    assert_int_equal(dwal_get_stats(log, &stats), 0);
    uint64_t wanted = stats.tocs_written + volumes, end = 0;
    for (unsigned i = 0; stats.tocs_written < wanted; i++) {
        assert_int_equal(dwal_append(log, &entry, NULL, &end), 0);
        if (i % 64 == 0)
            assert_int_equal(dwal_sync(log, end), 0);
        assert_int_equal(dwal_get_stats(log, &stats), 0);
    }
    assert_int_equal(dwal_sync(log, end), 0);
}

/* Patterns left after what holds them was trimmed and retired. */
static unsigned left_after_trim(bool is_wiping)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = VOLUME;
    options.blanks = 2;
    options.ring_size = 1 << 20;
    options.is_wiping = is_wiping;
    options.keep_retired = true; /* all of them become blanks, so that all can be looked at */
    dwal *log;
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dwal_open(path, &options, &log), 0);
    fill(log, pattern, 3);
    assert_true(count_pattern() > 1000);
    uint64_t first = dwal_durable(log);
    fill(log, "harmless ", 2); /* so that no volume that is kept has any of it */
    assert_int_equal(dwal_trim(log, first), 0);
    fill(log, "harmless ", 1);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    for (int i = 0; i < 2000 && stats.volumes_recycled + stats.volumes_unlinked < 5; i++) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
        assert_int_equal(dwal_get_stats(log, &stats), 0);
    }
    assert_true(stats.volumes_recycled + stats.volumes_unlinked >= 5);
    fill(log, "again ", 3); /* into recycled volumes */
    assert_int_equal(dwal_close(log), 0);
    options.volume_size = 0;
    assert_int_equal(dwal_open(path, &options, &log), 0);
    assert_int_equal(dwal_close(log), 0);
    return count_pattern();
}

static void what_was_trimmed_is_overwritten_when_asked_for(void **state)
{
    (void)state;
    assert_int_equal(left_after_trim(true), 0);
}

static void else_it_stays_until_its_place_is_written_again(void **state)
{
    (void)state;
    assert_true(left_after_trim(false) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_trimmed_is_overwritten_when_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(else_it_stays_until_its_place_is_written_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
