/* nvme_command.c - what the NVMe specification says about identify data, status codes and the length of a command.
 *
 * Owns: nothing; pure functions, any thread. Happy path and failure: see each one. */
#include "io/nvme.h"

#include <errno.h>

#include "base/bits.h"
#include "base/compiler.h"

enum { PAGE = 4096, BLOCKS_MAX = 1 << 16 }; /* a command's length is 16 bits, counted from 0 */

static uint64_t load(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    while (size-- > 0)
        value = value << 8 | bytes[size];
    return value;
}

void dw_nvme_parse_format(const unsigned char identify[DW_NVME_IDENTIFY_SIZE], struct dw_nvme_format *format)
{
    /* Bits 3:0 and, where there are more than 16 formats, bits 6:5 above them. */
    unsigned flags = identify[26];
    unsigned index = (flags & 0x0f) | (identify[25] > 15 ? (flags & 0x60) >> 1 : 0);
    const unsigned char *entry = identify + 128 + (size_t)index * 4;
    unsigned shift = entry[2];
    *format = (struct dw_nvme_format){
        .block_count = load(identify, 8),
        .block_size = shift >= 9 && shift <= 16 ? 1u << shift : 0,
        .metadata_bytes = (uint32_t)load(entry, 2),
    };
}

int dw_nvme_status_error(uint32_t status)
{
    /* Type and code; above them: how long to wait, "more", "do not retry". */
    switch (status & 0x7ff) {
    case 0x081: /* capacity exceeded */
        return -ENOSPC;
    case 0x080: /* LBA out of range */
    case 0x021: /* command interrupted */
    case 0x082: /* namespace not ready */
    case 0x002: /* invalid field */
        return -EREMOTEIO;
    case 0x083: /* reservation conflict */
        return -EBADE;
    case 0x020: /* namespace is write protected */
    case 0x182: /* attempted write to read only range */
    case 0x280: /* write fault */
    case 0x281: /* unrecovered read error */
    case 0x286: /* access denied */
    case 0x287: /* unwritten block */
        return -ENODATA;
    case 0x282: /* guard, application tag, reference tag */
    case 0x283:
    case 0x284:
        return -EILSEQ;
    case 0x300: /* path errors */
    case 0x301:
    case 0x302:
    case 0x303:
    case 0x360:
    case 0x370:
    case 0x371:
        return -ENOLINK;
    default:
        return -EIO;
    }
}

uint32_t dw_nvme_piece_size(uint64_t from, uint64_t size, uint32_t transfer_max)
{
    return (uint32_t)dw_min_u64(size - from, transfer_max);
}

uint32_t dw_nvme_transfer_max(uint64_t device_bytes, uint64_t segments, uint32_t block_size)
{
    /* In the worst case each page of memory is a segment; all memory of transfers is aligned to blocks, not to pages, so one
     * page may be cut in two. */
    uint64_t pages = segments > 1 ? (segments - 1) * PAGE : segments * PAGE;
    uint64_t most = dw_min_u64(dw_min_u64(device_bytes, pages), (uint64_t)BLOCKS_MAX * block_size);
    most = dw_min_u64(most, UINT64_C(1) << 30);
    return (uint32_t)dw_align_down(most, block_size > PAGE ? block_size : PAGE);
}
