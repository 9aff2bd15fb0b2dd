/* layer_indexed.c - the story of an indexed log, its verifier and a copy of it: see layer_story.h. */
#include <dwal/verifier.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"
#include "io/sim.h"
#include "tests/lib/layer_story.h"

enum { BATCH_MAX = 24, KEYS = 2, CHECKPOINT_EVERY = 8 };

static uint8_t buffer[DW_LAYER_SIZE_MAX], expected[DW_LAYER_SIZE_MAX];

static dwal_indexed *log_of(const struct dw_layer_story *story)
{
    return story->log;
}

static bool is_empty(const struct dw_layer_content *content)
{
    return content->last < content->first;
}

/* ---- life ---- */

static int open_base(void *context, const struct dwal_options *options, dwal **base)
{
    return dw_layer_open_base(context, options, base);
}

static int open_once(struct dw_layer_story *story, enum dwal_mode mode)
{
    struct dwal_options base = dw_layer_options();
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    dwal_indexed *log = NULL;
    base.volume_size = base.blanks = 0;
    base.mode = mode;
    options.base = &base;
    options.recent = 4; /* so that the indexes are asked */
    options.tables = 1;
    story->base = NULL; /* the call closes what it opened */
    int result = DW_LAYER_CALL(story, dw_indexed_open_with(open_base, story, &options, true, &log));
    DW_LAYER_CHECK(result < 0 ? !log : log != NULL, "open answers %d", result);
    if (result < 0)
        story->base = NULL;
    story->log = log;
    story->lives += result == 0;
    story->refused_opens += result < 0;
    return result;
}

static int create(struct dw_layer_story *story)
{
    struct dwal_options given = dw_layer_options(), base;
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    options.base = &given;
    DW_LAYER_CHECK(dw_indexed_base_options(&options, &base) == 0, "no options");
    int result = DW_LAYER_CALL(story, dw_layer_create_base(story, &base));
    if (result < 0 && result != DWAL_EEXIST)
        result = DW_LAYER_CALL(story, dw_layer_create_base(story, &base));
    story->is_created |= result == 0 || result == DWAL_EEXIST;
    dw_layer_life_ends(story);
    return story->is_created ? 0 : result;
}

static void close_log(struct dw_layer_story *story)
{
    bool is_failed = dwal_failure(story->base, NULL) != 0;
    dw_layer_is_inside = true;
    int result = dw_layer_note(story, dwal_indexed_close(log_of(story)), "close");
    dw_layer_is_inside = false;
    DW_LAYER_CHECK(!is_failed || result < 0, "a failed log closes as if nothing were");
    if (result == 0) {
        story->contents[0] = *dw_layer_now(story);
        story->maybe = 0;
    }
    story->failed += is_failed;
    dw_layer_life_ends(story);
}

/* ---- comparing ---- */

static bool entry_is(const struct dwal_indexed_record *record, uint64_t index, uint32_t generation)
{
    size_t size = dw_layer_bytes(index, generation, expected);
    return record->index == index && record->size == size && memcmp(record->data, expected, size) == 0;
}

/* 1: it is that content; 0: it is not; -1: it could not be read. */
static int compare_gets(struct dw_layer_story *story, const struct dw_layer_content *content)
{
    struct dwal_indexed_record record;
    for (uint64_t index = content->first; !is_empty(content) && index <= content->last; index++) {
        int result = DW_LAYER_CALL(story, dwal_indexed_get(log_of(story), index, buffer, sizeof buffer, &record));
        DW_LAYER_CHECK(result == 0 || result == DWAL_EMEMORY || story->may_reads_fail, "entry %llu cannot be read",
                       (unsigned long long)index);
        if (result < 0)
            return -1;
        if (!entry_is(&record, index, content->generations[index % DW_LAYER_INDEXES]))
            return 0;
    }
    return 1;
}

static int compare_cursor(struct dw_layer_story *story, const struct dw_layer_content *content)
{
    dwal_indexed_cursor *cursor = NULL;
    struct dwal_indexed_record record;
    if (DW_LAYER_CALL(story, dwal_indexed_cursor_open(log_of(story), content->first, &cursor)) < 0)
        return -1;
    int result = 0;
    bool is_same = true;
    for (uint64_t index = content->first; !is_empty(content) && index <= content->last && is_same; index++) {
        result = DW_LAYER_CALL(story, dwal_indexed_cursor_next(cursor, &record));
        if (result == DWAL_EMEMORY) /* it stands before the same entry */
            result = DW_LAYER_CALL(story, dwal_indexed_cursor_next(cursor, &record));
        if (result < 0)
            break;
        is_same = entry_is(&record, index, content->generations[index % DW_LAYER_INDEXES]);
    }
    DW_LAYER_CHECK(result == 0 || result == DWAL_EMEMORY || story->may_reads_fail, "the cursor stops");
    dwal_indexed_cursor_close(cursor);
    return result < 0 ? -1 : is_same;
}

static bool outside_is(struct dw_layer_story *story, const struct dw_layer_content *content)
{
    uint64_t first, last, value;
    DW_LAYER_CHECK(dwal_indexed_bounds(log_of(story), &first, &last) == 0, "no bounds");
    if (is_empty(content) ? first != 0 || last != 0 : first != content->first || last != content->last)
        return false;
    for (uint32_t key = 0; key < KEYS; key++) {
        char name = (char)('a' + key);
        DW_LAYER_CHECK(dwal_indexed_value_u64(log_of(story), &name, 1, &value) == 0, "no value");
        if (value != content->words[key])
            return false;
    }
    return true;
}

/* The log shows one of the contents that it may have. is_settled: which is it? Then it is the truth from now on. */
static void look(struct dw_layer_story *story, bool is_settled)
{
    for (uint32_t i = 0; i <= story->maybe; i++) {
        if (!outside_is(story, &story->contents[i]))
            continue;
        int is_it = compare_gets(story, &story->contents[i]);
        if (is_it == 0)
            continue;
        if (is_it > 0)
            DW_LAYER_CHECK(compare_cursor(story, &story->contents[i]) != 0, "a cursor shows something else");
        if (is_settled) {
            if (is_it < 0) /* it may be this one or a later one with the same bounds */
                return;
            story->contents[0] = story->contents[i];
            story->maybe = 0;
        }
        return;
    }
    uint64_t first = 0, last = 0;
    (void)dwal_indexed_bounds(log_of(story), &first, &last);
    dw_layer_fail("the log has %llu to %llu, which is none of the contents from %llu to %llu on (%u of them)",
                  (unsigned long long)first, (unsigned long long)last, (unsigned long long)story->contents[0].first,
                  (unsigned long long)story->contents[0].last, story->maybe + 1);
}

/* ---- calls that write ---- */

static void settle(struct dw_layer_story *story, int result, bool is_durable)
{
    dw_layer_settle(story, result, is_durable);
    if (result < 0)
        look(story, false);
    if (story->is_over) {
        struct dwal_indexed_entry entry = {.index = dw_layer_now(story)->last + 1};
        DW_LAYER_CHECK(dwal_failure(story->base, NULL) != 0, "a call failed for good, and the log did not");
        DW_LAYER_CHECK(dwal_indexed_store(log_of(story), &entry, 1) < 0, "a failed log takes an entry");
    }
}

enum how { STORED, APPENDED, VERIFIED };

static void store(struct dw_layer_story *story, size_t count, enum how how, dwal_verifier *verifier)
{
    static uint8_t bytes[BATCH_MAX][DW_LAYER_SIZE_MAX];
    struct dwal_indexed_entry entries[BATCH_MAX];
    if (story->is_over)
        return;
    struct dw_layer_content *content = dw_layer_begin(story);
    /* An empty log goes on anywhere; after a failure elsewhere than it was to. */
    uint64_t index = is_empty(content) ? content->first + (story->errors % 2 ? 0 : 3) : content->last + 1;
    uint32_t generation = ++story->generation;
    if (is_empty(content))
        content->first = index;
    for (size_t i = 0; i < count; i++, index++) {
        content->generations[index % DW_LAYER_INDEXES] = generation;
        entries[i] = (struct dwal_indexed_entry){
            .index = index, .data = bytes[i], .size = dw_layer_bytes(index, generation, bytes[i])};
    }
    content->last = index - 1;
    int result = how == APPENDED && !verifier
                     ? DW_LAYER_CALL(story, dwal_indexed_append(log_of(story), entries, count, NULL))
                 : verifier ? DW_LAYER_CALL(story, dwal_verifier_store(verifier, entries, count))
                            : DW_LAYER_CALL(story, dwal_indexed_store(log_of(story), entries, count));
    settle(story, result, how != APPENDED);
}

static void sync_all(struct dw_layer_story *story)
{
    uint64_t end = 0;
    if (story->is_over || DW_LAYER_CALL(story, dwal_indexed_append(log_of(story), NULL, 0, &end)) < 0)
        return;
    (void)dw_layer_begin(story);
    settle(story, DW_LAYER_CALL(story, dwal_indexed_sync(log_of(story), end)), true);
}

/* A truncation of the front that finds no space may give back a part of it, for good. */
static void follow_front(struct dw_layer_story *story, uint64_t wanted)
{
    uint64_t first = dwal_indexed_first(log_of(story));
    for (uint32_t i = 0; i <= story->maybe; i++)
        if (first > story->contents[i].first && first <= wanted)
            story->contents[i].first = first;
}

static void front(struct dw_layer_story *story, uint64_t by)
{
    struct dw_layer_content *content = dw_layer_begin(story);
    if (story->is_over || is_empty(content))
        return;
    uint64_t index = content->first + by;
    content->first = index > content->last ? content->last + 1 : index;
    int result = DW_LAYER_CALL(story, dwal_indexed_truncate_front(log_of(story), index));
    if (result == DWAL_ENOSPACE)
        follow_front(story, index);
    settle(story, result, true);
}

static void back(struct dw_layer_story *story, uint64_t by)
{
    struct dw_layer_content *content = dw_layer_begin(story);
    if (story->is_over || is_empty(content) || by == 0 || content->last - content->first < by)
        return;
    content->last -= by;
    settle(story, DW_LAYER_CALL(story, dwal_indexed_truncate_back(log_of(story), content->last)), true);
}

static void reset(struct dw_layer_story *story)
{
    struct dw_layer_content *content = dw_layer_begin(story);
    if (story->is_over || is_empty(content))
        return;
    uint64_t index = content->first = content->last + 1;
    int result = DW_LAYER_CALL(story, dwal_indexed_reset(log_of(story)));
    if (result == DWAL_ENOSPACE)
        follow_front(story, index);
    settle(story, result, true);
}

static void set(struct dw_layer_story *story, uint32_t key, bool is_deleted)
{
    struct dw_layer_content *content = dw_layer_begin(story);
    char name = (char)('a' + key);
    if (story->is_over)
        return;
    content->words[key] = is_deleted ? 0 : ++story->generation;
    int result = is_deleted ? DW_LAYER_CALL(story, dwal_indexed_set(log_of(story), &name, 1, NULL, 0))
                            : DW_LAYER_CALL(story, dwal_indexed_set_u64(log_of(story), &name, 1, content->words[key]));
    settle(story, result, true);
}

/* ---- verifier ---- */

static bool read_checkpoint(void *context, const struct dwal_indexed_entry *entry, struct dwal_checkpoint *checkpoint)
{
    dwal_verifier **verifier = context;
    if (entry->index % CHECKPOINT_EVERY != 0)
        return false;
    (void)dwal_verifier_checkpoint(*verifier, checkpoint); /* of what this verifier saw: always right, or a new range */
    return true;
}

static bool is_report_wrong;
static void take_report(void *context, const struct dwal_verifier_report *report)
{
    (void)context;
    is_report_wrong |= report->fault == DWAL_VERIFIER_STORAGE || report->fault == DWAL_VERIFIER_EITHER;
}

static void verify(struct dw_layer_story *story, dwal_verifier *verifier)
{
    if (!verifier)
        return;
    int result;
    do
        result = DW_LAYER_CALL(story, dwal_verifier_run(verifier, 0));
    while (result == 0);
    DW_LAYER_CHECK(result == DWAL_ETIMEOUT && !is_report_wrong, "the verifier finds a fault");
}

/* ---- copying ---- */

static void copy(struct dw_layer_story *story)
{
    struct dw_disk *disk;
    if (story->is_over || dw_sim_open(&(struct dw_sim_options){.is_history_off = true}, &disk) != 0)
        return; /* no memory for the target's disk: nothing of the layer's */
    struct dw_layer_story *target = dw_layer_story_new(disk);
    target->may_reads_fail = story->may_reads_fail;
    if (create(target) == 0 && open_once(target, DWAL_WRITE) == 0) {
        int result = DWAL_EFULL;
        for (int i = 0; i < 100 && (result == DWAL_EFULL || result == DWAL_EMEMORY); i++) {
            result = DW_LAYER_CALL(target, dwal_indexed_copy_from(log_of(target), log_of(story),
                                                                  &(struct dwal_indexed_copy){
                                                                      .size = sizeof(struct dwal_indexed_copy),
                                                                      .batch_bytes = 4000,
                                                                  }));
        }
        DW_LAYER_CHECK(result == 0 || result == DWAL_EMEMORY || story->may_reads_fail, "copying answers %s",
                       dwal_error_name(result));
        if (result == 0) {
            target->contents[0] = story->contents[0];
            look(target, false);
        }
        target->contents[target->maybe = 0] = story->contents[0];
        close_log(target);
    }
    dw_layer_story_free(target);
    disk->ops->close(disk);
}

/* ---- the story ---- */

static void first_life(struct dw_layer_story *story)
{
    dwal_verifier *verifier = NULL;
    struct dwal_verifier_options options = {
        .size = sizeof options, .read_checkpoint = read_checkpoint, .report = take_report, .context = &verifier};
    (void)DW_LAYER_CALL(story, dwal_verifier_create(log_of(story), &options, &verifier));
    set(story, 0, false);
    store(story, 1, verifier ? VERIFIED : STORED, verifier);
    store(story, 20, verifier ? VERIFIED : STORED, verifier);
    verify(story, verifier);
    store(story, 2, APPENDED, NULL);
    store(story, 1, APPENDED, NULL);
    sync_all(story);
    look(story, false);
    store(story, BATCH_MAX, STORED, NULL);
    back(story, 5);
    store(story, 3, STORED, NULL);
    set(story, 1, false);
    (void)dw_layer_story_pump(story);
    store(story, BATCH_MAX, STORED, NULL);
    front(story, 9);
    for (int i = 0; i < 6; i++)
        store(story, 5, i % 2 ? STORED : APPENDED, NULL);
    set(story, 0, true);
    (void)dw_layer_story_pump(story);
    look(story, false);
    dwal_verifier_close(verifier);
    close_log(story);
}

static void second_life(struct dw_layer_story *story)
{
    look(story, true);
    copy(story);
    store(story, 4, STORED, NULL);
    front(story, 40);
    (void)dw_layer_story_pump(story);
    back(story, 2);
    reset(story);
    store(story, 1, STORED, NULL);
    store(story, 2, STORED, NULL);
    store(story, 6, APPENDED, NULL);
    look(story, false);
    close_log(story);
}

/* Once more, as a user would after an error: what failed once is over by now. */
static int open_again(struct dw_layer_story *story)
{
    int result = open_once(story, DWAL_WRITE);
    if (result == 0)
        return 0;
    dw_layer_life_ends(story);
    return open_once(story, DWAL_WRITE);
}

static void play(struct dw_layer_story *story)
{
    is_report_wrong = false;
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
        DW_LAYER_CHECK(open_once(story, DWAL_WRITE) == 0, "the log does not open");
        look(story, true);
        uint32_t errors = story->errors;
        store(story, 3, STORED, NULL);
        set(story, 1, false);
        DW_LAYER_CHECK(story->errors == errors, "the log takes nothing more");
        close_log(story);
    }
}

static void check_image(struct dw_layer_story *story, struct dw_disk *image)
{
    struct dw_layer_story *copied = dw_layer_story_on_image(story, image);
    if (story->lives > 0) {
        DW_LAYER_CHECK(open_once(copied, DWAL_READ_ONLY) == 0, "the crash image does not open");
        look(copied, false);
        DW_LAYER_CHECK(dwal_indexed_close(copied->log) == 0, "the crash image does not close");
    }
    copied->log = NULL;
    dw_layer_story_free(copied);
}

const struct dw_layer_kind dw_layer_indexed = {"indexed", play, check, check_image};
