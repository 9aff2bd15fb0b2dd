/* crash_damage.h - what must come of a damaged image: worked out from the bytes, the rule of DESIGN section 5 and what the
 * writer knows, without recovery's code.
 *
 * Owns: nothing. Called by: the damage tests, on images of a model writer's disk. */
#ifndef DW_TESTS_LIB_CRASH_DAMAGE_H
#define DW_TESTS_LIB_CRASH_DAMAGE_H

#include "tests/lib/crash_writer.h"

enum dw_crash_expected {
    DW_CRASH_EXPECT_ALL, /* nothing that was acknowledged is touched: no loss; a refusal is allowed */
    DW_CRASH_EXPECT_REFUSAL,
    DW_CRASH_EXPECT_LOSS, /* the undecidable: it looks like a write that was under way, and nothing tells otherwise */
    DW_CRASH_EXPECT_CUT,  /* the same, and nothing acknowledged lies behind it */
};
/* One acknowledged block that is not what it was. */
struct dw_crash_wound {
    uint64_t block;
    bool is_unreadable, looks_unwritten, has_alien; /* what its sectors show */
    bool is_witnessed, is_far, is_misdirected;      /* what the rest of the image shows */
};
struct dw_crash_prognosis {
    enum dw_crash_expected expected; /* for the first wound */
    bool may_lose;                   /* some wound, taken alone, is undecidable */
    struct dw_crash_wound first;
    uint32_t wounds;
};
/* `facts`: of the moment at which the image was taken. `bad_file`, `bad_offset`, `bad_size`: an unreadable range, NULL:
 * none. */
void dw_crash_foresee(const struct dw_crash_writer *writer, const struct dw_crash_facts *facts, struct dw_disk *image,
                      const char *bad_file, uint64_t bad_offset, uint64_t bad_size,
                      struct dw_crash_prognosis *prognosis);

#endif
