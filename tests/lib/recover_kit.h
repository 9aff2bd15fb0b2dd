/* recover_kit.h - recover an image and look at the verdict: for tests of core/read.
 *
 * Owns: disk, store and the recovered value; the image belongs to the test. One thread. Failure: a cmocka assertion. */
#ifndef DW_TESTS_LIB_RECOVER_KIT_H
#define DW_TESTS_LIB_RECOVER_KIT_H

#include "core/read/recover.h"
#include "tests/lib/image.h"

#define DW_RECOVER_DAMAGES_MAX 64u

struct dw_recover_kit {
    struct dw_recover_options options; /* look_ahead -1 by default */
    struct dw_disk *disk;
    struct dw_store *store;
    struct dw_recovered recovered;
    struct dwal_damage damages[DW_RECOVER_DAMAGES_MAX];
    size_t damage_count;
};
void dw_recover_kit_init(struct dw_recover_kit *kit);
/* Put the image on a fresh disk, load it read-only, recover. What was there before is released. */
void dw_recover_kit_run(struct dw_recover_kit *kit, const struct dw_image *image);
/* The same with a disk that exists; it then belongs to the kit. */
void dw_recover_kit_run_on(struct dw_recover_kit *kit, struct dw_disk *disk);
void dw_recover_kit_free(struct dw_recover_kit *kit);

/* Checks, with the report's text in the message. */
void dw_recover_kit_expect(const struct dw_recover_kit *kit, enum dwal_verdict verdict, uint32_t row);
/* The log may be opened: what is readable ends at `end`. */
void dw_recover_kit_expect_end(const struct dw_recover_kit *kit, uint64_t end);
bool dw_recover_kit_abandons(const struct dw_recover_kit *kit, uint32_t number);
const struct dw_settle_toc *dw_recover_kit_toc(const struct dw_recover_kit *kit,
                                               uint32_t number); /* NULL: not listed */

#endif
