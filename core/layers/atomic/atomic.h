/* atomic.h - between the files of the atomic file: its bytes, how a name is taken apart, how failures are told.
 *
 * On disk: 8 bytes "dwalATM1", the application's number u32, zero u32; the content; CRC-64 (ECMA-182, reflected) of all before it, u64.
 * All little-endian. */
#ifndef DW_CORE_LAYERS_ATOMIC_H
#define DW_CORE_LAYERS_ATOMIC_H

#include <dwal/atomic_file.h>

#include "base/compiler.h"
#include "base/le.h"

#define DW_ATOMIC_MAGIC     "dwalATM1"
#define DW_ATOMIC_NAME_SIZE 256u /* of a directory entry, terminated */
#define DW_ATOMIC_BUFFER    65536u

struct dw_atomic_header {
    uint8_t magic[8];
    dw_le32 number;
    dw_le32 zero;
};
_Static_assert(sizeof(struct dw_atomic_header) == DWAL_ATOMIC_HEADER_SIZE, "header of an atomic file");

/* An open directory and a name in it. */
struct dw_atomic_place {
    int directory;
    char name[DW_ATOMIC_NAME_SIZE];
};
/* Open the directory of `path`. DWAL_ATOMIC_FOLLOW: of what a symbolic link there leads to. Else a link is refused. */
DW_NODISCARD int dw_atomic_place_open(struct dw_atomic_place *place, const char *path, unsigned flags);
void dw_atomic_place_close(struct dw_atomic_place *place);

/* Set the thread's last error and return its code. `system_code`: errno, or 0. */
int dw_atomic_fail(int code, int system_code, const char *format, ...) DW_PRINTF(3, 4);
/* The code that an errno stands for. */
int dw_atomic_code_of(int system_code);

#endif
