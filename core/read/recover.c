/* recover.c - the decision table, and the steps that lead to it.
 *
 * Owns: the rule that says what a crash left. Called by: open, verify, scan and the tests, on one thread.
 * Happy path: chain -> scan -> look beyond -> facts -> one row of the table -> settlement, report.
 * Failure: no memory is an error; everything else, device errors too, is a verdict. Closing: dw_recovered_free.
 *
 * The rule in words. P is the first place where the row of blocks breaks; W is what witnesses prove to have been durable.
 * The writer owes: nothing is written at distance >= L beyond what is durable, each place once per number, watermarks never
 * run ahead. So after a crash of a correct device W <= P, nothing current lies at P + L or beyond, no block lies in a wrong
 * place, and the block at P has a sector that was never written. Whatever denies one of these is damage and is refused;
 * what denies none is an unfinished write that nobody was told of, and is cut off. */
#include "core/read/recover.h"

#include <inttypes.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/error.h"
#include "core/read/recovery.h"

enum { READ_SIZE = 1 << 20 };

/* ---- the table: total and disjoint, checked by tests/read/test_decisions.c over all facts ---- */
#define F(name) DW_FACT_BIT(DW_FACT_##name)
#define CHAIN1  F(FOREIGN)
#define CHAIN2  (CHAIN1 | F(VERSION))
#define CHAIN3  (CHAIN2 | F(DARK))
#define CHAIN4  (CHAIN3 | F(NEWER))
#define CHAIN5  (CHAIN4 | F(MISSING))
#define CHAIN   (CHAIN5 | F(CONTRADICTION)) /* no fact about names and headers speaks against the log */
#define BEFORE  (CHAIN | F(COVERED))        /* ... and no witness says that P was durable */
#define ALONE   (BEFORE | F(LIVE))          /* ... and nobody is writing */
#define NEAR    (ALONE | F(FAR))            /* ... and nothing lies where flow control forbids it */
#define PLACED  (NEAR | F(MISDIRECTED))     /* ... and nothing lies in a wrong place */
#define CRASHED (PLACED | F(CLOSED))        /* ... and it was not closed */
#define READ    (CRASHED | F(UNREADABLE))   /* ... and all could be read */

const struct dw_decision dw_decisions[] = {
    /* clang-format off */
    /* row  label                        yes                         no                      verdict                  refused  code             told by */
    {10, "another log's volume",         F(FOREIGN),                 0,                      DWAL_VERDICT_FOREIGN,    true, DWAL_EFOREIGN,   DW_FACT_FOREIGN},
    {11, "a newer format",               F(VERSION),                 CHAIN1,                 DWAL_VERDICT_VERSION,    true, DWAL_EVERSION,   DW_FACT_VERSION},
    {12, "unreadable header",            F(DARK),                    CHAIN2,                 DWAL_VERDICT_UNREADABLE, true, DWAL_EDEVICE,    DW_FACT_DARK},
    { 9, "superblock older than log",    F(NEWER),                   CHAIN3,                 DWAL_VERDICT_ROLLBACK,   true, DWAL_EROLLBACK,  DW_FACT_NEWER},
    { 8, "volume or its end missing",    F(MISSING),                 CHAIN4,                 DWAL_VERDICT_LOST,       true, DWAL_ELOST,      DW_FACT_MISSING},
    {13, "contradiction",                F(CONTRADICTION),           CHAIN5,                 DWAL_VERDICT_CORRUPT,    true, DWAL_ECORRUPT,   DW_FACT_CONTRADICTION},
    { 1, "witnessed, nothing there",     F(COVERED) | F(GONE),       CHAIN,                  DWAL_VERDICT_LOST,       true, DWAL_ELOST,      DW_FACT_COVERED},
    {12, "witnessed, unreadable",        F(COVERED) | F(UNREADABLE), CHAIN | F(GONE),        DWAL_VERDICT_UNREADABLE, true, DWAL_EDEVICE,    DW_FACT_UNREADABLE},
    { 1, "witnessed, damaged",           F(COVERED),                 CHAIN | F(GONE) | F(UNREADABLE), DWAL_VERDICT_CORRUPT, true, DWAL_ECORRUPT, DW_FACT_COVERED},
    { 6, "a writer is at work",          F(LIVE),                    BEFORE,                 DWAL_VERDICT_END,        false, DWAL_OK,        DW_FACT_LIVE},
    { 2, "current beyond the window",    F(FAR),                     ALONE,                  DWAL_VERDICT_CORRUPT,    true, DWAL_ECORRUPT,   DW_FACT_FAR},
    { 3, "block in a wrong place",       F(MISDIRECTED),             NEAR,                   DWAL_VERDICT_MISDIRECTED, true, DWAL_ECORRUPT,  DW_FACT_MISDIRECTED},
    { 9, "written after the close",      F(CLOSED) | F(LEFTOVER),    PLACED,                 DWAL_VERDICT_ROLLBACK,   true, DWAL_EROLLBACK,  DW_FACT_LEFTOVER},
    { 7, "closed",                       F(CLOSED),                  PLACED | F(LEFTOVER),   DWAL_VERDICT_CLEAN,      false, DWAL_OK,        DW_FACT_CLOSED},
    {12, "unreadable end, strict",       F(UNREADABLE),              CRASHED | F(TOLERANT),  DWAL_VERDICT_UNREADABLE, true, DWAL_EDEVICE,    DW_FACT_UNREADABLE},
    { 4, "unreadable end, tolerant",     F(UNREADABLE) | F(TOLERANT), CRASHED,               DWAL_VERDICT_UNCERTAIN,  false, DWAL_OK,        DW_FACT_UNREADABLE},
    { 4, "not unwritten, strict",        F(SUSPECT),                 READ | F(TOLERANT),     DWAL_VERDICT_UNCERTAIN,  true, DWAL_EUNCERTAIN, DW_FACT_SUSPECT},
    { 4, "not unwritten, tolerant",      F(SUSPECT) | F(TOLERANT),   READ,                   DWAL_VERDICT_UNCERTAIN,  false, DWAL_OK,        DW_FACT_SUSPECT},
    { 5, "unfinished at the end",        F(LEFTOVER),                READ | F(SUSPECT),      DWAL_VERDICT_TORN,       false, DWAL_OK,        DW_FACT_LEFTOVER},
    { 6, "nothing at the end",           0,                          READ | F(SUSPECT) | F(LEFTOVER), DWAL_VERDICT_END, false, DWAL_OK,      DW_FACT_CLOSED},
    /* clang-format on */
};
const size_t dw_decision_count = DW_COUNT_OF(dw_decisions);

const struct dw_decision *dw_decide(uint32_t facts)
{
    for (size_t i = 0; i < dw_decision_count; i++) {
        const struct dw_decision *decision = &dw_decisions[i];
        if ((facts & decision->yes) == decision->yes && (facts & decision->no) == 0)
            return decision;
    }
    dw_assert(!"a row for every set of facts");
    return NULL;
}

/* ---- the steps ---- */

/* What broke the row, in words, before anything beyond it is looked at. */
static void find_unfinished(struct dw_recovery *r)
{
    const struct dw_break *stop = &r->stop;
    const struct dw_walk_record *record = &stop->record;
    uint32_t volume = dw_volume_of_lsn(r->geometry, stop->cut);
    if (!stop->is_in_record)
        return;
    if (stop->is_record && stop->cut == record->lsn)
        dw_recovery_find(r, DW_FACT_LEFTOVER, volume, stop->block, stop->cut, "the record there %s",
                         dw_record_state_text(record->state));
    else
        dw_recovery_find(r, DW_FACT_LEFTOVER, volume, stop->block, stop->cut, "the batch there is not complete");
}

static void find_contradiction(struct dw_recovery *r)
{
    const struct dw_break *stop = &r->stop;
    bool is_record = stop->is_record && stop->record.is_contradiction;
    if (is_record || stop->state == DW_BLOCK_IMPOSSIBLE)
        dw_recovery_find(r, DW_FACT_CONTRADICTION, dw_volume_of_block(r->geometry, stop->block), stop->block, stop->cut,
                         "block %" PRIu64 " checks and yet contradicts the records before it", stop->block);
}

/* Does a witness say that P was durable? */
static void find_covered(struct dw_recovery *r)
{
    const struct dw_break *stop = &r->stop;
    const char *what = stop->is_record ? dw_record_state_text(stop->record.state) : dw_block_state_text(stop->state);
    uint32_t volume = dw_volume_of_block(r->geometry, stop->block);
    if (r->witness.block <= stop->block)
        return;
    if (stop->link == r->count)
        dw_recovery_find(r, DW_FACT_COVERED, volume, stop->block, stop->cut,
                         "the log ends before block %" PRIu64 ", and %s says that all before block %" PRIu64
                         " was durable",
                         stop->block, r->witness.text, r->witness.block);
    else
        dw_recovery_find(r, DW_FACT_COVERED, volume, stop->block, stop->cut,
                         "%s %" PRIu64 " %s, and %s says that all before block %" PRIu64 " was durable",
                         stop->is_record ? "the record at lsn" : "block",
                         stop->is_record ? stop->record.lsn : stop->block, what, r->witness.text, r->witness.block);
}

static int gather(struct dw_recovery *r)
{
    const struct dw_superblock_info *superblock = r->superblock;
    bool is_closed = superblock->state == DW_SUPERBLOCK_CLEAN;
    dw_recovery_set(r, DW_FACT_CLOSED, is_closed);
    dw_recovery_set(r, DW_FACT_TOLERANT, r->options->is_tolerant);
    dw_recovery_set(r, DW_FACT_LIVE, r->options->has_live_writer);
    if (dw_store_superblock_copies(r->store) < 2)
        dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, true, DWAL_NO_VOLUME, DWAL_NO_LSN, 0, DWAL_NO_LSN,
                         "one copy of the superblock is damaged; the other one is used");
    int result = dw_recovery_chain(r);
    if (result || (r->facts & DW_FACTS_OF_CHAIN) != 0)
        return result;
    dw_recovery_witness_chain(r);
    result = dw_recovery_scan(r);
    if (result)
        return result;
    find_contradiction(r);
    find_unfinished(r);
    dw_recovery_set(r, DW_FACT_GONE, r->stop.link == r->count);
    /* Beside a writer the walk went to the highest watermark of a moment; a later one would call lost what was written since. */
    if (!r->is_clean_quick && !r->options->has_live_writer)
        result = dw_recovery_look_beyond(r);
    if (result)
        return result;
    if (is_closed && !r->is_clean_quick && r->kept_end > superblock->clean_end)
        dw_recovery_find(r, DW_FACT_NEWER, dw_volume_of_lsn(r->geometry, superblock->clean_end),
                         dw_recovery_block_behind(r, superblock->clean_end), superblock->clean_end,
                         "records lie behind lsn %" PRIu64 ", where the log was closed", superblock->clean_end);
    find_covered(r);
    return 0;
}

static int judge(struct dw_recovery *r)
{
    int result = gather(r);
    if (result)
        return result;
    const struct dw_decision *decision = dw_decide(r->facts);
    if (!decision->is_refused && !r->options->has_live_writer) {
        result = dw_recovery_settle(r);
        if (result)
            return result;
    }
    dw_recovery_report(r, decision);
    bool is_walked = r->walk.source != NULL && !r->is_clean_quick;
    if (decision->about == DW_FACT_COVERED && r->stop.link < r->count && r->options->damage && is_walked)
        result = dw_recovery_tell_rest(r);
    return result;
}

int dw_recover(struct dw_store *store, const struct dw_recover_options *options, struct dw_recovered *recovered)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(store);
    *recovered = (struct dw_recovered){.report.size = sizeof recovered->report};
    recovered->error.volume = DWAL_NO_VOLUME;
    recovered->error.block = recovered->error.lsn = DWAL_NO_LSN;
    struct dw_recovery r = {.store = store,
                            .superblock = superblock,
                            .geometry = &superblock->geometry,
                            .identity = &superblock->identity,
                            .options = options,
                            .recovered = recovered,
                            .batch_start = DWAL_NO_LSN,
                            .odd_block = DWAL_NO_LSN};
    int result = dw_source_open(&r.source, store, READ_SIZE);
    if (result == 0)
        result = judge(&r);
    dw_source_close(&r.source);
    dw_free(r.links);
    dw_free(r.row);
    if (result)
        dw_recovered_free(recovered);
    return result;
}

void dw_recovered_free(struct dw_recovered *recovered)
{
    dw_free(recovered->tocs);
    dw_free(recovered->read_volumes);
    dw_free(recovered->abandoned);
    recovered->tocs = NULL;
    recovered->read_volumes = recovered->abandoned = NULL;
    recovered->settlement.tocs = NULL;
    recovered->settlement.read_volumes = recovered->settlement.abandoned = NULL;
    recovered->settlement.toc_count = recovered->settlement.read_volume_count = 0;
    recovered->settlement.abandoned_count = 0;
}
