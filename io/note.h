/* note.h - a short text kept under a name in a directory of one's own: read it, replace it as a whole.
 *
 * Owns: nothing. Called by: open, info; any thread. For what is good to remember and no loss to forget: nothing is synced,
 * a crash may leave the old text, the new one, or none. What others own or could have written is not read. */
#ifndef DW_IO_NOTE_H
#define DW_IO_NOTE_H

#include <stddef.h>

#include "base/compiler.h"

/* All of it into text[0..room), terminated. -ENOENT; -EPERM: not ours alone (owner, mode, no regular file); -EFBIG; ... */
DW_NODISCARD int dw_note_read(const char *directory, const char *name, char *text, size_t room);
/* Makes the directory (0700) and the one above it when they are missing. -EPERM: the directory is not ours alone. */
DW_NODISCARD int dw_note_write(const char *directory, const char *name, const char *text, size_t size);

#endif
