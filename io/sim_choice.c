/* sim_choice.c - what is open at a moment of a simulated disk's history, as a row of independent choices; and how to
 * pick from them.
 *
 * Owns: the choices of a walker. Called by: the walker when it has moved; tests to enumerate or to sample.
 * Happy path: pending sectors are gathered into units that tear as one; each unit may hold what is durable, or what any
 * of the pending writes brought, as far as these differ. Sizes and names are choices like those.
 * Failure: -ENOMEM. Closing: with the walker. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

#define NAME_SUBSET_MAX 8u /* more unsynced names than this survive as a prefix only */

/* One write's claim on one unit. */
struct claim {
    uint32_t inode;
    uint64_t unit, issue, rank; /* rank: by completion, then those in flight by issue */
};

static int add_alternative(struct dw_sim_crash *crash, uint64_t alternative)
{
    if (dw_sim_grow((void **)&crash->alternatives, &crash->alternative_capacity, crash->alternative_count + 1,
                    sizeof *crash->alternatives))
        return -ENOMEM;
    crash->alternatives[crash->alternative_count++] = alternative;
    return 0;
}

static int add_choice(struct dw_sim_crash *crash, enum dw_sim_choice_kind kind, uint32_t file, uint64_t offset,
                      size_t first)
{
    size_t versions = crash->alternative_count - first;
    uint32_t garbled = kind == DW_SIM_CHOICE_SECTORS ? crash->options.garbled : 0;
    if (versions + garbled == 0)
        return 0;
    if (dw_sim_grow((void **)&crash->choices, &crash->choice_capacity, crash->choice_count + 1, sizeof *crash->choices))
        return -ENOMEM;
    struct dw_sim_open_choice *choice = &crash->choices[crash->choice_count++];
    *choice = (struct dw_sim_open_choice){.first = first, .versions = (uint32_t)versions};
    choice->face =
        (struct dw_sim_choice){.kind = kind, .file = file, .count = 1 + (uint32_t)versions + garbled, .offset = offset};
    return 0;
}

/* ---- units ---- */
static int by_unit(const void *one, const void *other)
{
    const struct claim *a = one, *b = other;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static const uint8_t *sector_under(const struct dw_sim_crash *crash, uint32_t inode, uint64_t sector, uint64_t write)
{
    const struct dw_sim_event *event = write == UINT64_MAX ? NULL : &crash->disk->events[write];
    if (event && dw_sim_event_covers(event, sector))
        return dw_sim_event_sector(event, sector);
    return dw_sim_inode_sector(&crash->durable.inodes[inode], sector);
}

/* Would the unit look the same under both writes? UINT64_MAX: under none. */
static bool is_alike(const struct dw_sim_crash *crash, const struct claim *claim, uint64_t one, uint64_t other)
{
    uint64_t per_unit = crash->options.tear_unit / DW_SIM_SECTOR_SIZE;
    for (uint64_t i = 0; i < per_unit; i++) {
        uint64_t sector = claim->unit * per_unit + i;
        if (!dw_sim_sector_equal(sector_under(crash, claim->inode, sector, one),
                                 sector_under(crash, claim->inode, sector, other)))
            return false;
    }
    return true;
}

static bool is_new(const struct dw_sim_crash *crash, const struct claim *claim, size_t first)
{
    if (is_alike(crash, claim, claim->issue, UINT64_MAX))
        return false;
    for (size_t i = first; i < crash->alternative_count; i++) {
        if (is_alike(crash, claim, claim->issue, crash->alternatives[i]))
            return false;
    }
    return true;
}

static int build_units(struct dw_sim_crash *crash, const struct claim *claims, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0;) {
        const struct claim *unit = &claims[i];
        size_t first = crash->alternative_count;
        for (; i < count && claims[i].inode == unit->inode && claims[i].unit == unit->unit && result == 0; i++) {
            if (is_new(crash, &claims[i], first))
                result = add_alternative(crash, claims[i].issue);
        }
        if (result == 0)
            result =
                add_choice(crash, DW_SIM_CHOICE_SECTORS, unit->inode, unit->unit * crash->options.tear_unit, first);
    }
    return result;
}

static int build_sectors(struct dw_sim_crash *crash)
{
    if (crash->version_count == 0)
        return 0;
    struct claim *claims = dw_alloc(crash->version_count * sizeof *claims);
    if (!claims)
        return -ENOMEM;
    uint64_t per_unit = crash->options.tear_unit / DW_SIM_SECTOR_SIZE;
    size_t count = 0;
    for (size_t i = 0; i < crash->version_count; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        struct claim claim = {.inode = version->inode,
                              .unit = version->sector / per_unit,
                              .issue = version->issue,
                              .rank = version->order ? version->order : (UINT64_C(1) << 62) + version->issue};
        const struct claim *last = count ? &claims[count - 1] : NULL;
        if (last && last->inode == claim.inode && last->unit == claim.unit && last->issue == claim.issue)
            continue;
        claims[count++] = claim;
    }
    qsort(claims, count, sizeof *claims, by_unit);
    int result = build_units(crash, claims, count);
    dw_free(claims);
    return result;
}

static int build_order(struct dw_sim_crash *crash)
{
    size_t first = crash->alternative_count;
    int result = 0;
    for (size_t i = 0; i < crash->version_count && result == 0; i++)
        result = add_alternative(crash, i);
    return result ? result : add_choice(crash, DW_SIM_CHOICE_ORDER, 0, 0, first);
}

/* ---- sizes and names ---- */
static int build_size(struct dw_sim_crash *crash, uint32_t inode)
{
    size_t first = crash->alternative_count;
    int result = 0;
    for (size_t i = 0; i < crash->size_count && result == 0; i++) {
        uint64_t size = crash->sizes[i].size;
        bool is_known = crash->sizes[i].inode != inode || size <= crash->durable.inodes[inode].size;
        for (size_t k = first; k < crash->alternative_count; k++)
            is_known = is_known || crash->alternatives[k] == size;
        if (!is_known)
            result = add_alternative(crash, size);
    }
    return result ? result : add_choice(crash, DW_SIM_CHOICE_SIZE, inode, 0, first);
}

/* Can exactly the names in `mask` have happened? Each must find what it needs. */
static bool is_consistent(const struct dw_sim_crash *crash, uint64_t mask, struct dw_sim_medium *scratch)
{
    if (dw_sim_medium_copy(scratch, &crash->durable))
        return false;
    for (size_t i = 0; i < crash->names_count; i++) {
        if ((mask >> i & 1) && dw_sim_medium_name(scratch, &crash->disk->events[crash->names[i]]))
            return false;
    }
    return true;
}

static int build_names(struct dw_sim_crash *crash)
{
    size_t first = crash->alternative_count;
    int result = 0;
    if (crash->options.is_name_subset && crash->names_count <= NAME_SUBSET_MAX) {
        struct dw_sim_medium scratch = {0};
        for (uint64_t mask = 1; mask < UINT64_C(1) << crash->names_count && result == 0; mask++) {
            if (is_consistent(crash, mask, &scratch))
                result = add_alternative(crash, mask);
        }
        dw_sim_medium_free(&scratch);
    } else {
        for (size_t i = 1; i <= crash->names_count && result == 0; i++)
            result = add_alternative(crash, i < 64 ? (UINT64_C(1) << i) - 1 : UINT64_MAX);
    }
    return result ? result : add_choice(crash, DW_SIM_CHOICE_NAMES, 0, 0, first);
}

int dw_sim_crash_build(struct dw_sim_crash *crash)
{
    dw_assert(crash->names_count < 64); /* a mask must hold them */
    crash->choice_count = crash->alternative_count = 0;
    int result = crash->options.is_ordered ? build_order(crash) : build_sectors(crash);
    for (uint32_t inode = 0; crash->size_count && inode < crash->durable.inode_count && result == 0; inode++)
        result = build_size(crash, inode);
    return result ? result : build_names(crash);
}

/* ---- picking ---- */
size_t dw_sim_crash_choice_count(const struct dw_sim_crash *crash)
{
    return crash->choice_count;
}

void dw_sim_crash_choice_at(const struct dw_sim_crash *crash, size_t index, struct dw_sim_choice *choice)
{
    dw_assert(index < crash->choice_count);
    *choice = crash->choices[index].face;
}

uint64_t dw_sim_crash_state_count(const struct dw_sim_crash *crash)
{
    uint64_t product = 1;
    for (size_t i = 0; i < crash->choice_count; i++) {
        if (__builtin_mul_overflow(product, crash->choices[i].face.count, &product))
            return UINT64_MAX;
    }
    return product;
}

void dw_sim_crash_picks_of_state(const struct dw_sim_crash *crash, uint64_t state, uint32_t *picks)
{
    for (size_t i = 0; i < crash->choice_count; i++) {
        picks[i] = (uint32_t)(state % crash->choices[i].face.count);
        state /= crash->choices[i].face.count;
    }
    dw_assert(state == 0);
}

enum strategy { UNIFORM, WHOLE_WRITES, RARE, NEARLY_ALL, ALL_BUT_ONE, ONLY_ONE, FIRST_WRITES, LAST_WRITES, STRATEGIES };

/* The newest alternative that is one of a write for which `is_taken` says so; 0: none. Draws differ by write. */
static uint32_t newest_taken(const struct dw_sim_crash *crash, const struct dw_sim_open_choice *choice,
                             enum strategy strategy, uint64_t draw, uint64_t *random)
{
    for (uint32_t i = choice->versions; i > 0; i--) {
        uint64_t write = crash->alternatives[choice->first + i - 1];
        uint64_t of_write = draw ^ (write * UINT64_C(0x9e3779b97f4a7c15));
        uint64_t cut = draw % (crash->event + 1);
        if (strategy == WHOLE_WRITES && (dw_sim_random(&of_write) & 1))
            return i;
        if (strategy == FIRST_WRITES && (write < cut || (write == cut && dw_sim_below(random, 2))))
            return i;
        if (strategy == LAST_WRITES && write >= cut)
            return i;
    }
    return 0;
}

static uint32_t pick_sector(const struct dw_sim_crash *crash, const struct dw_sim_open_choice *choice,
                            enum strategy strategy, uint64_t draw, uint64_t *random)
{
    switch (strategy) {
    case UNIFORM:
        return (uint32_t)dw_sim_below(random, choice->face.count);
    case RARE:
        return dw_sim_below(random, 16) ? 0 : choice->versions;
    case NEARLY_ALL:
        return dw_sim_below(random, 16) ? choice->versions : 0;
    case ALL_BUT_ONE:
    case ONLY_ONE: {
        size_t chosen = draw % crash->choice_count;
        bool is_it = choice == &crash->choices[chosen];
        return is_it == (strategy == ONLY_ONE) ? choice->face.count - 1 : 0;
    }
    case WHOLE_WRITES:
    case FIRST_WRITES:
    case LAST_WRITES:
        return newest_taken(crash, choice, strategy, draw, random);
    case STRATEGIES:
        break;
    }
    return 0;
}

void dw_sim_crash_picks_of_seed(const struct dw_sim_crash *crash, uint64_t seed, uint32_t *picks)
{
    uint64_t random = seed ^ (crash->event << 40);
    enum strategy strategy = (enum strategy)dw_sim_below(&random, STRATEGIES);
    uint64_t draw = dw_sim_random(&random);
    for (size_t i = 0; i < crash->choice_count; i++) {
        const struct dw_sim_open_choice *choice = &crash->choices[i];
        if (seed == 0)
            picks[i] = 0;
        else if (seed == 1)
            picks[i] = choice->versions;
        else if (choice->face.kind == DW_SIM_CHOICE_SECTORS)
            picks[i] = pick_sector(crash, choice, strategy, draw, &random);
        else
            picks[i] = (uint32_t)dw_sim_below(&random, choice->face.count);
    }
}

void dw_sim_crash_describe(const struct dw_sim_crash *crash, const uint32_t *picks, char *text, size_t size)
{
    static const char *const kinds[] = {"unit", "size", "names", "order"};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < crash->choice_count && used + 1 < size; i++) {
        const struct dw_sim_open_choice *choice = &crash->choices[i];
        if (picks[i] == 0)
            continue;
        int written = snprintf(text + used, size - used, "choice %zu: %s of file %u at %llu takes %u of %u\n", i,
                               kinds[choice->face.kind], choice->face.file, (unsigned long long)choice->face.offset,
                               picks[i], choice->face.count);
        used += written > 0 ? (size_t)written : 0;
    }
}
