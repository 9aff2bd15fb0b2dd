/* guard_content.c - what is written on a device: structures of dwal, and bytes of which nobody knows anything.
 *
 * Happy path: libblkid says what it knows (guard_blkid.c); then the first and last MiB and 64 places between are read. A byte
 * other than zero where nothing is known to lie is somebody's data until a person says otherwise.
 * Failure: a read that fails is the finding UNCHECKED, and ends the looking. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "io/guard.h"
#include "io/guard_blkid.h"

enum { WINDOW = 1 << 20, PLACE = 4096, PLACES = 64 };

/* Every structure of dwal carries a word that begins with these four bytes, at byte 0 or 8 of a unit of 512. */
static const char mark[4] = {'d', 'w', 'a', 'l'};

static bool is_mark(const unsigned char *at)
{
    if (memcmp(at, mark, sizeof mark) != 0)
        return false;
    for (size_t i = sizeof mark; i < 8; i++)
        if (at[i] != 0 && !(at[i] >= '0' && at[i] <= '9') && !(at[i] >= 'A' && at[i] <= 'Z'))
            return false;
    return true;
}

static void find_marks(struct dw_guard *guard, const unsigned char *bytes, size_t size, uint64_t offset)
{
    for (size_t at = 0; at + 16 <= size && !(guard->findings & DW_GUARD_DWAL); at += 512)
        for (size_t shift = 0; shift <= 8; shift += 8)
            if (is_mark(bytes + at + shift)) {
                dw_guard_add(guard, DW_GUARD_DWAL, "a log of dwal (its mark is at byte %" PRIu64 ")",
                             offset + at + shift);
                return;
            }
}

static void find_data(struct dw_guard *guard, const unsigned char *bytes, size_t size, uint64_t offset)
{
    if (guard->findings & DW_GUARD_CONTENT & ~(uint32_t)DW_GUARD_UNCHECKED)
        return; /* something is known to lie there, and named */
    for (size_t at = 0; at < size; at++)
        if (bytes[at] != 0) {
            dw_guard_add(guard, DW_GUARD_DATA,
                         "bytes other than zero, of no kind that is known (at byte %" PRIu64 ", perhaps elsewhere too)",
                         offset + at);
            return;
        }
}

/* One window; false when the rest need not be read. */
static bool look_at_window(struct dw_guard *guard, int descriptor, unsigned char *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(descriptor, bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            dw_guard_add(guard, DW_GUARD_UNCHECKED, "reading it failed at byte %" PRIu64 ": %s", offset + done,
                         got < 0 ? strerror(errno) : "it ends there");
            return false;
        }
        done += (size_t)got;
    }
    find_marks(guard, bytes, size, offset);
    find_data(guard, bytes, size, offset);
    return true;
}

void dw_guard_look_at_bytes(int descriptor, uint64_t size, struct dw_guard *guard)
{
    unsigned char *bytes = size > 0 ? dw_alloc(WINDOW) : NULL;
    if (!bytes) {
        if (size > 0)
            dw_guard_add(guard, DW_GUARD_UNCHECKED, "no memory to look at its content");
        return;
    }
    size_t window = (size_t)dw_min_u64(size, WINDOW);
    bool is_going = look_at_window(guard, descriptor, bytes, window, 0);
    if (is_going && size > WINDOW)
        is_going = look_at_window(guard, descriptor, bytes, window, size - window);
    /* Between them: only to tell an unused device from one whose ends happen to be empty. */
    uint64_t stride = dw_align_down(size / (PLACES + 1), PLACE);
    for (uint64_t i = 1; is_going && i <= PLACES && stride > PLACE && !(guard->findings & DW_GUARD_CONTENT); i++)
        is_going = look_at_window(guard, descriptor, bytes, PLACE, i * stride);
    dw_free(bytes);
}

void dw_guard_look_at_content(int descriptor, uint64_t size, struct dw_guard *guard)
{
    dw_guard_look_at_signatures(descriptor, size, guard);
    dw_guard_look_at_bytes(descriptor, size, guard);
}
