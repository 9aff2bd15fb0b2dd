/* posix.c - a directory of this machine as a disk.
 *
 * Owns: a descriptor of the directory, so that a later rename of a parent does no harm.
 * Called by: open and close of a log; everything else goes through the table of functions below, on any thread.
 * Happy path: open the directory, ask which file system it is, hand out files that are read and written with O_DIRECT.
 * Failure: -EOPNOTSUPP for a file system on which "durable" or the locks would mean something else (network) or nothing
 *          (memory); -ENOENT, -ENOTDIR, -EACCES, ... as the kernel says.
 * Closing: closes the descriptor; files and queues are closed before. */
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"

enum { FILES_AT_ONCE = 16 };

/* statfs magics; linux/magic.h lacks several. */
static const struct {
    uint32_t magic;
    const char *name;
} refused[] = {
    /* Another machine holds the bytes: locks, O_DIRECT and durability are promises of a protocol. */
    {0x00006969, "nfs"},
    {0x0000517b, "smb"},
    {0xff534d42, "cifs"},
    {0xfe534d42, "smb2"},
    {0x00c36400, "ceph"},
    {0x01021997, "9p"},
    {0x5346414f, "afs"},
    {0x73757245, "coda"},
    {0x0000564c, "ncp"},
    {0x7461636f, "ocfs2"},
    {0x01161970, "gfs2"},
    {0x0bd00bd0, "lustre"},
    {0x47504653, "gpfs"},
    /* Gone with the power. Newer kernels accept O_DIRECT here, so open(2) would not tell. */
    {0x01021994, "tmpfs"},
    {0x858458f6, "ramfs"},
    {0x958458f6, "hugetlbfs"},
};

static int check_file_system(int directory)
{
    struct statfs facts;
    int result;
    do
        result = fstatfs(directory, &facts);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    for (size_t i = 0; i < DW_COUNT_OF(refused); i++)
        if ((uint32_t)facts.f_type == refused[i].magic)
            return -EOPNOTSUPP;
    return 0;
}

static void close_disk(struct dw_disk *base)
{
    struct dw_posix_disk *disk = dw_posix_disk_of(base);
    close(disk->directory);
    dw_pool_destroy(&disk->files);
    dw_free(disk);
}

static bool is_known(const char *kind)
{
    static const char *const kinds[] = {"uring", "aio", "nvme", "nvme-poll"};
    for (size_t i = 0; i < DW_COUNT_OF(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

int dw_posix_queue_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue)
{
    /* Without a measurement the synchronous one is the better bet: on a device without FUA the completion of an
     * asynchronous durable write goes through an ordinary kernel worker, which a busy CPU delays by milliseconds. */
    const char *kind = options->kind ? options->kind : "sync";
    if (strcmp(kind, "sync") == 0)
        return dw_queue_sync_create(disk, options, queue);
#ifdef DW_HAVE_URING
    if (strcmp(kind, "uring") == 0)
        return dw_queue_uring_create(disk, options, queue);
    if (strcmp(kind, "nvme") == 0 || strcmp(kind, "nvme-poll") == 0)
        return dw_queue_nvme_create(disk, options, kind[4] != '\0', queue);
#endif
#ifdef DW_HAVE_AIO
    if (strcmp(kind, "aio") == 0)
        return dw_queue_aio_create(disk, options, queue);
#endif
    return is_known(kind) ? -EOPNOTSUPP : -EINVAL;
}

static const struct dw_disk_ops posix_ops = {
    .name = "posix",
    .close = close_disk,
    .list = dw_posix_list,
    .open = dw_posix_open,
    .rename = dw_posix_rename,
    .unlink = dw_posix_unlink,
    .sync_names = dw_posix_sync_names,
    .close_file = dw_posix_close_file,
    .size = dw_posix_size,
    .read = dw_posix_read,
    .write = dw_posix_write,
    .write_durable = dw_posix_write_durable,
    .sync = dw_posix_sync,
    .touch = dw_posix_touch,
    .allocate = dw_posix_allocate,
    .lock = dw_posix_lock,
    .lock_test = dw_posix_lock_test,
    .queue_create = dw_posix_queue_create,
    .reads_create = dw_posix_reads_create,
};

bool dw_disk_is_posix(const struct dw_disk *disk)
{
    return disk->ops->queue_create == dw_posix_queue_create;
}

void dw_disk_prefer_flush(struct dw_disk *disk)
{
    /* The state that a kernel without the flag leads to does just that. */
    if (dw_disk_is_posix(disk))
        atomic_store_explicit(&dw_posix_disk_of(disk)->dsync, DW_DSYNC_MISSING, memory_order_relaxed);
}

int dw_disk_posix_open(const char *path, bool is_unsafe, struct dw_disk **disk_out)
{
    *disk_out = NULL;
    int directory;
    do
        directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (directory < 0 && errno == EINTR);
    if (directory < 0)
        return -errno;
    int result = is_unsafe ? 0 : check_file_system(directory);
    struct dw_posix_disk *disk = result == 0 ? dw_alloc(sizeof *disk) : NULL;
    if (!disk || dw_pool_init(&disk->files, sizeof(struct dw_posix_file), FILES_AT_ONCE) < 0) {
        close(directory);
        dw_free(disk);
        return result < 0 ? result : -ENOMEM;
    }
    disk->base.ops = &posix_ops;
    snprintf(disk->base.path, sizeof disk->base.path, "%s", path);
    disk->directory = directory;
    disk->is_unsafe = is_unsafe;
    *disk_out = &disk->base;
    return 0;
}
