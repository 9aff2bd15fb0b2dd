/* inspect.c - open a log for looking at: the one way in of info, verify, repair and scan; see inspect.h.
 *
 * Happy path: path -> disk -> store, loaded read-only. Failure: the codes of the public header. Closing: releases
 * both; nothing was written. */
#include "core/log/inspect.h"

#include "core/base/error.h"
#include "core/log/choice.h"
#include "core/log/path.h"

int dw_inspect_disk_open(const char *path, const struct dwal_options *options, struct dw_disk **disk)
{
    return dw_path_open(path, DW_OPEN_READ, options && options->is_unsafe_buffered, disk);
}

int dw_inspect_open(const char *path, const struct dwal_options *options, struct dw_inspect *inspect)
{
    *inspect = (struct dw_inspect){0};
    int result = dw_inspect_disk_open(path, options, &inspect->disk);
    if (result)
        return result;
    inspect->was_disk_open = true;
    struct dw_store_options how = {.is_read_only = true,
                                   .load_threads = DW_LOAD_THREADS,
                                   .is_reading_plainly = dw_choice_forbids_ring(options),
                                   .clock = &dw_clock_system};
    result = dw_store_load(inspect->disk, &how, &inspect->store);
    if (result)
        dw_inspect_close(inspect);
    return result;
}

void dw_inspect_close(struct dw_inspect *inspect)
{
    if (inspect->store)
        (void)dw_store_close(inspect->store, false, 0);
    if (inspect->disk)
        inspect->disk->ops->close(inspect->disk);
    inspect->store = NULL;
    inspect->disk = NULL;
}

int dw_inspect_check_size(size_t size, size_t wanted, const char *what)
{
    if (size >= wanted)
        return 0;
    return dw_fail(DWAL_EARGUMENT, "%s->size is %zu, it has to be sizeof the struct (%zu)", what, size, wanted);
}
