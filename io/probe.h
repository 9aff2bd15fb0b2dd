/* probe.h - facts about the place of a log, for people and for choices: file system, mount, block device, extents.
 *
 * Owns: nothing; measures nothing; writes nothing. Reads mountinfo, sysfs and the extents of a file.
 * Called by: open and tools, on any thread; it allocates and is slow (some dozens of system calls).
 * Failure: -errno when the path itself cannot be looked at. A fact that cannot be had is UNKNOWN, "" or 0, never guessed. */
#ifndef DW_IO_PROBE_H
#define DW_IO_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum dw_fact { DW_FACT_UNKNOWN = 0, DW_FACT_NO = 1, DW_FACT_YES = 2 };
const char *dw_fact_text(enum dw_fact fact); /* "unknown", "no", "yes" */

/* The mount that holds a path. */
struct dw_probe_mount {
    char type[32];    /* "ext4", "xfs", ... */
    char point[256];  /* mount point, cut off if longer */
    char source[128]; /* what is mounted, as the mount says: "/dev/vda1" */
    char root[128];   /* part of the file system that is mounted there: "/", or more for a bind mount or subvolume */
    enum dw_fact is_read_only;
    enum dw_fact is_barrier_off;   /* flushes are not sent: durable means nothing. Yes is an alarm */
    enum dw_fact is_discarding;    /* unlink sends TRIM at once: latency bursts */
    enum dw_fact is_copy_on_write; /* an overwrite goes elsewhere: each commit also writes metadata */
    enum dw_fact is_network;
    enum dw_fact is_memory; /* gone with the power */
};

/* The block device behind it: the whole disk, because a partition has no queue of its own. A stacked device (dm, md) answers
 * for those below it: its limits are the kernel's combination of theirs. */
struct dw_probe_device {
    uint32_t major, minor; /* of what the file system lies on; 0:0 when there is none */
    char name[32];         /* "vda", "nvme0n1", "dm-0"; "" when there is none */
    char partition[32];    /* "vda1"; "" when the whole disk is used */
    enum dw_fact
        has_volatile_cache; /* as the kernel believes: it flushes only if yes. An administrator can change it */
    enum dw_fact has_fua;   /* a durable write is one command, not write + flush */
    enum dw_fact is_rotational;
    uint32_t logical_block_size, physical_block_size; /* bytes */
    uint32_t atomic_write_size;                       /* bytes that a power cut cannot tear; 0: none promised */
    uint32_t lower_count;                             /* devices that it is stacked on */
};

struct dw_probe {
    struct dw_probe_mount mount;
    struct dw_probe_device device;
    enum dw_fact
        is_no_cow; /* the directory or file asks a copy-on-write file system to overwrite in place (chattr +C) */
    uint32_t direct_alignment; /* of direct I/O on this file; 0: a directory, unknown, or none */
};

/* How the bytes of one file lie on its device. The sums are bytes inside the file's size. */
struct dw_probe_extents {
    uint64_t size;
    uint64_t count;     /* extents */
    uint64_t written;   /* a write there is a pure overwrite */
    uint64_t unwritten; /* allocated only: the first write of each also changes metadata */
    uint64_t hole;      /* nothing allocated */
    uint64_t shared;    /* of `written`: shared with a snapshot or clone, so a write copies */
    uint64_t unsettled; /* not on the device yet, or kept in metadata: inline, delayed */
};

/* `path`: a directory or a regular file. */
DW_NODISCARD int dw_probe_path(const char *path, struct dw_probe *probe);
/* -EOPNOTSUPP: the file system does not tell. */
DW_NODISCARD int dw_probe_file_extents(const char *path, struct dw_probe_extents *extents);

/* ---- the parts, for tests on made-up systems ---- */
/* Find the mount with this id, or (id 0) the last one of this device, in the text of a mountinfo file. 0 or -ENOENT. */
DW_NODISCARD int dw_probe_parse_mounts(const char *text, size_t size, uint64_t id, uint32_t major, uint32_t minor,
                                       struct dw_probe_mount *mount);
/* Look at block device major:minor in the sysfs mounted at `sysfs`. 0 or -ENOENT. */
DW_NODISCARD int dw_probe_read_device(const char *sysfs, uint32_t major, uint32_t minor,
                                      struct dw_probe_device *device);

#endif
