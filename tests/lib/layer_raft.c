/* layer_raft.c - the story of a Raft log: see layer_story.h. Of a content: entries 1..last, each with its generation as term. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/raft.h"
#include "tests/lib/layer_story.h"

enum { BATCH_MAX = 24, SEGMENT_SIZE = 40000 };
enum { TERM, VOTE, COMMIT };

static uint8_t expected[DW_LAYER_SIZE_MAX];
static const char metadata[] = "the metadata of this member";

static dwal_raft *log_of(const struct dw_layer_story *story)
{
    return story->log;
}

/* ---- comparing ---- */

static bool entry_is(const struct dwal_raft_entry *entry, uint64_t index, uint32_t generation)
{
    size_t size = dw_layer_bytes(index, generation, expected);
    return entry->index == index && entry->term == generation && entry->type == generation % 3 && entry->size == size &&
           (size == 0 || memcmp(entry->data, expected, size) == 0);
}

static bool content_is(const struct dw_layer_story *story, const struct dwal_raft_content *read,
                       const struct dw_layer_content *content)
{
    size_t count = content->last > story->snapshot ? (size_t)(content->last - story->snapshot) : 0;
    if (read->entry_count != count || read->last_index != content->last || !read->has_snapshot ||
        read->state.term != content->words[TERM] || read->state.vote != content->words[VOTE] ||
        read->state.commit != content->words[COMMIT] || read->metadata_size != sizeof metadata ||
        memcmp(read->metadata, metadata, sizeof metadata) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = story->snapshot + 1 + i;
        if (!entry_is(&read->entries[i], index, content->generations[index % DW_LAYER_INDEXES]))
            return false;
    }
    return true;
}

/* What was read is one of the contents that the log may have: the truth from now on. */
static void take(struct dw_layer_story *story, const struct dwal_raft_content *read)
{
    for (uint32_t i = 0; i <= story->maybe; i++)
        if (content_is(story, read, &story->contents[i])) {
            story->contents[0] = story->contents[i];
            story->maybe = 0;
            return;
        }
    dw_layer_fail("the log has %zu entries up to %llu and is none of %u contents (entries up to %llu)",
                  read->entry_count, (unsigned long long)read->last_index, story->maybe + 1,
                  (unsigned long long)story->contents[0].last);
}

struct taken {
    struct dwal_raft_entry entries[DW_LAYER_INDEXES];
    uint8_t *bytes[DW_LAYER_INDEXES];
    size_t count;
};

static bool take_entry(void *context, const struct dwal_raft_entry *entry)
{
    struct taken *taken = context;
    bool was_inside = dw_layer_is_inside;
    dw_layer_is_inside = false; /* this is the test's memory */
    uint8_t *bytes = malloc(entry->size + 1);
    DW_LAYER_CHECK(bytes && taken->count < DW_LAYER_INDEXES, "too many entries");
    if (entry->size > 0)
        memcpy(bytes, entry->data, entry->size);
    taken->bytes[taken->count] = bytes;
    taken->entries[taken->count] = *entry;
    taken->entries[taken->count++].data = bytes;
    dw_layer_is_inside = was_inside;
    return true;
}

static void forget(struct taken *taken)
{
    while (taken->count > 0)
        free(taken->bytes[--taken->count]);
}

/* ---- life ---- */

static struct dwal_raft_options layer_options(void)
{
    struct dwal_raft_options options = DWAL_RAFT_OPTIONS_INIT;
    options.segment_size = SEGMENT_SIZE;
    return options;
}

static int drop_base(struct dw_layer_story *story, int result)
{
    if (result == 0)
        return 0;
    (void)dwal_close(story->base);
    story->base = NULL;
    story->log = NULL;
    return result;
}

/* An unfinished creation is an empty log: it is finished. */
static int open_or_create(struct dw_layer_story *story, enum dwal_mode mode)
{
    struct dwal_options base = dw_layer_options();
    struct dwal_raft_options options = layer_options();
    struct dwal_raft_snapshot start = {.index = story->snapshot, .term = story->snapshot_term};
    dwal *log;
    dwal_raft *raft = NULL;
    base.volume_size = base.blanks = 0;
    base.mode = mode;
    if (DW_LAYER_CALL(story, dw_layer_open_base(story, &base, &log)) < 0)
        return dwal_last_error()->code;
    int result = DW_LAYER_CALL(story, dw_raft_open_on(log, mode != DWAL_WRITE, &start, &options, &raft));
    if (result == DWAL_ENOLOG && story->lives == 0 && mode == DWAL_WRITE) {
        story->errors--; /* as it has to be */
        result = DW_LAYER_CALL(story, dw_raft_create_on(log, metadata, sizeof metadata, &options, &raft));
        /* After a failure it is there, or it is not. */
    }
    story->log = raft;
    return drop_base(story, result);
}

static int read_log(struct dw_layer_story *story)
{
    static struct taken taken;
    struct dwal_raft_content *content = NULL;
    int result = DWAL_EMEMORY;
    for (int i = 0; i < 2 && result == DWAL_EMEMORY; i++) {
        result = story->lives % 2 == 0
                     ? DW_LAYER_CALL(story, dwal_raft_read_all(log_of(story), &content))
                     : DW_LAYER_CALL(story, dwal_raft_read(log_of(story), take_entry, &taken, &content));
        if (result < 0)
            forget(&taken);
    }
    DW_LAYER_CHECK(result == 0 || result == DWAL_EMEMORY || story->may_reads_fail, "the log cannot be read");
    DW_LAYER_CHECK(result < 0 ? !content : content != NULL, "no content");
    if (result == 0) {
        struct dwal_raft_content all = *content;
        if (taken.count > 0) {
            all.entries = taken.entries;
            all.entry_count = taken.count;
        }
        take(story, &all);
    }
    dwal_raft_content_free(content);
    forget(&taken);
    return result;
}

static void close_log(struct dw_layer_story *story)
{
    bool is_failed = dwal_failure(story->base, NULL) != 0;
    dw_layer_is_inside = true;
    int result = dw_layer_note(story, dwal_raft_close(log_of(story)), "close");
    dw_layer_is_inside = false;
    DW_LAYER_CHECK(!is_failed || result < 0, "a failed log closes as if nothing were");
    if (result == 0) {
        story->contents[0] = *dw_layer_now(story);
        story->maybe = 0;
    }
    story->failed += is_failed;
    dw_layer_life_ends(story);
}

/* Ready to save. */
static int open_once(struct dw_layer_story *story)
{
    int result = open_or_create(story, DWAL_WRITE);
    if (result == 0) {
        struct dwal_raft_stats stats = {.size = sizeof stats};
        (void)dwal_raft_get_stats(log_of(story), &stats);
        if (stats.segments == 0) /* opened, not created */
            result = read_log(story);
        if (result < 0) {
            close_log(story);
            return result;
        }
    }
    story->lives += result == 0;
    story->refused_opens += result < 0;
    if (result < 0)
        dw_layer_life_ends(story);
    return result;
}

static int create(struct dw_layer_story *story)
{
    struct dwal_options options = dw_layer_options();
    int result = DW_LAYER_CALL(story, dw_layer_create_base(story, &options));
    if (result < 0 && result != DWAL_EEXIST)
        result = DW_LAYER_CALL(story, dw_layer_create_base(story, &options));
    story->is_created |= result == 0 || result == DWAL_EEXIST;
    dw_layer_life_ends(story);
    return story->is_created ? 0 : result;
}

/* ---- calls that write ---- */

static void settle(struct dw_layer_story *story, int result, bool is_durable)
{
    struct dwal_raft_stats stats = {.size = sizeof stats};
    dw_layer_settle(story, result, is_durable);
    DW_LAYER_CHECK(dwal_raft_get_stats(log_of(story), &stats) == 0, "no statistics");
    DW_LAYER_CHECK(story->is_over || stats.last_index == dw_layer_now(story)->last,
                   "the last index is %llu, and not %llu", (unsigned long long)stats.last_index,
                   (unsigned long long)dw_layer_now(story)->last);
    if (story->is_over) {
        struct dwal_raft_entry entry = {.index = stats.last_index + 1, .term = 1};
        DW_LAYER_CHECK(dwal_failure(story->base, NULL) != 0, "a call failed for good, and the log did not");
        DW_LAYER_CHECK(dwal_raft_save(log_of(story), NULL, &entry, 1) < 0, "a failed log takes an entry");
    }
}

/* `back`: so many of the last entries are overwritten. */
static void save(struct dw_layer_story *story, size_t count, uint64_t back, bool has_state, bool is_new_term)
{
    static uint8_t bytes[BATCH_MAX][DW_LAYER_SIZE_MAX];
    struct dwal_raft_entry entries[BATCH_MAX];
    if (story->is_over)
        return;
    struct dw_layer_content *content = dw_layer_begin(story);
    uint32_t generation = ++story->generation;
    if (back > content->last - story->snapshot)
        back = content->last - story->snapshot;
    if (has_state) {
        content->words[COMMIT] = content->last > back ? content->last - back : 0;
        content->words[TERM] += is_new_term || content->words[TERM] == 0;
    }
    bool is_waited = count > 0 || content->words[TERM] != dw_layer_now(story)->words[TERM];
    struct dwal_raft_state state = {
        .term = content->words[TERM], .vote = content->words[VOTE], .commit = content->words[COMMIT]};
    uint64_t index = content->last + 1 - (count > 0 ? back : 0);
    for (size_t i = 0; i < count; i++, index++) {
        content->generations[index % DW_LAYER_INDEXES] = generation;
        entries[i] = (struct dwal_raft_entry){.index = index,
                                              .term = generation,
                                              .type = generation % 3,
                                              .data = bytes[i],
                                              .size = dw_layer_bytes(index, generation, bytes[i])};
    }
    content->last = index - 1;
    settle(story, DW_LAYER_CALL(story, dwal_raft_save(log_of(story), has_state ? &state : NULL, entries, count)),
           is_waited);
}

static void save_snapshot(struct dw_layer_story *story, uint64_t back)
{
    struct dw_layer_content *content = dw_layer_begin(story);
    if (story->is_over || content->last <= back)
        return;
    struct dwal_raft_snapshot snapshot = {
        .index = content->last - back, .term = 7, .members = "members", .members_size = 7};
    int result = DW_LAYER_CALL(story, dwal_raft_save_snapshot(log_of(story), &snapshot));
    settle(story, result, true);
    if (result == 0) {
        story->snapshot = snapshot.index;
        story->snapshot_term = snapshot.term;
    }
}

static void cut(struct dw_layer_story *story)
{
    if (story->is_over)
        return;
    (void)dw_layer_begin(story);
    settle(story, DW_LAYER_CALL(story, dwal_raft_cut(log_of(story))), true);
}

/* What it drops does not show behind the snapshot. */
static void release(struct dw_layer_story *story)
{
    uint32_t dropped = 0;
    if (story->is_over)
        return;
    int result = DW_LAYER_CALL(story, dwal_raft_release(log_of(story), story->snapshot));
    if (result == 0 || dw_layer_is_harmless(result))
        result = DW_LAYER_CALL(story, dwal_raft_purge(log_of(story), 1, &dropped));
    story->is_over |= result < 0 && dwal_failure(story->base, NULL) != 0;
}

static void sync_all(struct dw_layer_story *story)
{
    if (story->is_over)
        return;
    (void)dw_layer_begin(story);
    settle(story, DW_LAYER_CALL(story, dwal_raft_sync(log_of(story))), true);
}

/* ---- the story ---- */

static void first_life(struct dw_layer_story *story)
{
    save(story, 5, 0, true, true);
    save(story, 1, 0, false, false);
    save(story, 0, 0, true, false);
    save(story, 0, 0, true, true);
    for (int i = 0; i < 4; i++) {
        save(story, 20, i % 2 ? 3 : 0, i > 1, i == 2);
        (void)dw_layer_story_pump(story);
    }
    save_snapshot(story, 10);
    cut(story);
    release(story);
    save(story, BATCH_MAX, 0, true, false);
    save(story, 0, 0, true, false);
    sync_all(story);
    save(story, 0, 0, true, false);
    close_log(story);
}

static void second_life(struct dw_layer_story *story)
{
    save(story, 6, 2, true, true);
    (void)dw_layer_story_pump(story);
    save_snapshot(story, 0);
    release(story);
    for (int i = 0; i < 16; i++) /* segments, and the list of them */
        cut(story);
    save(story, 3, 0, false, false);
    close_log(story);
}

static int open_again(struct dw_layer_story *story)
{
    int result = open_once(story);
    return result == 0 ? 0 : open_once(story);
}

static void play(struct dw_layer_story *story)
{
    if (create(story) < 0)
        return;
    if (open_again(story) == 0)
        first_life(story);
    if (open_again(story) == 0)
        second_life(story);
}

static void check(struct dw_layer_story *story)
{
    story->may_reads_fail = false;
    if (!story->is_created)
        DW_LAYER_CHECK(create(story) == 0, "a log cannot be made");
    for (int i = 0; i < 2; i++) {
        DW_LAYER_CHECK(open_once(story) == 0, "the log does not open");
        uint32_t errors = story->errors;
        save(story, 3, 0, true, true);
        save_snapshot(story, 1);
        DW_LAYER_CHECK(story->errors == errors, "the log takes nothing more");
        close_log(story);
    }
}

static void check_image(struct dw_layer_story *story, struct dw_disk *image)
{
    struct dw_layer_story *copied = dw_layer_story_on_image(story, image);
    if (story->lives > 0) {
        DW_LAYER_CHECK(open_or_create(copied, DWAL_READ_ONLY) == 0, "the crash image does not open");
        DW_LAYER_CHECK(read_log(copied) == 0, "the crash image cannot be read");
        DW_LAYER_CHECK(dwal_raft_close(copied->log) == 0, "the crash image does not close");
    }
    copied->log = NULL;
    dw_layer_story_free(copied);
}

const struct dw_layer_kind dw_layer_raft = {"Raft", play, check, check_image};
