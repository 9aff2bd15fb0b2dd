/* test_io_nvme_command.c - the parts of the NVMe queue that need no NVMe device: status codes, lengths, identify data, and
 * the way from a device number to the generic node in a made-up sysfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "io/nvme.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

/* ---- status -------------------------------------------------------------------------------------------------------- */

static void a_status_becomes_the_errno_that_the_block_layer_would_give(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        int error;
    } cases[] = {
        {0x280, -ENODATA},   {0x281, -ENODATA},   {0x081, -ENOSPC},  {0x080, -EREMOTEIO}, {0x083, -EBADE},
        {0x082, -EREMOTEIO}, {0x370, -ENOLINK},   {0x371, -ENOLINK}, {0x282, -EILSEQ},    {0x006, -EIO},
        {0x004, -EIO},       {0x002, -EREMOTEIO}, {0x020, -ENODATA},
    };
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        assert_int_equal(dw_nvme_status_error(cases[i].status), cases[i].error);
        assert_int_equal(dw_nvme_status_error(cases[i].status | 0x4000), cases[i].error); /* do not retry */
        assert_int_equal(dw_nvme_status_error(cases[i].status | 0x3800), cases[i].error); /* retry delay, more */
    }
}

static void every_status_is_an_error(void **state)
{
    (void)state;
    for (uint32_t status = 1; status < 0x8000; status++)
        assert_true(dw_nvme_status_error(status) < 0);
}

/* ---- lengths ------------------------------------------------------------------------------------------------------- */

static void the_largest_command_is_what_device_memory_and_length_field_allow(void **state)
{
    (void)state;
    assert_int_equal(dw_nvme_transfer_max(512 << 10, 128, 512), (127 * 4096));            /* segments */
    assert_int_equal(dw_nvme_transfer_max(128 << 10, 128, 512), 128 << 10);               /* device */
    assert_int_equal(dw_nvme_transfer_max(UINT64_C(1) << 40, 1 << 20, 512), 65536 * 512); /* 16 bits of length */
    assert_int_equal(dw_nvme_transfer_max(UINT64_C(1) << 40, 1 << 30, 4096), 65536 * 4096);
    assert_int_equal(dw_nvme_transfer_max(10000, 128, 512), 8192);             /* whole pages */
    assert_int_equal(dw_nvme_transfer_max(512 << 10, 128, 16384), 31 * 16384); /* whole blocks */
    assert_int_equal(dw_nvme_transfer_max(512 << 10, 1, 512), 4096);
    assert_int_equal(dw_nvme_transfer_max(2048, 128, 512), 0); /* less than a block of the log */
}

static void pieces_cover_a_transfer_without_gap_or_overlap(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {512, 4096, 520192, 524288, 1 << 20, 7 * 520192, (UINT64_C(1) << 32) + 4096};
    for (size_t i = 0; i < DW_COUNT_OF(sizes); i++) {
        uint64_t from = 0;
        uint32_t count = 0;
        while (from < sizes[i]) {
            uint32_t size = dw_nvme_piece_size(from, sizes[i], 520192);
            assert_true(size > 0 && size <= 520192 && size <= sizes[i] - from);
            from += size;
            count++;
        }
        assert_int_equal(from, sizes[i]);
        assert_int_equal(count, (sizes[i] + 520191) / 520192);
    }
}

/* ---- identify ------------------------------------------------------------------------------------------------------ */

static void the_format_in_use_is_found_among_those_supported(void **state)
{
    (void)state;
    static unsigned char identify[DW_NVME_IDENTIFY_SIZE];
    struct dw_nvme_format format;
    memset(identify, 0, sizeof identify);
    identify[2] = 2; /* 131072 blocks */
    identify[25] = 3;
    identify[26] = 1;
    memcpy(identify + 128, "\0\0\x9\0\0\0\xc\0\x8\0\xc\0\0\0\x10\0", 16);
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.block_count, 131072);
    assert_int_equal(format.block_size, 4096);
    assert_int_equal(format.metadata_bytes, 0);
    identify[26] = 2;
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.metadata_bytes, 8);
    identify[26] = 3;
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.block_size, 65536);
    identify[26] = 0x20 | 1; /* the upper bits count only where there are more than 16 formats */
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.block_size, 4096);
    identify[25] = 20;
    memcpy(identify + 128 + 17 * 4, "\0\0\x9\0", 4);
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.block_size, 512);
    identify[128 + 17 * 4 + 2] = 30;
    dw_nvme_parse_format(identify, &format);
    assert_int_equal(format.block_size, 0);
}

/* ---- sysfs --------------------------------------------------------------------------------------------------------- */

static char place[DW_TMPDIR_SIZE];

static int make_sysfs(void **state)
{
    (void)state;
    dw_tmpdir_make(place, "nvme-sysfs");
    dw_shell_good("cd %s && mkdir -p dev/block class/nvme-generic/ng0n1 class/nvme-generic/ng0n2 pci/nvme0n1/queue "
                  "pci/nvme0n1/nvme0n1p2 pci/nvme0c0n1/queue pci/sda/queue pci/nvme1n1/queue && "
                  "echo 240:7 > class/nvme-generic/ng0n1/dev && echo 131072 > pci/nvme0n1/size && "
                  "echo 512 > pci/nvme0n1/queue/max_hw_sectors_kb && echo 127 > pci/nvme0n1/queue/max_segments && "
                  "echo 4096 > pci/nvme0n1/queue/logical_block_size && echo 1 > pci/nvme0n1/queue/io_poll && "
                  "echo 2 > pci/nvme0n1/nvme0n1p2/partition && echo 2048 > pci/nvme0n1/nvme0n1p2/start && "
                  "echo 8192 > pci/nvme0n1/nvme0n1p2/size && "
                  "for d in sda nvme1n1 nvme0c0n1; do cp pci/nvme0n1/queue/* pci/$d/queue; echo 131072 > pci/$d/size; "
                  "done && ln -s ../../pci/nvme0n1 dev/block/259:0 && "
                  "ln -s ../../pci/nvme0n1/nvme0n1p2 dev/block/259:2 && ln -s ../../pci/sda dev/block/8:0 && "
                  "ln -s ../../pci/nvme1n1 dev/block/259:5 && ln -s ../../pci/nvme0c0n1 dev/block/259:6",
                  place);
    return 0;
}

static int remove_sysfs(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

static void a_namespace_leads_to_its_generic_node(void **state)
{
    (void)state;
    struct dw_nvme_place found;
    assert_int_equal(dw_nvme_find(place, 259, 0, &found), 0);
    assert_string_equal(found.disk, "nvme0n1");
    assert_string_equal(found.generic, "ng0n1");
    assert_int_equal(found.major, 240);
    assert_int_equal(found.minor, 7);
    assert_int_equal(found.start, 0);
    assert_int_equal(found.size, 131072 * 512);
    assert_int_equal(found.transfer_max, 126 * 4096);
    assert_true(found.has_polled_queue);
}

static void a_partition_leads_there_with_its_start(void **state)
{
    (void)state;
    struct dw_nvme_place found;
    assert_int_equal(dw_nvme_find(place, 259, 2, &found), 0);
    assert_string_equal(found.disk, "nvme0n1");
    assert_string_equal(found.generic, "ng0n1");
    assert_int_equal(found.start, 2048 * 512);
    assert_int_equal(found.size, 8192 * 512);
}

static void what_is_no_namespace_or_has_no_generic_node_is_refused(void **state)
{
    (void)state;
    struct dw_nvme_place found;
    assert_int_equal(dw_nvme_find(place, 8, 0, &found), -EOPNOTSUPP);   /* another disk */
    assert_int_equal(dw_nvme_find(place, 259, 9, &found), -EOPNOTSUPP); /* nothing */
    assert_int_equal(dw_nvme_find(place, 259, 5, &found), -EOPNOTSUPP); /* no generic node */
    assert_int_equal(dw_nvme_find(place, 259, 6, &found), -EOPNOTSUPP); /* one path of several */
    dw_shell_good("echo 0 > %s/pci/nvme0n1/queue/max_segments", place);
    assert_int_equal(dw_nvme_find(place, 259, 0, &found), -EINVAL);
}

static void a_file_is_no_nvme_device(void **state)
{
    (void)state;
    struct dw_nvme_target target;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(dw_nvme_open(file, &target), -EOPNOTSUPP);
    close(file);
    assert_int_equal(dw_nvme_open(-1, &target), -EBADF);
}

#define WITH_SYSFS(test) cmocka_unit_test_setup_teardown(test, make_sysfs, remove_sysfs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_becomes_the_errno_that_the_block_layer_would_give),
        cmocka_unit_test(every_status_is_an_error),
        cmocka_unit_test(the_largest_command_is_what_device_memory_and_length_field_allow),
        cmocka_unit_test(pieces_cover_a_transfer_without_gap_or_overlap),
        cmocka_unit_test(the_format_in_use_is_found_among_those_supported),
        WITH_SYSFS(a_namespace_leads_to_its_generic_node),
        WITH_SYSFS(a_partition_leads_there_with_its_start),
        WITH_SYSFS(what_is_no_namespace_or_has_no_generic_node_is_refused),
        cmocka_unit_test(a_file_is_no_nvme_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
