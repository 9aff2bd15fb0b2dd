/* layer_story.c - what the stories of the layers share: see layer_story.h. */
#include "tests/lib/layer_story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dw_layer_is_inside;
char dw_layer_context[256];

void dw_layer_fail(const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s (%s; last error: %s)\n", text, dw_layer_context, dwal_last_error()->text);
    abort();
}

/* Time passes whenever somebody looks, so that what waits for a moment is tried again, and every run is alike. */
static uint64_t tick(void *context)
{
    struct dw_layer_story *story = context;
    story->now_ns += 2000000;
    return story->now_ns;
}

struct dw_layer_story *dw_layer_story_new(struct dw_disk *disk)
{
    struct dw_layer_story *story = calloc(1, sizeof *story);
    DW_LAYER_CHECK(story, "no memory for the test");
    story->disk = disk;
    story->now_ns = 1000000000;
    story->clock = (struct dw_clock){.monotonic_ns = tick, .realtime_ns = tick, .context = story};
    story->contents[0].first = 1;
    return story;
}

struct dw_layer_story *dw_layer_story_on_image(const struct dw_layer_story *story, struct dw_disk *image)
{
    struct dw_layer_story *copied = dw_layer_story_new(image);
    struct dw_clock clock = copied->clock;
    *copied = *story;
    copied->disk = image;
    copied->clock = clock;
    copied->log = NULL;
    copied->base = NULL;
    copied->on_life_end = NULL;
    copied->may_reads_fail = false;
    return copied;
}

void dw_layer_story_free(struct dw_layer_story *story)
{
    DW_LAYER_CHECK(!story->log, "a log is still open");
    free(story);
}

/* ---- results ---- */

bool dw_layer_is_harmless(int result)
{
    return result == DWAL_EMEMORY || result == DWAL_ENOSPACE || result == DWAL_EFULL;
}

int dw_layer_note(struct dw_layer_story *story, int result, const char *what)
{
    if (result == 0 || result == DWAL_EEND || result == DWAL_EFULL || result == DWAL_ETIMEOUT)
        return result;
    const struct dwal_error *error = dwal_last_error();
    DW_LAYER_CHECK(result < 0 && strcmp(dwal_error_name(result), "unknown") != 0, "%s answers %d", what, result);
    DW_LAYER_CHECK(error->code == result, "%s answers %s, and the error says %s", what, dwal_error_name(result),
                   dwal_error_name(error->code));
    DW_LAYER_CHECK(strlen(error->text) > 20, "%s: the text says little", what);
    DW_LAYER_CHECK(strstr(error->text, dwal_error_action(result)) || strlen(error->text) + 1 == sizeof error->text,
                   "%s: what to do is missing", what);
    DW_LAYER_CHECK(story->may_reads_fail ||
                       (result != DWAL_ECORRUPT && result != DWAL_ELOST && result != DWAL_EUNCERTAIN),
                   "%s calls damage what is a fault of today", what);
    story->errors++;
    return result;
}

/* ---- the log beneath ---- */

struct dwal_options dw_layer_options(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 64 << 10;
    options.blanks = 1;
    options.ring_size = 64 << 10;
    options.write_size_max = 16 << 10;
    options.backend = "sync";
    options.marker_delay_ms = UINT32_MAX;
    return options;
}

int dw_layer_create_base(struct dw_layer_story *story, const struct dwal_options *options)
{
    static const uint8_t log_id[16] = "story of layers";
    return dw_log_create_on(story->disk, &story->clock, log_id, 0x80001234u, options);
}

int dw_layer_open_base(struct dw_layer_story *story, const struct dwal_options *options, dwal **base)
{
    struct dw_log_setup setup = {
        .disk = story->disk, .clock = &story->clock, .is_disk_borrowed = true, .is_single_stepped = true};
    int result = dw_log_open_on(&setup, options, base);
    story->base = *base;
    return result;
}

bool dw_layer_story_pump(struct dw_layer_story *story)
{
    if (!story->base)
        return false;
    dw_layer_is_inside = true;
    for (uint32_t i = 0, idle = 0; i < 200 && idle < 6; i++) { /* idle: time passes for what waits */
        bool is_made = dw_log_step_maker(story->base), is_flushed = dw_log_step_flusher(story->base);
        idle = is_made || is_flushed ? 0 : idle + 1;
    }
    dw_layer_is_inside = false;
    return true;
}

void dw_layer_life_ends(struct dw_layer_story *story)
{
    story->log = NULL;
    story->base = NULL;
    story->is_over = false;
    if (story->on_life_end)
        story->on_life_end(story);
}

/* ---- contents ---- */

struct dw_layer_content *dw_layer_now(struct dw_layer_story *story)
{
    return &story->contents[story->maybe];
}

struct dw_layer_content *dw_layer_begin(struct dw_layer_story *story)
{
    DW_LAYER_CHECK(story->maybe < DW_LAYER_MAYBE, "the story is too long");
    story->contents[story->maybe + 1] = *dw_layer_now(story);
    return &story->contents[story->maybe + 1];
}

void dw_layer_settle(struct dw_layer_story *story, int result, bool is_durable)
{
    if (dw_layer_is_harmless(result))
        return;
    story->maybe++;
    story->is_over |= result < 0;
    if (result < 0 || !is_durable)
        return;
    story->contents[0] = *dw_layer_now(story);
    story->maybe = 0;
}

size_t dw_layer_bytes(uint64_t index, uint32_t generation, uint8_t *bytes)
{
    uint64_t mix = (index * 31 + generation) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    size_t size = (size_t)(mix % 11 == 0 ? 0 : mix % 37 == 1 ? 20000 : mix % 2600);
    memset(bytes, (int)(index * 7 + generation), size);
    if (size >= 12) {
        memcpy(bytes, &index, 8);
        memcpy(bytes + 8, &generation, 4);
    }
    return size;
}
