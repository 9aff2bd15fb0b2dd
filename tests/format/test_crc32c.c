/* test_crc32c.c - CRC32C against published vectors, against one bit at a time, and against itself in pieces.
 *
 * Runs twice: with the path that the machine gets, then (a new process) held to the crc32 instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <unistd.h>

#include "core/format/crc32c.h"
#include "tests/format/sample.h"
#include "tests/lib/vector.h"

static uint32_t crc_bit_by_bit(uint32_t crc, const uint8_t *bytes, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void all_give(const void *bytes, size_t size, uint32_t expected)
{
    assert_int_equal(dw_crc32c(0, bytes, size), expected);
    assert_int_equal(dw_crc32c_short(0, bytes, size), expected);
    assert_int_equal(dw_crc32c_table(0, bytes, size), expected);
}

static void crc32c_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32];
    all_give(NULL, 0, 0);
    all_give("123456789", 9, 0xe3069283);
    all_give("a", 1, 0xc1d04330);
    /* RFC 3720, B.4 */
    memset(bytes, 0, sizeof bytes);
    all_give(bytes, sizeof bytes, 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    all_give(bytes, sizeof bytes, 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    all_give(bytes, sizeof bytes, 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    all_give(bytes, sizeof bytes, 0x113fdb5c);
    static const uint8_t read_command[48] = {0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                             0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
                                             0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
                                             0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    all_give(read_command, sizeof read_command, 0xd9963a56);
}

static void crc32c_is_right_at_every_length_and_alignment(void **state)
{
    (void)state;
    static uint8_t bytes[1100 + 16];
    struct sample_random random = {1};
    sample_bytes(&random, bytes, sizeof bytes);
    for (size_t alignment = 0; alignment < 16; alignment++) {
        uint32_t seed = sample_u32(&random);
        uint32_t expected = seed;
        for (size_t size = 0; size <= 1100; size++) {
            if (size > 0)
                expected = crc_bit_by_bit(expected, bytes + alignment + size - 1, 1);
            assert_int_equal(dw_crc32c(seed, bytes + alignment, size), expected);
            assert_int_equal(dw_crc32c_short(seed, bytes + alignment, size), expected);
            assert_int_equal(dw_crc32c_table(seed, bytes + alignment, size), expected);
        }
    }
}

static void crc32c_may_be_split_at_every_point(void **state)
{
    (void)state;
    static uint8_t bytes[70000];
    struct sample_random random = {2};
    sample_bytes(&random, bytes, sizeof bytes);
    const size_t sizes[] = {1, 7, 8, 20, 191, 192, 193, 400, 1100, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t whole = dw_crc32c(0, bytes, sizes[i]);
        for (size_t split = 0; split <= sizes[i]; split++) {
            assert_int_equal(dw_crc32c(dw_crc32c(0, bytes, split), bytes + split, sizes[i] - split), whole);
            assert_int_equal(dw_crc32c_short(dw_crc32c(0, bytes, split), bytes + split, sizes[i] - split), whole);
        }
    }
    assert_int_equal(dw_crc32c(0, bytes, sizeof bytes), dw_crc32c_table(0, bytes, sizeof bytes));
}

static void crc32c_reads_only_the_bytes_given(void **state)
{
    (void)state;
    uint8_t *bytes = sample_guarded(5000);
    struct sample_random random = {3};
    sample_bytes(&random, bytes, 5000);
    for (size_t size = 0; size <= 5000; size += size < 1100 ? 1 : 37)
        assert_int_equal(dw_crc32c(0, bytes + 5000 - size, size), dw_crc32c_table(0, bytes + 5000 - size, size));
    sample_guarded_free(bytes, 5000);
}

/* The longest part of a record is more than an int of bytes may say at once. */
static void crc32c_of_more_than_two_gibibytes(void **state)
{
    (void)state;
#ifdef DW_SANITIZED
    skip();
#endif
    if (getenv("DWAL_CRC") != NULL)
        skip(); /* nothing is split there */
    const size_t size = (size_t)1 << 31 | 5;
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(bytes != MAP_FAILED);
    bytes[0] = 1;
    bytes[((size_t)1 << 30) - 1] = 2;
    bytes[((size_t)1 << 30)] = 3;
    bytes[size - 1] = 4;
    uint32_t pieces = 0;
    const size_t step = ((size_t)1 << 28) - 3;
    for (size_t at = 0; at < size; at += step)
        pieces = dw_crc32c(pieces, bytes + at, size - at < step ? size - at : step);
    assert_int_equal(dw_crc32c(0, bytes, size), pieces);
    munmap(bytes, size);
}

#if defined(__x86_64__)
static void use_upper_halves(void) /* not for target("avx"): the compiler would clear them at the end */
{
    __asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvinsertf128 $1, %%xmm0, %%ymm0, %%ymm0" ::: "xmm0");
}

/* A thread that sleeps in the kernel with wide registers in use is slow to wake on some machines. */
static void crc32c_leaves_no_upper_halves_in_use(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    unsigned before = 0, after = 0;
    if (!dw_vector_parts_in_use(&before)) {
        print_message("this processor does not tell which registers are in use\n");
        skip();
    }
    use_upper_halves();
    (void)dw_vector_parts_in_use(&before);
    if (!(before & DW_VECTOR_UPPER_HALVES) || getenv("DWAL_CRC") != NULL) {
        print_message("nothing is wide here: another crc, or valgrind\n");
        skip(); /* valgrind and the like; nothing is wide there */
    }
    uint32_t crc = dw_crc32c(0, bytes, sizeof bytes);
    (void)dw_vector_parts_in_use(&after);
    assert_int_equal(crc, dw_crc32c_table(0, bytes, sizeof bytes));
    assert_int_equal(after & (DW_VECTOR_UPPER_HALVES | DW_VECTOR_UPPER_OF_ZMM), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_published_values),
        cmocka_unit_test(crc32c_is_right_at_every_length_and_alignment),
        cmocka_unit_test(crc32c_may_be_split_at_every_point),
        cmocka_unit_test(crc32c_reads_only_the_bytes_given),
        cmocka_unit_test(crc32c_of_more_than_two_gibibytes),
#if defined(__x86_64__)
        cmocka_unit_test(crc32c_leaves_no_upper_halves_in_use),
#endif
    };
    int failures = cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
    if (failures == 0 && getenv("DWAL_CRC") == NULL) {
        setenv("DWAL_CRC", "sse42", 1);
        execl("/proc/self/exe", "test_crc32c", (char *)NULL);
        return 1;
    }
    return failures;
}
