/* test_encoders.c - encoders stop the program rather than write what their decoders would refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/format/sample.h"

static struct dw_geometry geometry;
static struct dw_identity identity;

/* Does `write` abort? In a child, whose complaint is not shown. */
static bool is_stopped(void (*write)(const void *info), const void *info)
{
    pid_t child = fork();
    if (child == 0) {
        int silent = open("/dev/null", O_WRONLY);
        dup2(silent, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        write(info);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void write_block(const void *info)
{
    uint8_t bytes[4096];
    dw_block_header_encode(&identity, info, 0, bytes);
}
static void write_volume(const void *info)
{
    uint8_t bytes[4096];
    dw_volume_header_encode(&geometry, &identity, info, bytes);
}
static void write_toc(const void *info)
{
    uint8_t bytes[4096], table[4096] = {0};
    dw_toc_encode(&geometry, &identity, info, table, bytes);
}
static void write_superblock(const void *info)
{
    uint8_t bytes[4096];
    dw_superblock_encode(info, bytes);
}
static void make_identity(const void *info)
{
    static const uint8_t log_id[16] = {1};
    struct dw_identity made;
    dw_identity_init(&made, log_id, *(const uint32_t *)info);
}
static void write_payload(const void *info)
{
    static uint8_t block[4096], bytes[8192];
    const uint32_t *range = info;
    dw_payload_write(&geometry, block, range[0], bytes, range[1]);
}
static void read_payload(const void *info)
{
    static uint8_t block[4096], bytes[8192];
    const uint32_t *range = info;
    dw_payload_read(&geometry, block, range[0], bytes, range[1]);
}
static void test_payload(const void *info)
{
    static uint8_t block[4096];
    (void)dw_payload_is_zero_from(&geometry, block, *(const uint32_t *)info);
}

/* One allowed value, then the same with one field (by its name) made impossible. */
#define REFUSES(write, good, field, value)                                                                             \
    do {                                                                                                               \
        __typeof__(good) bad = (good);                                                                                 \
        bad.field = (value);                                                                                           \
        assert_false(is_stopped(write, &(good)));                                                                      \
        assert_true(is_stopped(write, &bad));                                                                          \
    } while (0)

static void encoders_refuse_what_decoders_would(void **state)
{
    (void)state;
    struct dw_block_info block = {.block = 9, .watermark = 9, .fill = 10, .first_record = 10};
    REFUSES(write_block, block, watermark, 10);
    REFUSES(write_block, block, fill, 65536);
    REFUSES(write_block, block, first_record, 11);
    REFUSES(write_block, block, flags, 2);
    REFUSES(write_block, block, flags, DW_BLOCK_MARKER);
    struct dw_volume_info volume = {.number = 3,
                                    .predecessor = 2,
                                    .predecessor_end = DW_PREDECESSOR_CUT,
                                    .cut = dw_end_lsn_of_volume(&geometry, 2),
                                    .in_flight_blocks = 1};
    REFUSES(write_volume, volume, number, 2);
    REFUSES(write_volume, volume, number, DW_VOLUME_NUMBER_NONE);
    REFUSES(write_volume, volume, cut, volume.cut + 1);
    REFUSES(write_volume, volume, predecessor_end, DW_PREDECESSOR_RUNS_ON);
    REFUSES(write_volume, volume, in_flight_blocks, 0);
    struct dw_toc_info toc = {.first_lsn = 0, .last_lsn = 20, .end = 30, .entry_count = 2};
    REFUSES(write_toc, toc, table_length, geometry.toc_length + 1);
    REFUSES(write_toc, toc, flags, 16);
    REFUSES(write_toc, toc, end, 19);
    REFUSES(write_toc, toc, number, 1);
    REFUSES(write_toc, toc, entry_count, 3);
    struct dw_superblock_info superblock = {.identity = identity,
                                            .geometry = geometry,
                                            .claimed = 1,
                                            .head = 1,
                                            .state = DW_SUPERBLOCK_OPEN,
                                            .blanks = 255};
    REFUSES(write_superblock, superblock, head, 2);
    REFUSES(write_superblock, superblock, blanks, 256);
    REFUSES(write_superblock, superblock, state, (enum dw_superblock_state)0);
    REFUSES(write_superblock, superblock, identity.tag_key, 1);
}

static void ranges_outside_the_payload_are_refused(void **state)
{
    (void)state;
    const uint32_t size = geometry.payload_size;
    const uint32_t good[][2] = {{0, size}, {size, 0}, {1, size - 1}};
    const uint32_t bad[][2] = {{0, size + 1}, {size, 1}, {size + 1, 0}, {UINT32_MAX, 2}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_false(is_stopped(write_payload, good[i]));
        assert_false(is_stopped(read_payload, good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(is_stopped(write_payload, bad[i]));
        assert_true(is_stopped(read_payload, bad[i]));
    }
    const uint32_t behind = size + 1;
    assert_false(is_stopped(test_payload, &size));
    assert_true(is_stopped(test_payload, &behind));
}

static void tag_key_without_its_highest_bit_is_refused(void **state)
{
    (void)state;
    const uint32_t good = 0x80000000u, bad = 0x7fffffffu;
    assert_false(is_stopped(make_identity, &good));
    assert_true(is_stopped(make_identity, &bad));
}

static int log_make(void **state)
{
    (void)state;
    static const uint8_t log_id[16] = {1};
    dw_identity_init(&identity, log_id, 0x80000000u);
    geometry = sample_geometry_of(4096, 512, 1 << 20, 100);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoders_refuse_what_decoders_would),
        cmocka_unit_test(ranges_outside_the_payload_are_refused),
        cmocka_unit_test(tag_key_without_its_highest_bit_is_refused),
    };
    return cmocka_run_group_tests_name("encoders", tests, log_make, NULL);
}
