/* volume.c - what a user may know of the volumes of an open log: see dwal_volume_from and dwal_volume_table.
 *
 * Called by: the user's threads. No state of its own; arguments that are wrong answer DWAL_EARGUMENT. */
#include "core/base/error.h"
#include "core/log/handle.h"

int dwal_volume_from(dwal *log, uint32_t number, struct dwal_volume *volume)
{
    if (!volume || volume->size != sizeof *volume)
        return dw_fail(DWAL_EARGUMENT, "volume.size is not the size of struct dwal_volume: set it before the call");
    return dw_store_describe(log->store, number, volume);
}

int dwal_volume_table(dwal *log, uint32_t number, uint32_t from, void *buffer, size_t size, uint32_t *length)
{
    uint32_t all;
    if (!buffer && size > 0)
        return dw_fail(DWAL_EARGUMENT, "buffer is NULL");
    return dw_store_read_table(log->store, number, from, buffer, size, length ? length : &all);
}
