/* test_guard_content.c - what dwal says of the bytes that it finds on a device, shown on image files: no root needed.
 *
 * Each image is made by the tool whose signature it carries, or by hand where that tool is not always there. After each look
 * the image must be the same, byte by byte. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/guard.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum { SIZE = 32 << 20 };
static char place[DW_TMPDIR_SIZE];
static struct dw_guard guard;

static void put(uint64_t offset, const void *bytes, size_t size)
{
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/image", place);
    int descriptor = open(path, O_WRONLY);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, size, (off_t)offset), (ssize_t)size);
    close(descriptor);
}

static int fresh_image(void **state)
{
    (void)state;
    dw_shell_good("rm -f %s/image && truncate -s %d %s/image", place, SIZE, place);
    return 0;
}

/* Answers all that was said, joined. */
static const char *look(void)
{
    static char text[4096];
    char path[DW_TMPDIR_SIZE + 16], before[64];
    snprintf(path, sizeof path, "%s/image", place);
    snprintf(before, sizeof before, "%.40s", dw_shell_good("sha1sum < %s", path));
    int descriptor = open(path, O_RDONLY);
    assert_true(descriptor >= 0);
    guard = (struct dw_guard){.findings = 0};
    dw_guard_look_at_content(descriptor, SIZE, &guard);
    close(descriptor);
    assert_memory_equal(dw_shell_good("sha1sum < %s", path), before, 40);
    dw_guard_tell(&guard, ~0u, text, sizeof text);
    print_message("%s\n", text);
    return text;
}

static void need_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void zeros_are_nothing(void **state)
{
    (void)state;
    assert_string_equal(look(), "");
    assert_int_equal(guard.findings, 0);
    assert_int_equal(dw_guard_forbidding(&guard, false), 0);
}

static void file_systems_are_named_with_label_and_uuid(void **state)
{
    (void)state;
    dw_shell_good("mkfs.ext4 -q -L home -U 11111111-2222-3333-4444-555555555555 %s/image", place);
    const char *text = look();
    need_text(text, "ext4 file system");
    need_text(text, "home");
    need_text(text, "11111111-2222-3333-4444-555555555555");
    assert_int_equal(guard.findings, DW_GUARD_SIGNATURE);
    assert_int_not_equal(dw_guard_forbidding(&guard, false), 0);
    assert_int_equal(dw_guard_forbidding(&guard, true), 0);
}

static void swap_area_is_named(void **state)
{
    (void)state;
    dw_shell_good("mkswap -L pages %s/image", place);
    const char *text = look();
    need_text(text, "swap area");
    need_text(text, "pages");
}

static void lvm_physical_volume_is_named(void **state)
{
    (void)state;
    /* A label in sector 1: "LABELONE", its sector, its checksum, the offset of the header, the type; then the UUID. */
    unsigned char label[512] = {0};
    memcpy(label, "LABELONE", 8);
    label[8] = 1;
    label[20] = 32;
    memcpy(label + 24, "LVM2 001", 8);
    memcpy(label + 32, "abcdefghijklmnopqrstuvwxyzABCDEF", 32);
    uint32_t crc = 0xf597a6cf;
    for (int i = 20; i < 512; i++) {
        crc ^= label[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    memcpy(label + 16, &crc, 4);
    put(512, label, sizeof label);
    need_text(look(), "LVM2 physical volume, UUID abcdef-ghij");
    assert_int_equal(guard.findings, DW_GUARD_SIGNATURE);
}

static void put_mbr_entry(unsigned char *sector, int index, unsigned char type, uint32_t start, uint32_t count)
{
    unsigned char *entry = sector + 446 + 16 * index;
    entry[4] = type;
    memcpy(entry + 8, &start, 4);
    memcpy(entry + 12, &count, 4);
    sector[510] = 0x55;
    sector[511] = 0xaa;
}

static void mbr_is_named_with_its_partitions(void **state)
{
    (void)state;
    unsigned char sector[512] = {0};
    put_mbr_entry(sector, 0, 0x83, 2048, 8192);
    put_mbr_entry(sector, 1, 0x83, 10240, 8192);
    put(0, sector, sizeof sector);
    need_text(look(), "MBR partition table with 2 partitions");
    assert_int_equal(guard.findings, DW_GUARD_PARTITIONS);
}

static uint32_t crc32(const unsigned char *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put64(unsigned char *at, uint64_t v)
{
    memcpy(at, &v, 8);
}

static void put_gpt(int count)
{
    unsigned char entries[128 * 128] = {0}, header[512] = {0};
    uint64_t last = SIZE / 512 - 1;
    for (int i = 0; i < count; i++) {
        memset(entries + 128 * i, 0x11, 16);
        memset(entries + 128 * i + 16, 0x20 + i, 16);
        put64(entries + 128 * i + 32, 2048 * (uint64_t)(i + 1));
        put64(entries + 128 * i + 40, 2048 * (uint64_t)(i + 2) - 1);
    }
    memcpy(header, "EFI PART\0\0\1\0\134\0\0\0", 16);
    put64(header + 24, 1);
    put64(header + 32, last);
    put64(header + 40, 34);
    put64(header + 48, last - 33);
    memset(header + 56, 0x77, 16);
    put64(header + 72, 2);
    header[80] = header[84] = 128;
    uint32_t crc = crc32(entries, sizeof entries);
    memcpy(header + 88, &crc, 4);
    crc = crc32(header, 92);
    memcpy(header + 16, &crc, 4);
    put(512, header, sizeof header);
    put(1024, entries, sizeof entries);
}

static void gpt_is_named_with_its_partitions(void **state)
{
    (void)state;
    unsigned char sector[512] = {0};
    put_mbr_entry(sector, 0, 0xee, 1, SIZE / 512 - 1);
    put(0, sector, sizeof sector);
    put_gpt(3);
    need_text(look(), "GPT partition table with 3 partitions");
}

static void gpt_without_its_protective_mbr_is_seen(void **state)
{
    (void)state;
    put_gpt(1);
    need_text(look(), "GPT partition table with 1 partition");
}

static void contradicting_signatures_are_ambivalent_and_all_named(void **state)
{
    (void)state;
    dw_shell_good("mkfs.ext4 -q %s/image", place);
    unsigned char squashfs[64] = "hsqs";
    squashfs[28] = 4; /* its version */
    put(0, squashfs, sizeof squashfs);
    const char *text = look();
    need_text(text, "signatures that contradict each other");
    need_text(text, "ext4 file system");
    need_text(text, "squashfs file system");
    assert_int_equal(guard.findings, DW_GUARD_SIGNATURE | DW_GUARD_AMBIVALENT);
}

static void log_of_dwal_is_named(void **state)
{
    (void)state;
    put(SIZE - 4096, "dwalSUPR", 8);
    need_text(look(), "a log of dwal");
    assert_int_equal(guard.findings, DW_GUARD_DWAL);
}

static void volume_header_of_dwal_is_named(void **state)
{
    (void)state;
    put(65536, "\1\2\3\4\5\6\7\10dwalVOLH", 16);
    need_text(look(), "a log of dwal (its mark is at byte 65544)");
}

static void the_word_dwal_in_a_text_is_only_data(void **state)
{
    (void)state;
    put(4096, "dwal is a log", 13);
    look();
    assert_int_equal(guard.findings, DW_GUARD_DATA);
}

static void unknown_bytes_are_somebodys_data(void **state)
{
    (void)state;
    put(777777, "x", 1);
    need_text(look(), "bytes other than zero, of no kind that is known (at byte 777777");
    assert_int_equal(guard.findings, DW_GUARD_DATA);
    fresh_image(NULL);
    put(SIZE - 1, "x", 1);
    need_text(look(), "of no kind that is known");
    fresh_image(NULL);
    unsigned char ones[1 << 20];
    memset(ones, 0xff, sizeof ones);
    put(SIZE / 2, ones, sizeof ones);
    need_text(look(), "of no kind that is known");
}

static void file_that_is_shorter_than_said_is_unchecked(void **state)
{
    (void)state;
    dw_shell_good("truncate -s 100000 %s/image", place);
    look();
    assert_true(guard.findings & DW_GUARD_UNCHECKED);
    assert_int_not_equal(dw_guard_forbidding(&guard, false), 0);
    assert_int_equal(dw_guard_forbidding(&guard, true), 0);
}

static void texts_are_bounded_and_harmless(void **state)
{
    (void)state;
    guard = (struct dw_guard){.findings = 0};
    for (int i = 0; i < 100; i++)
        dw_guard_add(&guard, DW_GUARD_HELD, "held by %d\x1b[2J%0300d", i, i);
    assert_int_equal(guard.text_count, DW_GUARD_TEXTS_MAX);
    assert_int_equal(guard.dropped_count, 100 - DW_GUARD_TEXTS_MAX);
    char text[64];
    dw_guard_tell(&guard, DW_GUARD_HELD, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_string_equal(text + sizeof text - 4, "...");
    assert_null(strchr(text, '\x1b'));
    dw_guard_tell(&guard, DW_GUARD_MOUNTED, text, sizeof text);
    assert_int_equal(dw_guard_forbidding(&guard, true), DW_GUARD_HELD);
}

int main(void)
{
    if (!dw_shell_has("mkfs.ext4") || !dw_shell_has("mkswap"))
        dw_shell_skip("needs mkfs.ext4 and mkswap");
    dw_tmpdir_make(place, "guard-content");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(zeros_are_nothing, fresh_image),
        cmocka_unit_test_setup(file_systems_are_named_with_label_and_uuid, fresh_image),
        cmocka_unit_test_setup(swap_area_is_named, fresh_image),
        cmocka_unit_test_setup(lvm_physical_volume_is_named, fresh_image),
        cmocka_unit_test_setup(mbr_is_named_with_its_partitions, fresh_image),
        cmocka_unit_test_setup(gpt_is_named_with_its_partitions, fresh_image),
        cmocka_unit_test_setup(gpt_without_its_protective_mbr_is_seen, fresh_image),
        cmocka_unit_test_setup(contradicting_signatures_are_ambivalent_and_all_named, fresh_image),
        cmocka_unit_test_setup(log_of_dwal_is_named, fresh_image),
        cmocka_unit_test_setup(volume_header_of_dwal_is_named, fresh_image),
        cmocka_unit_test_setup(the_word_dwal_in_a_text_is_only_data, fresh_image),
        cmocka_unit_test_setup(unknown_bytes_are_somebodys_data, fresh_image),
        cmocka_unit_test_setup(file_that_is_shorter_than_said_is_unchecked, fresh_image),
        cmocka_unit_test_setup(texts_are_bounded_and_harmless, fresh_image),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    dw_tmpdir_remove(place);
    return failures;
}
