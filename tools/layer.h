/* layer.h - what a layer on top of the log tells through the command: `dwal dump|verify|info PATH --layer NAME`.
 *
 * One struct and one file for each layer; layer.c has the list. A new layer is a struct dw_layer in a file of its own and a
 * line in that list. Everything runs on the main thread. Results are exit statuses; faults are told before. */
#ifndef DW_TOOLS_LAYER_H
#define DW_TOOLS_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dwal/dwal.h>

#define DW_LAYER_NAMES "raft|indexed" /* for the help: all of them, with | between */

struct dw_layer_request {
    const char *path;
    struct dwal_options open; /* as the other options of the subcommand want it */
    bool is_json;
    /* Of dump. */
    uint64_t from, to;   /* indexes, both included; to UINT64_MAX: to the end */
    bool has_from;       /* `from` was given */
    const char *types;   /* kinds or types, with commas between; NULL: all */
    const char *decoder; /* a command: data as hex in, one line out, for each; NULL: none */
    bool is_raw;         /* every record as it lies in the log, on past damage */
    uint64_t limit;      /* lines; 0: no limit */
};

struct dw_layer {
    const char *name;
    int (*dump)(const struct dw_layer_request *request);
    int (*verify)(const struct dw_layer_request *request); /* after the log's own verify, when that found no damage */
    int (*info)(const struct dw_layer_request *request);   /* in place of the log's own */
};

extern const struct dw_layer dw_layer_raft, dw_layer_indexed;

/* NULL: there is none of this name, and that was told. */
const struct dw_layer *dw_layer_find(const char *name);
/* Data at the end of a line for people: what the decoder said, else text where it is text, else hex; then the line's end. */
void dw_layer_print_data(const void *data, size_t size, const char *decoded);
/* Is `word` one of the words in `list`, which has commas between? */
bool dw_layer_has_word(const char *list, const char *word);

#endif
