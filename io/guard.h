/* guard.h - what stands in the way of using or formatting a block device, or of a log in a directory. Reads only.
 *
 * Owns: nothing; struct dw_guard is the caller's, of a fixed size, without memory of its own.
 * Called by: creating and opening a log on a device, and tools, on any thread; slow (some hundred system calls, up to 3 MiB read
 * through the page cache), and it allocates.
 * Happy path: look at the device's number, its limits, who uses it or its partitions, what is written on it; each finding is one
 * bit and one sentence that a person can act on. Nothing found: the device is unused, writable, and holds nothing.
 * Failure: -errno when it cannot be looked at at all. What could not be found out is a finding of its own (UNCHECKED), never
 * "nothing". libblkid is loaded when the content is looked at; without it every content is UNCHECKED.
 * Use: dw_guard_look before anything is written; dw_guard_confirm on the descriptor that will carry the writes, when that
 * is another one: the path may have been given to another device meanwhile. */
#ifndef DW_IO_GUARD_H
#define DW_IO_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum dw_guard_finding {
    /* Somebody uses it, or it cannot be written: nothing overrides these. */
    DW_GUARD_MOUNTED = 0x0001,   /* it, one of its partitions, or the disk that it is a partition of */
    DW_GUARD_SWAP = 0x0002,      /* likewise */
    DW_GUARD_HELD = 0x0004,      /* by another device on top of it (dm, md, loop), or opened with O_EXCL by somebody */
    DW_GUARD_READ_ONLY = 0x0008, /* the kernel refuses writes */
    DW_GUARD_ZONED = 0x0010,     /* zones must be written in order */
    /* Something would be destroyed: an order to format all the same (force) overrides these. */
    DW_GUARD_SIGNATURE = 0x0100,  /* file system, RAID, LVM, LUKS, swap area, ...: all that libblkid knows */
    DW_GUARD_PARTITIONS = 0x0200, /* a partition table, or partitions that the kernel knows */
    DW_GUARD_AMBIVALENT = 0x0400, /* signatures that contradict each other */
    DW_GUARD_DWAL = 0x0800,       /* structures of dwal */
    DW_GUARD_DATA = 0x1000,       /* bytes other than zero where nothing is known to lie */
    DW_GUARD_UNCHECKED = 0x2000,  /* the content could not be judged: no libblkid, or a read failed */
    /* Of a directory. */
    DW_GUARD_NETWORK = 0x010000, /* another machine keeps the bytes: locks and durability are a protocol's promise */
    DW_GUARD_MEMORY = 0x020000,  /* gone with the power */
    DW_GUARD_COPY_ON_WRITE = 0x040000, /* an overwrite goes elsewhere, so every commit changes the file system's tree */
    DW_GUARD_NO_FLUSH = 0x080000,      /* a flush does nothing there, by a mount option */
    DW_GUARD_STRANGERS = 0x100000,     /* others may replace or write its files */
    DW_GUARD_REMARK = 0x200000,        /* nothing in the way: only to be said */
};
#define DW_GUARD_IN_USE  0x001fu /* findings that no force overrides */
#define DW_GUARD_CONTENT 0x3f00u /* findings that force overrides */
/* Those of a directory that only a caller who asks for unsafe operation may ignore. */
#define DW_GUARD_UNSAFE (DW_GUARD_NETWORK | DW_GUARD_MEMORY | DW_GUARD_COPY_ON_WRITE | DW_GUARD_NO_FLUSH)

enum { DW_GUARD_TEXTS_MAX = 16, DW_GUARD_TEXT_SIZE = 192 };

/* Which device it was: a path proves nothing, and a number is given to another device after the first has gone. */
struct dw_guard_identity {
    uint32_t major, minor;
    uint64_t sequence; /* the kernel's serial number of this disk since boot; 0: unknown */
    uint64_t size;     /* bytes */
};

struct dw_guard {
    struct dw_guard_identity identity;
    uint32_t findings; /* bits of enum dw_guard_finding */
    uint32_t text_count;
    uint32_t dropped_count; /* findings for which there was no room */
    struct {
        enum dw_guard_finding finding;
        char text[DW_GUARD_TEXT_SIZE]; /* "ext4 file system, label \"home\", UUID ..." */
    } texts[DW_GUARD_TEXTS_MAX];
};

/* Look at the block device `path`. `descriptor`: the one that will carry the I/O, if it is open already (then it should have
 * been opened with O_EXCL, and never with O_CREAT), or -1: then it is tried whether it can be opened with O_EXCL.
 * 0: looked, see `findings`. -ENOTBLK: no block device; -ESTALE: the descriptor is of another device; other -errno as open(2). */
DW_NODISCARD int dw_guard_look(const char *path, int descriptor, struct dw_guard *guard);

/* Is this descriptor the device that was looked at? 0, -ESTALE: another one (or it changed its size), -errno. */
DW_NODISCARD int dw_guard_confirm(const struct dw_guard *guard, int descriptor);

/* The device behind a descriptor. -ENOTBLK: none. */
DW_NODISCARD int dw_guard_identify(int descriptor, struct dw_guard_identity *identity);

/* Those findings that forbid to format: all of them, or, with force, those that no force overrides. 0: go on. */
static inline uint32_t dw_guard_forbidding(const struct dw_guard *guard, bool is_forced)
{
    return guard->findings & (is_forced ? DW_GUARD_IN_USE : DW_GUARD_IN_USE | DW_GUARD_CONTENT);
}

/* All texts whose finding is in `findings`, joined with "; ", cut off with "..." if longer than `size`. */
void dw_guard_tell(const struct dw_guard *guard, uint32_t findings, char *text, size_t size);

/* Add a finding of the caller's own (a log's name, say). */
void dw_guard_add(struct dw_guard *guard, enum dw_guard_finding finding, const char *format, ...) DW_PRINTF(3, 4);

/* What speaks against keeping a log in this directory: DW_GUARD_NETWORK and those below it. -ENOTDIR, -ENOENT, ... */
DW_NODISCARD int dw_guard_look_at_directory(const char *path, struct dw_guard *guard);
/* Ask a copy-on-write file system to overwrite in place all files that will be made in this (empty) directory (chattr +C).
 * -EOPNOTSUPP: it cannot. */
DW_NODISCARD int dw_guard_set_in_place(const char *path);

/* ---- the parts, for tests on made-up systems ---- */
struct dw_probe;
/* The findings that follow from the mount. */
void dw_guard_judge_mount(const struct dw_probe *probe, struct dw_guard *guard);
/* Who uses major:minor, in the /proc and /sys mounted at these places (ZONED and partitions of the kernel included). */
void dw_guard_look_at_users(const char *proc, const char *sysfs, struct dw_guard *guard);
/* What is written there: any readable descriptor without O_DIRECT, a regular file too. `size` bytes. */
void dw_guard_look_at_content(int descriptor, uint64_t size, struct dw_guard *guard);
/* The same without libblkid: structures of dwal, and bytes other than zero when nothing is known so far. */
void dw_guard_look_at_bytes(int descriptor, uint64_t size, struct dw_guard *guard);

#endif
