/* nvme.h - what the files of the NVMe passthrough queue share. Private to io/.
 *
 *     nvme.c          the queue: requests, pieces, completions
 *     nvme_open.c     find the generic node behind a block device, prove that it is the same namespace
 *     nvme_command.c  pure functions: identify data, status, pieces */
#ifndef DW_IO_NVME_H
#define DW_IO_NVME_H

#include <stdint.h>

#include "io/io.h"

/* Where a block device lies on its namespace. */
struct dw_nvme_place {
    char disk[32];         /* the whole disk: "nvme0n1" */
    char generic[32];      /* its generic node in /dev: "ng0n1" */
    uint32_t major, minor; /* of the generic node */
    uint64_t start;        /* bytes: where a partition begins; 0 for the whole disk */
    uint64_t size;         /* bytes of the block device */
    uint32_t transfer_max; /* bytes that one command may move */
    bool has_polled_queue;
};

/* From an "identify namespace" answer. */
struct dw_nvme_format {
    uint64_t block_count;
    uint32_t block_size;     /* LBA, bytes; 0: of a size that nobody can use */
    uint32_t metadata_bytes; /* beside each LBA; a plain write has none to give */
};

/* A namespace that is ready to be written through its generic node. */
struct dw_nvme_target {
    struct dw_nvme_place place;
    int descriptor; /* of the generic node */
    uint32_t namespace_id;
    uint32_t block_size;
};

enum { DW_NVME_READ = 0x02, DW_NVME_WRITE = 0x01, DW_NVME_IDENTIFY_SIZE = 4096 };
#define DW_NVME_FORCE_UNIT_ACCESS (1u << 30) /* of command dword 12 */

/* nvme_command.c */
void dw_nvme_parse_format(const unsigned char identify[DW_NVME_IDENTIFY_SIZE], struct dw_nvme_format *format);
/* A positive status of a completion as the kernel's block layer would say it: a negative errno. */
int dw_nvme_status_error(uint32_t status);
/* Bytes of the piece that begins at `from` of a transfer of `size` bytes. */
uint32_t dw_nvme_piece_size(uint64_t from, uint64_t size, uint32_t transfer_max);
/* The largest piece: no more than the device takes, whole blocks, whole pages of memory. 0: nothing can be moved. */
uint32_t dw_nvme_transfer_max(uint64_t device_bytes, uint64_t segments, uint32_t block_size);

/* nvme_open.c. `sysfs`: where it is mounted. -EOPNOTSUPP: no NVMe block device, or one without a generic node. */
DW_NODISCARD int dw_nvme_find(const char *sysfs, uint32_t major, uint32_t minor, struct dw_nvme_place *place);
/* `block`: a descriptor of the block device. As dw_nvme_find, -EACCES, -EMEDIUMTYPE (a format with metadata), -ESTALE (the two
 * nodes do not show the same namespace), ... */
DW_NODISCARD int dw_nvme_open(int block, struct dw_nvme_target *target);
void dw_nvme_close(struct dw_nvme_target *target);

#endif
