/* test_crash_damage.c - damage to one sector or block, every one of them, in every way; and pairs of damages.
 *
 * Recovery must refuse, or return all that was acknowledged, or the case must be one of the declared undecidable set: it
 * looks like a write that was under way at the crash, in reach of the very end, and no witness is on the disk. Which case
 * is which is worked out from the bytes by a second judge (crash_damage.h), and compared case by case.
 * DWAL_CRASH_STATES sets the number of damages; a failure prints workload, event, state and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/crash_damage.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/crash_explore.h"
#include "tests/lib/crash_model.h"

#ifdef DW_SANITIZED
#define CASES_STANDARD 20000u
#else
#define CASES_STANDARD 600000u
#endif
#define WORKLOADS   4000000u /* their names begin here */
#define PRINTED_MAX 12u
#define FILES_MAX   16u

struct counts {
    uint64_t cases, refused, all_there, cut_free, lost;
    uint64_t lost_undecidable, undecidable; /* by recovery; by the second judge */
    uint64_t silent;                        /* lost, and not undecidable */
    uint64_t overcautious;                  /* refused, though undecidable or not touching anything acknowledged */
    uint64_t doubled_refused;               /* refused for one copy of what is written twice, or for a TOC */
    uint64_t soft;                          /* not refused, though the judge says so, and nothing lost */
    uint64_t spared;                        /* not lost, though the judge would cut */
    uint64_t wrong;                         /* bytes that nobody appended */
};

struct stage {
    struct dw_crash_writer writer;
    struct dw_sim_crash *crash;
    struct dw_crash_facts facts;
    uint64_t workload, event, state;
    uint32_t *picks;
    struct counts *counts;
    bool is_single;
};

/* ---- one case ---- */
static const char *const kind_names[] = {"rot", "zero", "stale", "garbage", "swap", "misdirect", "copy", "unreadable"};

static void tell(const struct stage *stage, const char *what, const struct dw_sim_damage *damages, size_t count,
                 const struct dw_crash_outcome *outcome, const struct dw_crash_prognosis *prognosis)
{
    printf("%s: workload %" PRIu64 " event %" PRIu64 " state s%" PRIu64 "\n", what, stage->workload, stage->event,
           stage->state);
    for (size_t i = 0; i < count; i++)
        printf("  %s of %s at %" PRIu64 " (%" PRIu64 " bytes) with %s at %" PRIu64 ", bit %" PRIu64 ", seed %" PRIu64
               "\n",
               kind_names[damages[i].kind], damages[i].name, damages[i].offset, damages[i].size,
               damages[i].other_name ? damages[i].other_name : "nothing", damages[i].other_offset, damages[i].bit,
               damages[i].seed);
    printf("  code %d, verdict %s, row %u, found %zu of at least %zu; %u wounds, the first in block %" PRIu64
           ": unreadable %d, unwritten %d, alien %d, witnessed %d, far %d, misdirected %d\n  %s\n",
           outcome->code, outcome->verdict < DWAL_VERDICT_COUNT ? dwal_verdict_name(outcome->verdict) : "none",
           outcome->row, outcome->found, dw_crash_facts_least(&stage->facts, &stage->writer.story), prognosis->wounds,
           prognosis->first.block, prognosis->first.is_unreadable, prognosis->first.looks_unwritten,
           prognosis->first.has_alien, prognosis->first.is_witnessed, prognosis->first.is_far,
           prognosis->first.is_misdirected, outcome->text);
}

static bool is_doubled(const struct stage *stage, const struct dw_sim_damage *damage)
{
    uint64_t headers = DW_VOLUME_HEADER_BLOCKS * 4096u;
    if (strcmp(damage->name, "dwal.super") == 0)
        return false; /* a crash may have left a single copy of the newest: see superblock_is_whole */
    return damage->kind <= DW_SIM_GARBAGE && damage->size <= 4096 &&
           (damage->offset + damage->size <= headers || damage->offset >= dw_place_of_toc(&stage->writer.geometry));
}

static void judge(struct stage *stage, const struct dw_sim_damage *damages, size_t count,
                  const struct dw_crash_outcome *outcome, const struct dw_crash_prognosis *prognosis)
{
    struct counts *counts = stage->counts;
    size_t least = dw_crash_facts_least(&stage->facts, &stage->writer.story);
    /* A sealed volume is not read at open: its damage is met, and told, by whoever reads there. */
    bool is_refused = outcome->code < 0 || outcome->read_code == DWAL_ECORRUPT || outcome->read_code == DWAL_EDEVICE;
    bool is_lost = !is_refused && (outcome->found < least || outcome->read_code < 0);
    uint64_t bad = counts->silent + counts->wrong + counts->doubled_refused + counts->soft + counts->spared;
    const char *what = NULL;
    counts->cases++;
    counts->refused += is_refused;
    counts->lost += is_lost;
    /* Of a pair, or of a misdirected write with its two wounds, the later wound may be met first. */
    bool is_undecidable = prognosis->expected == DW_CRASH_EXPECT_LOSS;
    counts->undecidable += is_undecidable;
    counts->lost_undecidable += is_lost && is_undecidable;
    counts->all_there += !is_refused && !is_lost && prognosis->wounds == 0;
    counts->cut_free += !is_refused && !is_lost && prognosis->expected == DW_CRASH_EXPECT_CUT;
    counts->overcautious += is_refused && prognosis->expected != DW_CRASH_EXPECT_REFUSAL;
    if (!is_refused && (outcome->is_wrong || outcome->found > stage->facts.appended)) {
        counts->wrong++;
        what = "WRONG BYTES";
    } else if (is_lost && !prognosis->may_lose) {
        counts->silent++;
        what = "SILENT LOSS";
    } else if (count == 1 && is_refused && is_doubled(stage, &damages[0]) && prognosis->wounds == 0) {
        counts->doubled_refused++;
        what = "refused for a doubled structure";
    } else if (count == 1 && !is_refused && !is_lost && prognosis->expected == DW_CRASH_EXPECT_REFUSAL) {
        counts->soft++;
        what = "all there, though the judge sees a wound";
    } else if (count == 1 && is_undecidable && !is_lost) {
        counts->spared++;
        what = "refused or all there, though the judge would cut";
    }
    if (what && bad < PRINTED_MAX)
        tell(stage, what, damages, count, outcome, prognosis);
}

static void run_case(struct stage *stage, const struct dw_sim_damage *damages, size_t count)
{
    struct dw_disk *image;
    struct dw_crash_prognosis prognosis;
    struct dw_crash_outcome outcome;
    const struct dw_sim_damage *bad = NULL;
    assert_int_equal(dw_sim_crash_image(stage->crash, stage->picks, stage->state, &image), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(dw_sim_damage(image, &damages[i]), 0);
        if (damages[i].kind == DW_SIM_UNREADABLE)
            bad = &damages[i];
        else if (bad && strcmp(bad->name, damages[i].name) == 0 && bad->offset == damages[i].offset)
            bad = NULL; /* written again: it can be read */
    }
    dw_crash_foresee(&stage->writer, &stage->facts, image, bad ? bad->name : NULL, bad ? bad->offset : 0,
                     bad ? bad->size : 0, &prognosis);
    struct dw_crash_look look = {.how = DW_CRASH_READ_ONLY};
    dw_crash_look_at(image, &stage->writer.story, &look, &outcome);
    image->ops->close(image);
    judge(stage, damages, count, &outcome, &prognosis);
}

/* ---- all places, all kinds ---- */
struct files {
    struct {
        char name[32];
        uint64_t size;
    } list[FILES_MAX];
    size_t count;
};

static int note_file(void *context, const char *name, uint64_t size)
{
    struct files *files = context;
    if (size == 0)
        return 0;
    assert_true(files->count < FILES_MAX);
    snprintf(files->list[files->count].name, sizeof files->list[files->count].name, "%s", name);
    files->list[files->count++].size = size;
    return 0;
}

static void list_files(struct stage *stage, struct files *files)
{
    struct dw_disk *image;
    files->count = 0;
    assert_int_equal(dw_sim_crash_image(stage->crash, stage->picks, 0, &image), 0);
    assert_int_equal(image->ops->list(image, note_file, files), 0);
    image->ops->close(image);
}

static void fill_in(const struct files *files, struct dw_sim_damage *damage, struct dw_crash_chooser *chooser)
{
    const uint64_t unit = damage->size;
    size_t other = dw_crash_choose(chooser, (uint32_t)files->count, 0);
    damage->other_name = files->list[other].name;
    damage->other_offset = unit * dw_crash_choose(chooser, (uint32_t)(files->list[other].size / unit), 0);
    damage->bit = dw_crash_choose(chooser, (uint32_t)unit * 8, 0);
    damage->seed = dw_crash_choose(chooser, 1u << 30, 0);
}

static void every_single(struct stage *stage, const struct files *files, struct dw_crash_chooser *chooser,
                         uint64_t unit)
{
    for (size_t file = 0; file < files->count; file++) {
        for (uint64_t offset = 0; offset + unit <= files->list[file].size; offset += unit) {
            for (int kind = DW_SIM_ROT; kind <= DW_SIM_UNREADABLE; kind++) {
                struct dw_sim_damage damage = {.kind = (enum dw_sim_damage_kind)kind,
                                               .name = files->list[file].name,
                                               .offset = offset,
                                               .size = unit};
                fill_in(files, &damage, chooser);
                run_case(stage, &damage, 1);
            }
        }
    }
}

static void some_pairs(struct stage *stage, const struct files *files, struct dw_crash_chooser *chooser, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct dw_sim_damage pair[2];
        for (size_t k = 0; k < 2; k++) {
            size_t file = dw_crash_choose(chooser, (uint32_t)files->count, 0);
            uint64_t unit = dw_crash_choose(chooser, 4, 0) ? 512 : 4096;
            pair[k] = (struct dw_sim_damage){
                .kind = (enum dw_sim_damage_kind)dw_crash_choose(chooser, DW_SIM_UNREADABLE + 1, 0),
                .name = files->list[file].name,
                .offset = unit * dw_crash_choose(chooser, (uint32_t)(files->list[file].size / unit), 0),
                .size = unit};
            fill_in(files, &pair[k], chooser);
        }
        if (pair[0].kind == DW_SIM_UNREADABLE && pair[1].kind == DW_SIM_UNREADABLE)
            pair[1].kind = DW_SIM_ZERO; /* the judge knows one unreadable range */
        run_case(stage, pair, 2);
    }
}

/* ---- moments ---- */
static void damage_moment(struct stage *stage, struct dw_crash_chooser *chooser, bool is_single)
{
    static uint32_t picks[4096];
    struct files files;
    assert_int_equal(dw_sim_crash_seek(stage->crash, stage->event), 0);
    assert_true(dw_sim_crash_choice_count(stage->crash) <= 4096);
    stage->picks = picks;
    stage->state = dw_crash_choose(chooser, 6, 0);
    dw_sim_crash_picks_of_seed(stage->crash, stage->state, picks);
    list_files(stage, &files);
    if (!is_single) {
        some_pairs(stage, &files, chooser, 400);
        return;
    }
    every_single(stage, &files, chooser, 512);
    every_single(stage, &files, chooser, 4096);
}

static void damage_workload(uint64_t name, bool is_single, uint32_t moments, struct counts *counts)
{
    struct dw_crash_planned entries[DW_CRASH_PLAN_MAX];
    struct dw_crash_model model;
    struct dw_crash_chooser chooser;
    struct stage stage = {.workload = name, .counts = counts};
    dw_crash_model_of_seed(name, &model, entries);
    dw_crash_chooser_seed(&chooser, name);
    dw_crash_model_run(&model, &chooser, name, &stage.writer);
    struct dw_sim_crash_options options = {.tear_unit = model.shape.sector_size};
    assert_int_equal(dw_sim_crash_create(stage.writer.disk, &options, &stage.crash), 0);
    uint64_t count = dw_sim_event_count(stage.writer.disk);
    for (uint64_t event = 1; event <= count; event++) {
        dw_crash_facts_advance(&stage.facts, stage.writer.disk, event);
        if (!stage.facts.is_created || dw_crash_choose(&chooser, (uint32_t)count / moments + 1, 0))
            continue;
        stage.event = event;
        damage_moment(&stage, &chooser, is_single);
    }
    dw_sim_crash_close(stage.crash);
    dw_crash_writer_free(&stage.writer);
}

static void print_counts(const char *title, const struct counts *counts, double seconds)
{
    printf("%s: %" PRIu64 " damages, %.1f s: refused %" PRIu64 ", untouched %" PRIu64
           ", cut with nothing acknowledged behind %" PRIu64 ", lost %" PRIu64 "\n"
           "  undecidable by the second judge %" PRIu64 ", lost of these %" PRIu64 ", SILENT LOSS %" PRIu64
           ", wrong bytes %" PRIu64 "\n  refused without need %" PRIu64 ", for one of two copies %" PRIu64
           ", milder than the judge %" PRIu64 "\n",
           title, counts->cases, seconds, counts->refused, counts->all_there, counts->cut_free, counts->lost,
           counts->undecidable, counts->lost_undecidable, counts->silent, counts->wrong, counts->overcautious,
           counts->doubled_refused, counts->soft);
    fflush(stdout);
}

static void every_single_damage_is_refused_or_harmless_or_declared(void **state)
{
    (void)state;
    struct counts counts = {0};
    double since = dw_crash_now();
    uint64_t wanted = dw_crash_states_wanted(CASES_STANDARD);
    for (uint64_t name = WORKLOADS; counts.cases < wanted; name++) {
        if (!dw_crash_is_skipped(name))
            damage_workload(name, true, 3, &counts);
    }
    print_counts("single damages", &counts, dw_crash_now() - since);
    assert_int_equal(counts.silent + counts.wrong + counts.doubled_refused + counts.soft, 0);
    assert_int_equal(counts.lost_undecidable, counts.undecidable); /* the computed count is the count */
}

static void pairs_of_damages_lose_nothing_that_a_witness_covers(void **state)
{
    (void)state;
    struct counts counts = {0};
    double since = dw_crash_now();
    uint64_t wanted = dw_crash_states_wanted(CASES_STANDARD) / 3;
    for (uint64_t name = WORKLOADS; counts.cases < wanted; name++) {
        if (!dw_crash_is_skipped(name))
            damage_workload(name, false, 8, &counts);
    }
    print_counts("pairs of damages", &counts, dw_crash_now() - since);
    assert_int_equal(counts.silent + counts.wrong, 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_single_damage_is_refused_or_harmless_or_declared),
        cmocka_unit_test(pairs_of_damages_lose_nothing_that_a_witness_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
