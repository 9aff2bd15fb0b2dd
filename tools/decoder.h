/* decoder.h - a command of the user that makes text of bytes: one line of hex in, one line of text out, for each.
 *
 * It must answer each line before it gets the next one, and not keep it in a buffer. Runs with /bin/sh beside this process. */
#ifndef DW_TOOLS_DECODER_H
#define DW_TOOLS_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DW_DECODER_LINE_MAX (1u << 20)

struct dw_decoder {
    pid_t pid;
    int to, from;
    char *line;            /* what came; grows up to DW_DECODER_LINE_MAX */
    size_t capacity, size; /* bytes in `line` */
    size_t used;           /* of them the answer that was given out, with its end */
};

/* False: it could not be started (told). */
bool dw_decoder_start(struct dw_decoder *decoder, const char *command);
/* The answer to `bytes`, without its newline; valid until the next call. NULL: it ended, or did not answer in ten seconds
 * (told). */
const char *dw_decoder_ask(struct dw_decoder *decoder, const void *bytes, size_t size);
/* End its input, and wait for it. Not started is fine. */
void dw_decoder_stop(struct dw_decoder *decoder);

#endif
