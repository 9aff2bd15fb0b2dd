/* codec_payload.c - payload bytes of a block, in and out, stepping over the tags.
 *
 * Called by: write (the one copy of the append path), read; on any thread. Pure. Payload is cut into runs by the tags;
 * the first run of a call may start anywhere in its sector, the others fill theirs. */
#include "core/format/codec.h"

#include <string.h>

#include "base/assert.h"

void dw_payload_read(const struct dw_geometry *geometry, const void *block, uint32_t offset, void *target, size_t size)
{
    dw_assert(offset <= geometry->payload_size && size <= geometry->payload_size - offset);
    if (size == 0)
        return;
    const uint8_t *from = (const uint8_t *)block + dw_byte_of_payload(geometry, offset);
    uint8_t *to = target;
    size_t run = dw_payload_run(geometry, offset);
    while (size > run) {
        memcpy(to, from, run);
        to += run;
        from += run + DW_TAG_SIZE;
        size -= run;
        run = geometry->sector_size - DW_TAG_SIZE;
    }
    memcpy(to, from, size);
}

void dw_payload_write(const struct dw_geometry *geometry, void *block, uint32_t offset, const void *source, size_t size)
{
    dw_assert(offset <= geometry->payload_size && size <= geometry->payload_size - offset);
    if (size == 0)
        return;
    uint8_t *to = (uint8_t *)block + dw_byte_of_payload(geometry, offset);
    const uint8_t *from = source;
    size_t run = dw_payload_run(geometry, offset);
    while (size > run) {
        memcpy(to, from, run);
        from += run;
        to += run + DW_TAG_SIZE;
        size -= run;
        run = geometry->sector_size - DW_TAG_SIZE;
    }
    memcpy(to, from, size);
}

/* A span is zero when its first byte is and each byte equals the one before it, which memcmp tells at full speed. */
static bool is_zero(const uint8_t *at, size_t size)
{
    return at[0] == 0 && memcmp(at, at + 1, size - 1) == 0;
}

bool dw_payload_is_zero_from(const struct dw_geometry *geometry, const void *block, uint32_t offset)
{
    dw_assert(offset <= geometry->payload_size);
    while (offset < geometry->payload_size) {
        /* The last sector ends with the block, so a run never leaves the payload. */
        uint32_t run = dw_payload_run(geometry, offset);
        if (!is_zero((const uint8_t *)block + dw_byte_of_payload(geometry, offset), run))
            return false;
        offset += run;
    }
    return true;
}
