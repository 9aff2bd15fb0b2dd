/* probe.h - facts about the place of a log, for people and for choices: file system, mount, block device, extents.
 *
 * Owns: nothing; measures nothing; writes nothing. Reads mountinfo, sysfs and the extents of a file.
 * Called by: open and tools, on any thread; it allocates and is slow (some dozens of system calls).
 * Failure: -errno when the path itself cannot be looked at. A fact that cannot be had is UNKNOWN, "" or 0, never guessed. */
#ifndef DW_IO_PROBE_H
#define DW_IO_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct dw_disk;

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
    enum dw_fact is_memory;    /* gone with the power */
    enum dw_fact is_lazy_time; /* time stamps are kept in memory: a write need not touch the inode */
    enum dw_fact
        is_journaling_data; /* data go through the journal: each is written twice, and direct I/O is not direct */
};

/* One device below a stacked one: what a flush has to reach in the end. */
struct dw_probe_member {
    char name[32];
    enum dw_fact has_volatile_cache, has_fua;
};
enum { DW_PROBE_MEMBERS_MAX = 8 };

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
    uint32_t dma_alignment;                           /* bytes: of memory; 0: unknown */
    uint64_t size;                                    /* bytes, of the whole disk */
    enum dw_fact
        claims_volatile_cache; /* what the drive itself says, where sysfs tells; may differ from the kernel's belief */
    enum dw_fact is_zoned;
    enum dw_fact is_read_only;
    char scheduler[24];   /* "none", "mq-deadline" */
    char identity[128];   /* as lasting as can be had: uuid, wwid, serial number, backing file; "" when there is none */
    char identity_at[64]; /* the file below the disk's directory that says so */
    char backing[128];    /* a loop device's file; "" */
    char character[32];   /* NVMe: the character device for passthrough, "ng0n1"; "" */
    uint32_t member_count;
    struct dw_probe_member members[DW_PROBE_MEMBERS_MAX]; /* the lowest devices, when it is stacked */
};

struct dw_probe {
    struct dw_probe_mount mount;
    struct dw_probe_device device;
    enum dw_fact
        is_no_cow; /* the directory or file asks a copy-on-write file system to overwrite in place (chattr +C) */
    enum dw_fact can_share; /* files may share extents (reflink): a volume that was cloned is copied when overwritten */
    uint32_t direct_alignment;                   /* of direct I/O on this file; 0: a directory, unknown, or none */
    uint32_t memory_alignment, offset_alignment; /* its two parts */
    uint32_t atomic_write_min, atomic_write_max; /* bytes of one untorn write to this file; 0: none */
    uint32_t atomic_write_max_hardware;          /* above it the file system does it by copy on write; 0: not told */
};

/* The machine: what does not depend on a path. */
struct dw_probe_system {
    char release[65]; /* "6.18.44" */
    uint32_t kernel_major, kernel_minor;
    uint32_t cpu_count;         /* that this process may run on */
    uint32_t tick_hz;           /* timer ticks a second; 0: unknown */
    int uring_disabled;         /* sysctl kernel.io_uring_disabled: 0, 1, 2; -1: there is none */
    int seccomp;                /* mode of this process: 0 none, 1 strict, 2 filter; -1: unknown */
    int uring_error;            /* 0: a ring can be made; else the -errno of the attempt */
    uint32_t uring_flags;       /* enum dw_probe_ring */
    uint64_t locked_memory_max; /* RLIMIT_MEMLOCK, bytes */
};
enum dw_probe_ring { /* ways to set up a ring that work here */
                     DW_PROBE_RING_PLAIN = 0x01,
                     DW_PROBE_RING_COOP_TASKRUN = 0x02,
                     DW_PROBE_RING_SINGLE_ISSUER = 0x04,
                     DW_PROBE_RING_DEFER_TASKRUN = 0x08,
                     DW_PROBE_RING_SQPOLL = 0x10,
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

/* What direct I/O on this open file asks for, and its untorn writes: into the last fields of `probe`. */
void dw_probe_direct(int descriptor, struct dw_probe *probe);
/* `has_rings`: try every way to set up an io_uring; else a ring is believed to work unless a sysctl forbids it. */
void dw_probe_machine(struct dw_probe_system *system, bool has_rings);
/* `path`: a directory, a regular file, or a block device (then the mount is not looked at). */
DW_NODISCARD int dw_probe_path(const char *path, struct dw_probe *probe);
/* The directory or device that a disk was opened on, whatever its path is by now. -EOPNOTSUPP: no disk of this machine. */
DW_NODISCARD int dw_probe_disk(struct dw_disk *disk, struct dw_probe *probe);
/* -EOPNOTSUPP: the file system does not tell. */
DW_NODISCARD int dw_probe_file_extents(const char *path, struct dw_probe_extents *extents);
/* Is a block device at `path` (a link to one counts)? */
bool dw_probe_is_block_device(const char *path);

/* ---- the parts, for tests on made-up systems ---- */
/* Find the mount with this id, or (id 0) the last one of this device, in the text of a mountinfo file. 0 or -ENOENT. */
DW_NODISCARD int dw_probe_parse_mounts(const char *text, size_t size, uint64_t id, uint32_t major, uint32_t minor,
                                       struct dw_probe_mount *mount);
/* Look at block device major:minor in the sysfs mounted at `sysfs`. 0 or -ENOENT. */
DW_NODISCARD int dw_probe_read_device(const char *sysfs, uint32_t major, uint32_t minor,
                                      struct dw_probe_device *device);

#endif
