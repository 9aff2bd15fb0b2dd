/* guard_blkid.h - the signatures that libblkid knows. Private to io/. */
#ifndef DW_IO_GUARD_BLKID_H
#define DW_IO_GUARD_BLKID_H

#include "io/guard.h"

/* SIGNATURE, PARTITIONS, AMBIVALENT; UNCHECKED when libblkid is not there or fails. */
void dw_guard_look_at_signatures(int descriptor, uint64_t size, struct dw_guard *guard);

#endif
