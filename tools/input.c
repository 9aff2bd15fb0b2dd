/* input.c - standard input cut into entries; see input.h.
 *
 * Owns: one buffer that grows to the longest entry. Happy path: read -> next, next, ... -> read. A line's newline is no
 * part of the entry and a last line without one counts. Failure: an entry above entry_size_max is refused as soon as it
 * is known to be too long, so memory stays bounded. */
#include "tools/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16 };

void dw_input_init(struct dw_input *input, enum dw_input_mode mode, size_t split_size, size_t entry_size_max)
{
    *input = (struct dw_input){.mode = mode, .split_size = split_size, .entry_size_max = entry_size_max};
}

void dw_input_free(struct dw_input *input)
{
    free(input->bytes);
    input->bytes = NULL;
}

/* Room for READ_SIZE more bytes: first by moving what is left to the front, then by growing. */
static int make_room(struct dw_input *input)
{
    if (input->first > 0) {
        memmove(input->bytes, input->bytes + input->first, input->end - input->first);
        input->end -= input->first;
        input->searched -= input->first;
        input->first = 0;
    }
    if (input->capacity - input->end >= READ_SIZE)
        return 0;
    size_t wanted = input->capacity * 2 > READ_SIZE * 2 ? input->capacity * 2 : READ_SIZE * 2;
    char *grown = realloc(input->bytes, wanted);
    if (!grown)
        return -ENOMEM;
    input->bytes = grown;
    input->capacity = wanted;
    return 0;
}

long dw_input_read(struct dw_input *input)
{
    if (input->end - input->first > input->entry_size_max)
        return -EFBIG; /* all of it is one entry: whole ones were taken out before */
    int result = make_room(input);
    if (result)
        return result;
    ssize_t n = read(STDIN_FILENO, input->bytes + input->end, input->capacity - input->end);
    if (n < 0)
        return -errno;
    input->end += (size_t)n;
    if (n == 0)
        input->is_ended = true;
    return (long)n;
}

static bool give(struct dw_input *input, size_t size, size_t skip, const void **entry, size_t *entry_size)
{
    *entry = input->bytes + input->first;
    *entry_size = size;
    input->first += size + skip;
    input->searched = input->first;
    return true;
}

static bool next_line(struct dw_input *input, const void **entry, size_t *size)
{
    size_t left = input->end - input->first;
    if (left == 0)
        return false;
    const char *from = input->bytes + input->searched;
    const char *newline = memchr(from, '\n', input->end - input->searched);
    if (newline)
        return give(input, (size_t)(newline - input->bytes) - input->first, 1, entry, size);
    input->searched = input->end;
    return input->is_ended && give(input, left, 0, entry, size);
}

bool dw_input_next(struct dw_input *input, const void **entry, size_t *size)
{
    size_t left = input->end - input->first;
    switch (input->mode) {
    case DW_INPUT_LINES:
        return next_line(input, entry, size);
    case DW_INPUT_SPLIT:
        if (left >= input->split_size)
            return give(input, input->split_size, 0, entry, size);
        return input->is_ended && left > 0 && give(input, left, 0, entry, size);
    case DW_INPUT_WHOLE:
        if (!input->is_ended || input->has_given_whole)
            return false;
        input->has_given_whole = true;
        return give(input, left, 0, entry, size);
    }
    return false;
}

size_t dw_input_rest(const struct dw_input *input)
{
    return input->end - input->first;
}
