/* le.h - little-endian integers as they lie on disk. Leaf header: C standard headers only.
 *
 * Each is a struct of bytes: no alignment, no padding, and assignment without conversion does not compile.
 * On a little-endian host a conversion is one plain load or store. */
#ifndef DW_BASE_LE_H
#define DW_BASE_LE_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "dwal runs on little-endian hosts only");

typedef struct {
    uint8_t bytes[2];
} dw_le16;
typedef struct {
    uint8_t bytes[4];
} dw_le32;
typedef struct {
    uint8_t bytes[8];
} dw_le64;

static inline uint16_t dw_get16(dw_le16 v)
{
    uint16_t r;
    memcpy(&r, v.bytes, sizeof r);
    return r;
}
static inline uint32_t dw_get32(dw_le32 v)
{
    uint32_t r;
    memcpy(&r, v.bytes, sizeof r);
    return r;
}
static inline uint64_t dw_get64(dw_le64 v)
{
    uint64_t r;
    memcpy(&r, v.bytes, sizeof r);
    return r;
}
static inline dw_le16 dw_le16_of(uint16_t v)
{
    dw_le16 r;
    memcpy(r.bytes, &v, sizeof v);
    return r;
}
static inline dw_le32 dw_le32_of(uint32_t v)
{
    dw_le32 r;
    memcpy(r.bytes, &v, sizeof v);
    return r;
}
static inline dw_le64 dw_le64_of(uint64_t v)
{
    dw_le64 r;
    memcpy(r.bytes, &v, sizeof v);
    return r;
}

#endif
