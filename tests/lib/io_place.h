/* io_place.h - a temporary directory on a real file system, opened as a posix disk, for tests of any room. */
#ifndef DW_TESTS_LIB_IO_PLACE_H
#define DW_TESTS_LIB_IO_PLACE_H

#include "io/io.h"

/* Makes a directory under $TMPDIR or /var/tmp and opens it; disk->path is its path. 0 or -errno. */
DW_NODISCARD int dw_place_make(struct dw_disk **disk);
/* Can a queue of this kind be made here and now (built, and not forbidden)? */
bool dw_place_has_queue(const char *kind);
/* Removes every regular file in it, closes the disk, removes the directory. */
void dw_place_remove(struct dw_disk *disk);

#endif
