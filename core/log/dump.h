/* dump.h - what the two halves of dwal_dump share: dump.c walks files, dump_volume.c lists one volume. */
#ifndef DW_CORE_LOG_DUMP_H
#define DW_CORE_LOG_DUMP_H

#include <dwal/inspect.h>

#include "core/format/codec.h"
#include "io/io.h"

struct dw_dump {
    struct dw_disk *disk;
    dwal_item_fn *fn;
    void *context;
    bool is_stopped; /* the caller has seen enough */

    bool has_facts; /* geometry and identity are known, from the superblock or from a volume's header */
    struct dw_geometry geometry;
    struct dw_identity identity;

    const char *file; /* being listed: for its items */
    uint32_t number;
};

/* Tell one item; fills in file and volume. */
void dw_dump_tell(struct dw_dump *dump, enum dwal_item_kind kind, uint64_t offset, uint64_t size, uint64_t lsn,
                  bool is_sound, const char *format, ...) DW_PRINTF(7, 8);
/* All of one volume's file. 0, or -errno when the file cannot be opened (then nothing was told), -ENOMEM. */
DW_NODISCARD int dw_dump_volume(struct dw_dump *dump, const char *name, uint32_t number);
/* `size` bytes (a multiple of the file's alignment) at `offset` into aligned memory. 0, -ENODATA: the file ends before;
 * else what the device said. */
DW_NODISCARD int dw_dump_read(struct dw_file *file, void *target, size_t size, uint64_t offset);
const char *dw_dump_read_text(int result);

#endif
