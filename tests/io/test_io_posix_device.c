/* test_io_posix_device.c - every kind of queue passes the suite of queues on a block device.
 *
 *     DWAL_TEST_DEVICE=/dev/nvme0n1 test_io_posix_device      DESTROYS what is on that device (at least 128 MiB)
 *
 * DWAL_TEST_QUEUE names the only kind to test. Without a device it makes loop devices for itself, with 512 and 4096 byte sectors (root only). The kinds that a device
 * cannot have are said to be skipped: nvme needs an NVMe device, nvme-poll one with polled queues (nvme.poll_queues=1). On an
 * NVMe device the suite runs on a partition as well, which the test adds for the kernel alone: nothing is written for it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/lib/io_conformance.h"
#include "tests/lib/io_regions.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum { PARTITION_NUMBER = 7 };
#define PARTITION_START (INT64_C(3) << 20)
#define PARTITION_SIZE  (INT64_C(120) << 20)

static int make(void *context, struct dw_disk **disk)
{
    return dw_regions_open(context, disk);
}

static void unmake(void *context, struct dw_disk *disk)
{
    (void)context;
    disk->ops->close(disk);
}

/* 0: it can be had; else why not. */
static int try_kind(const char *device, const char *kind)
{
    struct dw_disk *disk = NULL;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = kind, .depth = 1};
    int result = dw_regions_open(device, &disk);
    if (result < 0)
        return result;
    result = disk->ops->queue_create(disk, &options, &queue);
    if (result == 0)
        queue->ops->close(queue);
    disk->ops->close(disk);
    return result;
}

static int run_kind(char *device, const char *kind)
{
    char name[160], why[256];
    int result = try_kind(device, kind);
    if (result < 0) {
        dw_queue_refusal(kind, result, why, sizeof why);
        printf("skipped: %s on %s: %s\n", kind, device, why);
        return 0;
    }
    snprintf(name, sizeof name, "%s on %s", kind, device);
    const struct dw_io_subject subject = {
        .name = name, .queue_kind = kind, .context = device, .make = make, .unmake = unmake, .has_only_queues = true};
    return dw_io_conformance_run(&subject);
}

static int run_device(char *device)
{
    static const char *const kinds[] = {"sync", "uring", "aio", "nvme", "nvme-poll"};
    int failed = 0;
    const char *only = getenv("DWAL_TEST_QUEUE");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!only || strcmp(only, kinds[i]) == 0)
            failed += run_kind(device, kinds[i]);
    return failed;
}

/* ---- a partition -------------------------------------------------------------------------------------------------- */

static int change_partition(int descriptor, int what)
{
    struct blkpg_partition partition = {.start = PARTITION_START, .length = PARTITION_SIZE, .pno = PARTITION_NUMBER};
    struct blkpg_ioctl_arg argument = {.op = what, .datalen = sizeof partition, .data = &partition};
    return ioctl(descriptor, BLKPG, &argument) < 0 ? -errno : 0;
}

/* The bytes in front of a partition are somebody else's: they must stay as they are. */
static int run_partition(const char *device)
{
    static unsigned char before[PARTITION_START], after[PARTITION_START];
    char path[128];
    int descriptor = open(device, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return 1;
    memset(before, 0x5e, sizeof before);
    int failed = pwrite(descriptor, before, sizeof before, 0) != (ssize_t)sizeof before || fsync(descriptor) != 0;
    if (change_partition(descriptor, BLKPG_ADD_PARTITION) < 0) {
        printf("skipped: no partition can be added to %s\n", device);
    } else {
        snprintf(path, sizeof path, "%.100sp%d", device, PARTITION_NUMBER);
        for (int wait = 0; wait < 50 && access(path, F_OK) < 0; wait++)
            usleep(10000); /* the node is somebody else's work */
        failed += run_kind(path, "nvme");
        failed += change_partition(descriptor, BLKPG_DEL_PARTITION) != 0;
    }
    close(descriptor);
    descriptor = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
    void *aligned = (void *)(((uintptr_t)after + 4095) & ~(uintptr_t)4095);
    size_t size = sizeof after - 4096;
    bool is_same =
        descriptor >= 0 && pread(descriptor, aligned, size, 0) == (ssize_t)size && memcmp(aligned, before, size) == 0;
    if (!is_same)
        printf("the bytes in front of the partition were changed\n");
    close(descriptor);
    return failed + !is_same;
}

/* ---- loop devices ------------------------------------------------------------------------------------------------- */

static int run_loop(const char *place, unsigned sector_size)
{
    const struct dw_shell *made = dw_shell("truncate -s 128M %s/image && losetup -f --show --direct-io=on "
                                           "--sector-size %u %s/image",
                                           place, sector_size, place);
    if (made->status != 0) {
        printf("skipped: no loop device with sectors of %u bytes: %s", sector_size, made->output);
        return 0;
    }
    char device[64];
    snprintf(device, sizeof device, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    int failed = run_device(device);
    dw_shell_good("losetup -d %s", device);
    return failed;
}

int main(void)
{
    char *given = getenv("DWAL_TEST_DEVICE");
    if (given) {
        int failed = run_device(given);
        return failed + (try_kind(given, "nvme") == 0 ? run_partition(given) : 0);
    }
    if (getuid() != 0 || !dw_shell_has("losetup"))
        dw_shell_skip("needs root and losetup, or DWAL_TEST_DEVICE");
    char place[DW_TMPDIR_SIZE];
    dw_tmpdir_make(place, "io-device");
    int failed = run_loop(place, 512) + run_loop(place, 4096);
    dw_tmpdir_remove(place);
    return failed;
}
