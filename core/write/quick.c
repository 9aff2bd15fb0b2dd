/* quick.c - the shortest way of an append (quick_code.h) for any processor, and which one this processor gets.
 *
 * Called by: writer.c, once for each log. Pure. */
#include "core/write/quick_code.h"

__attribute__((no_stack_protector)) int dw_append_plain(struct dw_writer *writer, const struct dwal_entry *entry,
                                                        uint64_t *lsn, uint64_t *end)
{
    return append_quick(writer, entry, lsn, end);
}

static bool has_wide_registers(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

dw_append_one_fn *dw_append_quickest(void)
{
    dw_append_one_fn *wide = has_wide_registers() ? dw_append_wide() : NULL;
    return wide ? wide : dw_append_plain;
}
