/* input.h - standard input cut into entries: lines, pieces of a fixed size, or all of it as one. */
#ifndef DW_TOOLS_INPUT_H
#define DW_TOOLS_INPUT_H

#include <stdbool.h>
#include <stddef.h>

enum dw_input_mode { DW_INPUT_LINES, DW_INPUT_WHOLE, DW_INPUT_SPLIT };

struct dw_input {
    enum dw_input_mode mode;
    size_t split_size;
    size_t entry_size_max; /* a longer entry is refused */
    char *bytes;
    size_t capacity;
    size_t first, end; /* bytes[first..end) are read and not yet given out */
    size_t searched;   /* bytes[first..searched) hold no newline */
    bool is_ended, has_given_whole;
};

void dw_input_init(struct dw_input *input, enum dw_input_mode mode, size_t split_size, size_t entry_size_max);
void dw_input_free(struct dw_input *input);
/* One read of standard input. Above 0: bytes came; 0: the end; -EAGAIN, -EINTR: nothing now; -EFBIG: the entry is longer
 * than allowed; -ENOMEM; other -errno. Entries given out before are gone after it. */
long dw_input_read(struct dw_input *input);
/* The next whole entry that is in memory; valid until the next read. */
bool dw_input_next(struct dw_input *input, const void **entry, size_t *size);
/* Bytes that were read and belong to an entry whose end has not come. */
size_t dw_input_rest(const struct dw_input *input);

#endif
