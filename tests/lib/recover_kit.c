/* recover_kit.c - see recover_kit.h. */
#include "tests/lib/recover_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void note_damage(void *context, const struct dwal_damage *damage)
{
    struct dw_recover_kit *kit = context;
    if (kit->damage_count < DW_RECOVER_DAMAGES_MAX)
        kit->damages[kit->damage_count++] = *damage;
}

void dw_recover_kit_init(struct dw_recover_kit *kit)
{
    memset(kit, 0, sizeof *kit);
    kit->options.look_ahead = -1;
    kit->options.damage = note_damage;
    kit->options.damage_context = kit;
}

void dw_recover_kit_run(struct dw_recover_kit *kit, const struct dw_image *image)
{
    dw_recover_kit_run_on(kit, dw_image_disk(image));
}

void dw_recover_kit_run_on(struct dw_recover_kit *kit, struct dw_disk *disk)
{
    struct dw_store_options options = {.is_read_only = true, .in_flight_blocks = 4, .clock = &dw_clock_system};
    dw_recover_kit_free(kit);
    kit->disk = disk;
    kit->damage_count = 0;
    assert_int_equal(dw_store_load(disk, &options, &kit->store), 0);
    assert_int_equal(dw_recover(kit->store, &kit->options, &kit->recovered), 0);
}

void dw_recover_kit_free(struct dw_recover_kit *kit)
{
    dw_recovered_free(&kit->recovered);
    if (kit->store)
        (void)dw_store_close(kit->store, false, 0);
    if (kit->disk)
        kit->disk->ops->close(kit->disk);
    kit->store = NULL;
    kit->disk = NULL;
}

void dw_recover_kit_expect(const struct dw_recover_kit *kit, enum dwal_verdict verdict, uint32_t row)
{
    const struct dwal_report *report = &kit->recovered.report;
    if (report->verdict != verdict || report->row != row)
        fail_msg("verdict %d row %u instead of %d row %u: %s", (int)report->verdict, report->row, (int)verdict, row,
                 report->text);
    assert_true(report->text[0] != 0);
    assert_int_equal(report->size, sizeof *report);
}

void dw_recover_kit_expect_end(const struct dw_recover_kit *kit, uint64_t end)
{
    const struct dw_recovered *recovered = &kit->recovered;
    assert_int_equal(recovered->error.code, 0);
    if (recovered->end != end)
        fail_msg("end %llu instead of %llu: %s", (unsigned long long)recovered->end, (unsigned long long)end,
                 recovered->report.text);
}

bool dw_recover_kit_abandons(const struct dw_recover_kit *kit, uint32_t number)
{
    for (size_t i = 0; i < kit->recovered.settlement.abandoned_count; i++)
        if (kit->recovered.settlement.abandoned[i] == number)
            return true;
    return false;
}

const struct dw_settle_toc *dw_recover_kit_toc(const struct dw_recover_kit *kit, uint32_t number)
{
    for (size_t i = 0; i < kit->recovered.settlement.toc_count; i++)
        if (kit->recovered.settlement.tocs[i].number == number)
            return &kit->recovered.settlement.tocs[i];
    return NULL;
}
