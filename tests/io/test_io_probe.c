/* test_io_probe.c - probe.h: made-up mounts and devices are read rightly, damaged ones harm nothing, real ones agree with
 * what the kernel says elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/probe.h"
#include "tests/lib/io_place.h"
#include "tests/lib/shell.h"

/* ---- mounts ---- */

static const char mounts[] = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                             "27 1 253:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw,barrier=0,discard\n"
                             "30 27 8:17 /sub /mnt/with\\040blank rw,noatime - xfs /dev/sdb1 ro,attr2\n"
                             "31 27 0:45 /@log /mnt/tree rw - btrfs /dev/sdc rw,ssd,discard=async,subvol=/@log\n"
                             "32 27 0:50 / /mnt/far rw - nfs4 server:/path rw,vers=4.2\n"
                             "33 27 0:51 / /mnt/mem rw - tmpfs tmpfs rw,nodiscard\n"
                             "34 27 0:52 / /mnt/odd rw - overlay overlay rw,lowerdir=/a:/b\n"
                             "35 27 8:17 / /mnt/again rw - xfs /dev/sdb1 rw,nobarrier\n"
                             "36 27 8:33 / /mnt/flash rw,nodiscard - f2fs /dev/sdc1 rw,fsync_mode=nobarrier";

static struct dw_probe_mount find(uint64_t id, uint32_t major, uint32_t minor)
{
    struct dw_probe_mount mount;
    assert_int_equal(dw_probe_parse_mounts(mounts, sizeof mounts - 1, id, major, minor, &mount), 0);
    return mount;
}

static void a_mount_is_found_by_its_id(void **state)
{
    (void)state;
    struct dw_probe_mount mount = find(27, 0, 0);
    assert_string_equal(mount.type, "ext4");
    assert_string_equal(mount.point, "/");
    assert_string_equal(mount.source, "/dev/vda1");
    assert_string_equal(mount.root, "/");
    assert_int_equal(mount.is_barrier_off, DW_FACT_YES);
    assert_int_equal(mount.is_discarding, DW_FACT_YES);
    assert_int_equal(mount.is_read_only, DW_FACT_NO);
    assert_int_equal(mount.is_copy_on_write, DW_FACT_NO);
    assert_int_equal(mount.is_network, DW_FACT_NO);
    assert_int_equal(mount.is_memory, DW_FACT_NO);
    assert_int_equal(mount.is_lazy_time, DW_FACT_NO);
    mount = find(30, 0, 0);
    assert_string_equal(mount.point, "/mnt/with blank");
    assert_string_equal(mount.root, "/sub");
    assert_int_equal(mount.is_read_only, DW_FACT_YES);
    assert_int_equal(mount.is_barrier_off, DW_FACT_NO);
    assert_int_equal(mount.is_discarding, DW_FACT_NO);
}

static void types_tell_what_they_are(void **state)
{
    (void)state;
    struct dw_probe_mount mount = find(31, 0, 0);
    assert_int_equal(mount.is_copy_on_write, DW_FACT_YES);
    assert_int_equal(mount.is_discarding, DW_FACT_YES);
    mount = find(32, 0, 0);
    assert_int_equal(mount.is_network, DW_FACT_YES);
    assert_int_equal(mount.is_copy_on_write, DW_FACT_UNKNOWN);
    mount = find(33, 0, 0);
    assert_int_equal(mount.is_memory, DW_FACT_YES);
    assert_int_equal(mount.is_discarding, DW_FACT_NO);
    mount = find(34, 0, 0); /* nothing is claimed of what is not known */
    assert_int_equal(mount.is_network, DW_FACT_UNKNOWN);
    assert_int_equal(mount.is_memory, DW_FACT_UNKNOWN);
    assert_int_equal(mount.is_copy_on_write, DW_FACT_UNKNOWN);
    mount = find(36, 0, 0); /* the last line has no end */
    assert_int_equal(mount.is_copy_on_write, DW_FACT_YES);
    assert_int_equal(mount.is_barrier_off, DW_FACT_YES);
    assert_int_equal(mount.is_discarding, DW_FACT_NO);
}

static void without_an_id_the_last_mount_of_the_device_counts(void **state)
{
    (void)state;
    struct dw_probe_mount mount = find(0, 8, 17);
    assert_string_equal(mount.point, "/mnt/again");
    assert_int_equal(mount.is_barrier_off, DW_FACT_YES);
    assert_int_equal(dw_probe_parse_mounts(mounts, sizeof mounts - 1, 0, 8, 99, &mount), -ENOENT);
    assert_int_equal(dw_probe_parse_mounts(mounts, sizeof mounts - 1, 99, 0, 0, &mount), -ENOENT);
}

/* Every prefix, and every byte replaced, in memory of exactly that size: the address sanitizer watches. */
static void a_damaged_text_harms_nothing(void **state)
{
    (void)state;
    struct dw_probe_mount mount;
    static const char bytes[] = {'\0', ' ', '\n', '\\', ',', ':', '9', '-'};
    for (size_t size = 0; size < sizeof mounts; size++) {
        char *copy = malloc(size ? size : 1);
        memcpy(copy, mounts, size);
        (void)!dw_probe_parse_mounts(copy, size, 36, 0, 0, &mount);
        for (size_t i = 0; i < sizeof bytes && size > 0; i++) {
            copy[size - 1] = bytes[i];
            (void)!dw_probe_parse_mounts(copy, size, 0, 8, 17, &mount);
            assert_true(strlen(mount.point) < sizeof mount.point);
        }
        free(copy);
    }
    assert_int_equal(dw_probe_parse_mounts("", 0, 1, 0, 0, &mount), -ENOENT);
    static const char huge[] = "99999999999999999999999999 1 1:1 / / rw - ext4 a rw";
    assert_int_equal(dw_probe_parse_mounts(huge, sizeof huge - 1, 1, 0, 0, &mount), -ENOENT);
}

static void long_fields_are_cut_off(void **state)
{
    (void)state;
    char text[2048] = "5 1 8:1 / /";
    memset(text + strlen(text), 'x', 1000);
    strcat(text, " rw - ext4 /dev/");
    memset(text + strlen(text), 'y', 500);
    strcat(text, " rw\n");
    struct dw_probe_mount mount;
    assert_int_equal(dw_probe_parse_mounts(text, strlen(text), 5, 0, 0, &mount), 0);
    assert_int_equal(strlen(mount.point), sizeof mount.point - 1);
    assert_int_equal(strlen(mount.source), sizeof mount.source - 1);
    assert_string_equal(mount.type, "ext4");
}

/* ---- devices in a made-up sysfs ---- */

static char sysfs[64];

static void put(const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", sysfs, name);
    for (char *slash = path + strlen(sysfs) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    if (!content) {
        mkdir(path, 0700);
        return;
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void put_link(const char *name, const char *target)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", sysfs, name);
    assert_int_equal(symlink(target, path), 0);
}

static int make_sysfs(void **state)
{
    (void)state;
    snprintf(sysfs, sizeof sysfs, "/var/tmp/dwal-sysfs-XXXXXX");
    if (!mkdtemp(sysfs))
        return -1;
    put("dev/block", NULL);
    put("devices/x/block/sdb/queue/write_cache", "write back\n");
    put("devices/x/block/sdb/queue/fua", "1\n");
    put("devices/x/block/sdb/queue/rotational", "0\n");
    put("devices/x/block/sdb/queue/logical_block_size", "512\n");
    put("devices/x/block/sdb/queue/physical_block_size", "4096\n");
    put("devices/x/block/sdb/queue/atomic_write_unit_max_bytes", "16384\n");
    put("devices/x/block/sdb/sdb1/partition", "1\n");
    put("devices/x/block/dm-0/queue/write_cache", "write through\n");
    put("devices/x/block/dm-0/queue/fua", "maybe\n");
    put("devices/x/block/dm-0/queue/logical_block_size", "-5\n");
    put("devices/x/block/dm-0/queue/physical_block_size", "99999999999999\n");
    put("devices/x/block/dm-0/slaves/sda", NULL);
    put("devices/x/block/dm-0/slaves/sdb", NULL);
    /* dm-1 lies on dm-2 and on nvme0n1; dm-2 on a partition of sdb and on nvme0n1 once more, and, falsely, on dm-1. */
    put("devices/x/block/dm-1/queue/write_cache", "write back\n");
    put("devices/x/block/dm-1/slaves/dm-2", NULL);
    put("devices/x/block/dm-1/slaves/nvme0n1", NULL);
    put("devices/x/block/dm-1/dm/uuid", "LVM-abc\n");
    put("devices/x/block/dm-2/slaves/sdb1", NULL);
    put("devices/x/block/dm-2/slaves/nvme0n1", NULL);
    put("devices/x/block/dm-2/slaves/dm-1", NULL);
    put("devices/x/block/nvme0n1/queue/write_cache", "write through\n");
    put("devices/x/block/nvme0n1/queue/fua", "0\n");
    put("devices/x/block/nvme0n1/queue/dma_alignment", "3\n");
    put("devices/x/block/nvme0n1/queue/scheduler", "[none] mq-deadline\n");
    put("devices/x/block/nvme0n1/queue/zoned", "none\n");
    put("devices/x/block/nvme0n1/size", "1000215216\n");
    put("devices/x/block/nvme0n1/ro", "0\n");
    put("devices/x/block/nvme0n1/wwid", "eui.0025385\n");
    put("class/nvme-generic/ng0n1", NULL);
    put("devices/x/block/sdb/device/scsi_disk/2:0:0:0/cache_type", "write through\n");
    put("class/block", NULL);
    put_link("class/block/dm-1", "../../devices/x/block/dm-1");
    put_link("class/block/dm-2", "../../devices/x/block/dm-2");
    put_link("class/block/sdb1", "../../devices/x/block/sdb/sdb1");
    put_link("class/block/nvme0n1", "../../devices/x/block/nvme0n1");
    put_link("dev/block/254:1", "../../devices/x/block/dm-1");
    put_link("dev/block/259:0", "../../devices/x/block/nvme0n1");
    put_link("dev/block/8:16", "../../devices/x/block/sdb");
    put_link("dev/block/8:17", "../../devices/x/block/sdb/sdb1");
    put_link("dev/block/254:0", "../../devices/x/block/dm-0");
    put_link("dev/block/9:9", "../../devices/gone");
    return 0;
}

static int remove_sysfs(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", sysfs);
    return system(command);
}

static void a_partition_answers_with_the_queue_of_its_disk(void **state)
{
    (void)state;
    struct dw_probe_device device;
    assert_int_equal(dw_probe_read_device(sysfs, 8, 17, &device), 0);
    assert_int_equal(device.major, 8);
    assert_int_equal(device.minor, 17);
    assert_string_equal(device.name, "sdb");
    assert_string_equal(device.partition, "sdb1");
    assert_int_equal(device.has_volatile_cache, DW_FACT_YES);
    assert_int_equal(device.has_fua, DW_FACT_YES);
    assert_int_equal(device.is_rotational, DW_FACT_NO);
    assert_int_equal(device.logical_block_size, 512);
    assert_int_equal(device.physical_block_size, 4096);
    assert_int_equal(device.atomic_write_size, 16384);
    assert_int_equal(device.lower_count, 0);
    assert_int_equal(dw_probe_read_device(sysfs, 8, 16, &device), 0);
    assert_string_equal(device.name, "sdb");
    assert_string_equal(device.partition, "");
    assert_int_equal(device.physical_block_size, 4096);
}

static void what_a_device_does_not_say_stays_unknown(void **state)
{
    (void)state;
    struct dw_probe_device device;
    assert_int_equal(dw_probe_read_device(sysfs, 254, 0, &device), 0);
    assert_string_equal(device.name, "dm-0");
    assert_int_equal(device.has_volatile_cache, DW_FACT_NO);
    assert_int_equal(device.has_fua, DW_FACT_UNKNOWN);
    assert_int_equal(device.is_rotational, DW_FACT_UNKNOWN);
    assert_int_equal(device.logical_block_size, 0);
    assert_int_equal(device.physical_block_size, 0);
    assert_int_equal(device.lower_count, 2);
    assert_int_equal(dw_probe_read_device(sysfs, 1, 1, &device), -ENOENT);
    assert_int_equal(dw_probe_read_device(sysfs, 9, 9, &device), -ENOENT);
    assert_string_equal(device.name, "");
}

static void a_stacked_device_names_the_lowest_ones_once(void **state)
{
    (void)state;
    struct dw_probe_device device;
    assert_int_equal(dw_probe_read_device(sysfs, 254, 1, &device), 0);
    assert_string_equal(device.identity, "LVM-abc");
    assert_string_equal(device.identity_at, "dm/uuid");
    assert_int_equal(device.lower_count, 2);
    assert_int_equal(device.member_count, 2);
    bool is_first_disk = strcmp(device.members[0].name, "sdb") == 0;
    const struct dw_probe_member *disk = &device.members[is_first_disk ? 0 : 1];
    const struct dw_probe_member *nvme = &device.members[is_first_disk ? 1 : 0];
    assert_string_equal(disk->name, "sdb"); /* of its partition */
    assert_int_equal(disk->has_volatile_cache, DW_FACT_YES);
    assert_int_equal(disk->has_fua, DW_FACT_YES);
    assert_string_equal(nvme->name, "nvme0n1");
    assert_int_equal(nvme->has_volatile_cache, DW_FACT_NO);
}

static void what_a_drive_claims_is_told_beside_what_the_kernel_believes(void **state)
{
    (void)state;
    struct dw_probe_device device;
    assert_int_equal(dw_probe_read_device(sysfs, 8, 16, &device), 0);
    assert_int_equal(device.has_volatile_cache, DW_FACT_YES);
    assert_int_equal(device.claims_volatile_cache, DW_FACT_NO);
    assert_int_equal(dw_probe_read_device(sysfs, 259, 0, &device), 0);
    assert_int_equal(device.claims_volatile_cache, DW_FACT_UNKNOWN);
}

static void an_nvme_disk_tells_its_queue_and_its_character_device(void **state)
{
    (void)state;
    struct dw_probe_device device;
    assert_int_equal(dw_probe_read_device(sysfs, 259, 0, &device), 0);
    assert_int_equal(device.dma_alignment, 4);
    assert_string_equal(device.scheduler, "none");
    assert_string_equal(device.identity, "eui.0025385");
    assert_string_equal(device.character, "ng0n1");
    assert_int_equal(device.is_zoned, DW_FACT_NO);
    assert_int_equal(device.is_read_only, DW_FACT_NO);
    assert_true(device.size == UINT64_C(1000215216) * 512);
    assert_int_equal(device.member_count, 0);
}

static void the_machine_tells_kernel_processors_and_tick(void **state)
{
    (void)state;
    struct dw_probe_system system;
    dw_probe_machine(&system, true);
    assert_true(system.kernel_major >= 4 && system.release[0] != '\0');
    assert_true(system.cpu_count >= 1);
    assert_true(system.tick_hz == 0 || (system.tick_hz >= 24 && system.tick_hz <= 10000));
    assert_int_equal(system.uring_error == 0, (system.uring_flags & DW_PROBE_RING_PLAIN) != 0);
}

/* ---- the real thing ---- */

static int make_place(void **state)
{
    struct dw_disk *disk = NULL;
    int result = dw_place_make(&disk);
    *state = disk;
    return result;
}

static int remove_place(void **state)
{
    dw_place_remove(*state);
    return 0;
}

static void a_real_directory_has_a_mount_and_agrees_with_stat(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_probe probe;
    struct stat facts;
    assert_int_equal(dw_probe_path(disk->path, &probe), 0);
    assert_int_equal(stat(disk->path, &facts), 0);
    if (probe.mount.type[0] == '\0' && dw_shell("awk '$5 == \"/\"' /proc/self/mountinfo | grep -q .")->status != 0) {
        print_message("the root directory here is no mount: a chroot\n");
        skip();
    }
    assert_true(probe.mount.type[0] != '\0' && probe.mount.point[0] == '/');
    assert_int_equal(strncmp(disk->path, probe.mount.point, strlen(probe.mount.point)), 0);
    assert_int_equal(probe.mount.is_read_only, DW_FACT_NO);
    assert_int_equal(probe.direct_alignment, 0);
    if (probe.device.name[0] == '\0' || major(facts.st_dev) == 0)
        skip(); /* a file system without a device of its own */
    assert_int_equal(probe.device.major, major(facts.st_dev));
    assert_int_equal(probe.device.minor, minor(facts.st_dev));
    assert_in_range(probe.device.logical_block_size, 512, 65536);
    assert_true(probe.device.physical_block_size >= probe.device.logical_block_size);
    assert_int_not_equal(probe.device.has_volatile_cache, DW_FACT_UNKNOWN);
}

static void a_real_file_has_the_alignment_that_open_uses(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = NULL;
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    char path[600];
    snprintf(path, sizeof path, "%s/a", disk->path);
    struct dw_probe probe;
    assert_int_equal(dw_probe_path(path, &probe), 0);
    if (probe.direct_alignment != 0)
        assert_int_equal(probe.direct_alignment < 512 ? 512 : probe.direct_alignment, file->alignment);
    dw_file_close(file);
}

static void what_is_no_file_is_refused(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_probe probe;
    struct dw_probe_extents extents;
    assert_int_equal(dw_probe_path("/nonexistent/place", &probe), -ENOENT);
    assert_int_equal(dw_probe_path("/dev/null", &probe), -EINVAL);
    assert_int_equal(dw_probe_file_extents("/nonexistent/place", &extents), -ENOENT);
    assert_int_equal(dw_probe_file_extents(disk->path, &extents), -EINVAL);
}

static void extents_tell_written_from_allocated_from_missing(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = NULL;
    char path[600];
    struct dw_probe_extents extents;
    enum { UNIT = 65536 };
    unsigned char *bytes = dw_alloc_io(4 * UNIT, 4096);
    snprintf(path, sizeof path, "%s/a", disk->path);
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    int result = dw_probe_file_extents(path, &extents);
    if (result == -EOPNOTSUPP || disk->ops->allocate(file, 8 * UNIT) < 0) {
        dw_file_close(file);
        dw_free_io(bytes);
        skip();
    }
    assert_int_equal(result, 0);
    assert_int_equal(extents.size + extents.count + extents.hole, 0);
    assert_int_equal(dw_probe_file_extents(path, &extents), 0);
    assert_int_equal(extents.size, 8 * UNIT);
    assert_int_equal(extents.unwritten, 8 * UNIT);
    assert_int_equal(extents.written, 0);
    assert_int_equal(dw_file_write(file, bytes, 4 * UNIT, 2 * UNIT), 0);
    assert_int_equal(dw_file_write(file, bytes, UNIT, 15 * UNIT), 0); /* leaves a hole of 7 units */
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(dw_probe_file_extents(path, &extents), 0);
    assert_int_equal(extents.size, 16 * UNIT);
    assert_int_equal(extents.written, 5 * UNIT);
    assert_int_equal(extents.unwritten, 4 * UNIT);
    assert_int_equal(extents.hole, 7 * UNIT);
    assert_int_equal(extents.shared, 0);
    assert_int_equal(extents.unsettled, 0);
    assert_true(extents.count >= 4);
    dw_file_close(file);
    dw_free_io(bytes);
}

/* More extents than one call of the kernel tells. */
static void many_extents_are_all_counted(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = NULL;
    char path[600];
    struct dw_probe_extents extents;
    enum { UNIT = 4096, PIECES = 150 };
    unsigned char *bytes = dw_alloc_io(UNIT, 4096);
    snprintf(path, sizeof path, "%s/a", disk->path);
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    for (uint64_t i = 0; i < PIECES; i++)
        assert_int_equal(dw_file_write(file, bytes, UNIT, 2 * i * UNIT), 0);
    assert_int_equal(dw_file_sync(file), 0);
    int result = dw_probe_file_extents(path, &extents);
    dw_file_close(file);
    dw_free_io(bytes);
    if (result == -EOPNOTSUPP) {
        print_message("this file system does not tell its extents\n");
        skip();
    }
    assert_int_equal(result, 0);
    assert_int_equal(extents.written, PIECES * UNIT);
    assert_int_equal(extents.hole, (PIECES - 1) * UNIT);
    assert_int_equal(extents.count, PIECES);
}

static void memory_failures_are_told_and_leak_nothing(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_probe probe;
    uint64_t bytes = dw_alloc_bytes();
    dw_alloc_fail_at(1, false);
    int result = dw_probe_path(disk->path, &probe);
    dw_alloc_fail_at(0, false);
    assert_int_equal(result, -ENOMEM);
    assert_int_equal(dw_alloc_bytes(), bytes);
}

static void facts_have_words(void **state)
{
    (void)state;
    assert_string_equal(dw_fact_text(DW_FACT_YES), "yes");
    assert_string_equal(dw_fact_text(DW_FACT_NO), "no");
    assert_string_equal(dw_fact_text(DW_FACT_UNKNOWN), "unknown");
}

#define IN_SYSFS(test) cmocka_unit_test_setup_teardown(test, make_sysfs, remove_sysfs)
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_is_found_by_its_id),
        cmocka_unit_test(types_tell_what_they_are),
        cmocka_unit_test(without_an_id_the_last_mount_of_the_device_counts),
        cmocka_unit_test(a_damaged_text_harms_nothing),
        cmocka_unit_test(long_fields_are_cut_off),
        IN_SYSFS(a_partition_answers_with_the_queue_of_its_disk),
        IN_SYSFS(what_a_device_does_not_say_stays_unknown),
        IN_SYSFS(a_stacked_device_names_the_lowest_ones_once),
        IN_SYSFS(what_a_drive_claims_is_told_beside_what_the_kernel_believes),
        IN_SYSFS(an_nvme_disk_tells_its_queue_and_its_character_device),
        cmocka_unit_test(the_machine_tells_kernel_processors_and_tick),
        IN_PLACE(a_real_directory_has_a_mount_and_agrees_with_stat),
        IN_PLACE(a_real_file_has_the_alignment_that_open_uses),
        IN_PLACE(what_is_no_file_is_refused),
        IN_PLACE(extents_tell_written_from_allocated_from_missing),
        IN_PLACE(many_extents_are_all_counted),
        IN_PLACE(memory_failures_are_told_and_leak_nothing),
        cmocka_unit_test(facts_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
