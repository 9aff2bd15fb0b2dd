/* posix_zero.c - zeros on a block device without moving them: one command to the device, believed only after reading.
 *
 * Called by: the maker, while it fills a blank; one thread. The range is the caller's to destroy.
 * Happy path: FALLOC_FL_WRITE_ZEROES (kernel 6.17), else BLKZEROOUT, which keeps the blocks allocated; then the range is
 * read back past the page cache. The first time a pattern is written before, so that a device which ignores the command, or
 * answers from a table of what it has unmapped, is found out on space that was not zero.
 * Not used: where the kernel has no such command for the device (it would write zero pages itself, at its own pace), and on
 * loop devices, which only mark the range as unwritten in their file: every first write there would be a journal commit.
 * Failure: -EOPNOTSUPP, for good: zeros are written then. A read that fails is its -errno. Closing: frees the buffer. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "io/posix.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

enum { BUFFER_SIZE = 256 << 10, BUFFER_ALIGNMENT = 65536, LOOP_MAJOR = 7, PATTERN = 0xa5 };

/* A partition has no queue of its own: its disk, one directory up, does. */
static bool has_command(dev_t number)
{
    static const char *const places[] = {"", "../"};
    char digits[32] = "";
    for (size_t i = 0; i < DW_COUNT_OF(places) && digits[0] == '\0'; i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%squeue/write_zeroes_max_bytes", major(number),
                       minor(number), places[i]);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            continue;
        ssize_t got = read(file, digits, sizeof digits - 1);
        digits[got > 0 ? got : 0] = '\0';
        close(file);
    }
    return strtoull(digits, NULL, 10) > 0;
}

void dw_posix_zero_open(struct dw_posix_zero *zero, dev_t number)
{
    *zero = (struct dw_posix_zero){0};
    if (major(number) != LOOP_MAJOR && has_command(number))
        zero->buffer = dw_alloc_io(BUFFER_SIZE, BUFFER_ALIGNMENT); /* none: zeros are written */
}

void dw_posix_zero_close(struct dw_posix_zero *zero)
{
    dw_free_io(zero->buffer);
    zero->buffer = NULL;
}

static int command(struct dw_posix_zero *zero, int descriptor, uint64_t offset, uint64_t size)
{
    if (!zero->has_no_allocate) {
        if (fallocate(descriptor, FALLOC_FL_WRITE_ZEROES, (off_t)offset, (off_t)size) == 0)
            return 0;
        zero->has_no_allocate = true;
    }
    uint64_t range[2] = {offset, size};
    return ioctl(descriptor, BLKZEROOUT, range) == 0 ? 0 : -EOPNOTSUPP;
}

static int read_back(struct dw_posix_zero *zero, struct dw_file *file, uint64_t offset, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += BUFFER_SIZE) {
        size_t wanted = (size_t)dw_min_u64(BUFFER_SIZE, size - at), done;
        zero->buffer[0] = PATTERN;
        int result = dw_posix_read(file, zero->buffer, wanted, offset + at, &done);
        if (result != 0)
            return result;
        if (done != wanted || zero->buffer[0] != 0 || memcmp(zero->buffer, zero->buffer + 1, wanted - 1) != 0)
            return -EOPNOTSUPP;
    }
    return 0;
}

static int write_pattern(struct dw_posix_zero *zero, struct dw_file *file, uint64_t offset, uint64_t size)
{
    size_t length = (size_t)dw_min_u64(BUFFER_SIZE, size);
    memset(zero->buffer, PATTERN, length);
    int result = dw_posix_write(file, zero->buffer, length, offset);
    return result == 0 ? dw_posix_sync(file) : result;
}

int dw_posix_zero(struct dw_posix_zero *zero, struct dw_file *file, uint64_t offset, uint64_t size)
{
    if (!zero->buffer || zero->is_refused)
        return -EOPNOTSUPP;
    int result = zero->is_proven ? 0 : write_pattern(zero, file, offset, size);
    if (result == 0)
        result = command(zero, dw_posix_file_of(file)->descriptor, offset, size);
    if (result == 0)
        result = read_back(zero, file, offset, size);
    zero->is_proven = zero->is_proven || result == 0;
    zero->is_refused = result == -EOPNOTSUPP;
    return result;
}
