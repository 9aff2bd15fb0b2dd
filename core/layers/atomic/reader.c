/* reader.c - read a file that was replaced as a whole: nothing is given before all of it was checked.
 *
 * Owns: the descriptor, and so one version of the file, whatever is renamed over its name meanwhile.
 * Called by: one thread at a time for each reader. Happy path: open -> the first read checks -> read ... -> close.
 * Failure: damage is DWAL_EATOMIC_DAMAGED, and stays it. Memory: one buffer, whatever the length says. */
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc64.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/layers/atomic/atomic.h"

struct dwal_atomic_reader {
    struct dw_atomic_place place;
    int file;
    uint64_t size, at; /* of the content */
    bool is_checked, is_damaged;
    uint8_t buffer[DW_ATOMIC_BUFFER];
};

/* All of it, or why not. A file that is shorter than it was at open has been changed under us. */
static int read_at(dwal_atomic_reader *reader, void *bytes, size_t size, uint64_t offset)
{
    uint8_t *to = bytes;
    while (size > 0) {
        ssize_t got = pread(reader->file, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dw_atomic_fail(dw_atomic_code_of(errno), errno, "reading %s failed at byte %llu", reader->place.name,
                                  (unsigned long long)offset);
        if (got == 0)
            return dw_atomic_fail(DWAL_EATOMIC_DAMAGED, 0, "%s ends at byte %llu while it is read", reader->place.name,
                                  (unsigned long long)offset);
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static int look_at_header(dwal_atomic_reader *reader, uint32_t *magic)
{
    struct stat facts;
    struct dw_atomic_header header;
    if (fstat(reader->file, &facts) != 0)
        return dw_atomic_fail(DWAL_EDEVICE, errno, "%s", reader->place.name);
    if (!S_ISREG(facts.st_mode))
        return dw_atomic_fail(DWAL_EARGUMENT, 0, "%s is no regular file", reader->place.name);
    if (facts.st_size < (off_t)DWAL_ATOMIC_SIZE_MIN)
        return dw_atomic_fail(DWAL_EATOMIC_DAMAGED, 0, "%s has %lld bytes, and the least is %u", reader->place.name,
                              (long long)facts.st_size, DWAL_ATOMIC_SIZE_MIN);
    int result = read_at(reader, &header, sizeof header, 0);
    if (result != 0)
        return result;
    if (memcmp(header.magic, DW_ATOMIC_MAGIC, sizeof header.magic) != 0 || dw_get32(header.zero) != 0)
        return dw_atomic_fail(DWAL_EATOMIC_DAMAGED, 0, "%s does not begin as an atomic file does", reader->place.name);
    reader->size = (uint64_t)facts.st_size - DWAL_ATOMIC_SIZE_MIN;
    if (magic)
        *magic = dw_get32(header.number);
    return 0;
}

int dwal_atomic_open(const char *path, unsigned flags, dwal_atomic_reader **reader, uint32_t *magic)
{
    *reader = NULL;
    dwal_atomic_reader *made = malloc(sizeof *made);
    if (!made)
        return dw_atomic_fail(DWAL_EMEMORY, 0, "no memory for the reader of a file");
    memset(made, 0, offsetof(dwal_atomic_reader, buffer));
    made->file = -1;
    int result = dw_atomic_place_open(&made->place, path, flags);
    if (result == 0) {
        made->file = openat(made->place.directory, made->place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (made->file < 0)
            result = dw_atomic_fail(dw_atomic_code_of(errno), errno, "%s cannot be opened", path);
    }
    if (result == 0)
        result = look_at_header(made, magic);
    if (result != 0) {
        dwal_atomic_close(made);
        return result;
    }
    *reader = made;
    return 0;
}

uint64_t dwal_atomic_size(const dwal_atomic_reader *reader)
{
    return reader->size;
}

/* The whole file against its checksum. */
static int check(dwal_atomic_reader *reader)
{
    uint64_t end = DWAL_ATOMIC_HEADER_SIZE + reader->size, crc = 0;
    for (uint64_t at = 0; at < end;) {
        size_t size = end - at < DW_ATOMIC_BUFFER ? (size_t)(end - at) : DW_ATOMIC_BUFFER;
        int result = read_at(reader, reader->buffer, size, at);
        if (result != 0)
            return result;
        crc = crc64_ecma_refl(crc, reader->buffer, size);
        at += size;
    }
    dw_le64 wanted;
    int result = read_at(reader, &wanted, sizeof wanted, end);
    if (result != 0)
        return result;
    reader->is_damaged = dw_get64(wanted) != crc;
    reader->is_checked = true;
    return 0;
}

int dwal_atomic_read(dwal_atomic_reader *reader, void *bytes, size_t size, size_t *done)
{
    *done = 0;
    int result = reader->is_checked ? 0 : check(reader);
    if (result != 0)
        return result;
    if (reader->is_damaged)
        return dw_atomic_fail(DWAL_EATOMIC_DAMAGED, 0, "the checksum of %s does not hold", reader->place.name);
    if (size > reader->size - reader->at)
        size = (size_t)(reader->size - reader->at);
    result = read_at(reader, bytes, size, DWAL_ATOMIC_HEADER_SIZE + reader->at);
    if (result != 0)
        return result;
    reader->at += size;
    *done = size;
    return 0;
}

void dwal_atomic_close(dwal_atomic_reader *reader)
{
    if (!reader)
        return;
    if (reader->file >= 0)
        close(reader->file);
    dw_atomic_place_close(&reader->place);
    free(reader);
}
