/* quick_wide.c - the shortest way of an append (quick_code.h) for x86 processors with AVX2 and BMI2, for which this file alone is
 * compiled. Elsewhere there is none.
 *
 * Called by: quick.c, after it looked at the processor. */
#include "core/write/quick_code.h"

#if defined(__AVX2__)
__attribute__((no_stack_protector)) static int append_wide(struct dw_writer *writer, const struct dwal_entry *entry,
                                                           uint64_t *lsn, uint64_t *end)
{
    return append_quick(writer, entry, lsn, end, false);
}

__attribute__((no_stack_protector)) static int
append_wide_by_words(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end)
{
    return append_quick(writer, entry, lsn, end, true);
}

dw_append_one_fn *dw_append_wide(bool is_single)
{
    return is_single ? append_wide_by_words : append_wide;
}
#else
/* What is not used otherwise. */
dw_append_one_fn *dw_append_wide(bool is_single)
{
    (void)is_single;
    return NULL;
}
#endif
