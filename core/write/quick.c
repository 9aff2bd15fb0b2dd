/* quick.c - the shortest way of an append (quick_code.h) for any processor, and which one this processor gets.
 *
 * Called by: writer.c, once for each log. Pure. */
#include "core/write/quick_code.h"

__attribute__((no_stack_protector)) static int append_plain(struct dw_writer *writer, const struct dwal_entry *entry,
                                                            uint64_t *lsn, uint64_t *end)
{
    return append_quick(writer, entry, lsn, end, false);
}

__attribute__((no_stack_protector)) static int
append_plain_by_words(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end)
{
    return append_quick(writer, entry, lsn, end, true);
}

dw_append_one_fn *dw_append_plain(bool is_single)
{
    return is_single ? append_plain_by_words : append_plain;
}

static bool has_wide_registers(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

dw_append_one_fn *dw_append_quickest(uint32_t sector_size, bool is_for_sleepers)
{
    bool has_better = dw_crc32c_is_folding() && !(is_for_sleepers && DW_CRC32C_INSTRUCTION);
    bool is_single = sector_size == DW_COPY_SECTOR_MASK + 1 && !has_better;
    dw_append_one_fn *wide = has_wide_registers() ? dw_append_wide(is_single) : NULL;
    return wide ? wide : dw_append_plain(is_single);
}
