/* plan.c - see plan.h. Strict: an unknown key, an empty list item or a number out of range is refused, never guessed. */
#include "tools/bench/plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/message.h"
#include "tools/options.h"

enum { LIST_MAX = 16, ITEM_SIZE = 64, FILE_SIZE_MAX = 64 << 10 };

struct list {
    uint32_t count;
    double values[LIST_MAX];
};

static int complain(const char *where, const char *key, const char *text, const char *action)
{
    bool is_option = strcmp(where, "--") == 0;
    dw_message_error(action, "%s%s%s: \"%s\" is not possible", where, is_option ? "" : ": ", key, text);
    return -1;
}

/* ---- single values -----------------------------------------------------------------------------------------------------*/

bool dw_bench_time_parse(const char *text, uint64_t *time_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
    char *rest;
    if (!isdigit((unsigned char)text[0]) || text[1] == 'x')
        return false;
    double value = strtod(text, &rest);
    if (strcmp(text, "0") == 0) {
        *time_ns = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].name) != 0 || value * units[i].ns > 1e15)
            continue;
        *time_ns = (uint64_t)(value * units[i].ns + 0.5);
        return true;
    }
    return false;
}

bool dw_bench_mix_parse(const char *text, struct dw_bench_mix *mix)
{
    *mix = (struct dw_bench_mix){0};
    for (const char *at = text; mix->count < DW_BENCH_MIX_MAX; at++) {
        char item[ITEM_SIZE];
        size_t size = strcspn(at, ",");
        if (size == 0 || size >= sizeof item)
            return false;
        memcpy(item, at, size);
        item[size] = 0;
        char *colon = strchr(item, ':');
        uint64_t weight = 1, bytes;
        if (colon) {
            *colon = 0;
            if (!dw_number_parse(colon + 1, &weight) || weight < 1 || weight > 1000000)
                return false;
        }
        if (!dw_size_parse(item, &bytes) || bytes < 1 || bytes > DW_BENCH_OP_BYTES_MAX)
            return false;
        mix->sizes[mix->count] = (uint32_t)bytes;
        mix->weights[mix->count++] = (uint32_t)weight;
        at += size;
        if (!*at)
            return true;
    }
    return false;
}

/* A list of numbers, each within limits. */
static bool parse_list(const char *text, double minimum, double maximum, bool is_whole, struct list *list)
{
    *list = (struct list){0};
    for (const char *at = text;; at++) {
        char item[ITEM_SIZE], *rest;
        size_t size = strcspn(at, ",");
        if (size == 0 || size >= sizeof item || list->count == LIST_MAX || !isdigit((unsigned char)*at))
            return false;
        memcpy(item, at, size);
        item[size] = 0;
        double value = strtod(item, &rest);
        if (*rest || !(value >= minimum) || !(value <= maximum) || (is_whole && value > (double)(uint64_t)value))
            return false;
        list->values[list->count++] = value;
        at += size;
        if (!*at)
            return true;
    }
}

/* ---- a section -----------------------------------------------------------------------------------------------------------*/

struct section {
    struct list threads, outstanding, rates;
    struct dw_bench_load load; /* what is not a list */
};

static int parse_section(const struct dw_bench_settings *s, const char *where, struct section *section)
{
    struct list batch;
    *section = (struct section){0};
    if (!parse_list(s->threads ? s->threads : "1", 1, DW_BENCH_THREADS_MAX, true, &section->threads))
        return complain(where, "threads", s->threads, "give numbers from 1 to 256, such as 1,4,16");
    if (!parse_list(s->outstanding ? s->outstanding : "1", 1, 4096, true, &section->outstanding))
        return complain(where, "outstanding", s->outstanding, "give numbers from 1 to 4096, such as 1,16");
    if (!parse_list(s->rate ? s->rate : "0", 0, 1e8, false, &section->rates))
        return complain(where, "rate", s->rate, "give operations a second, such as 1000,5000; 0: closed loop");
    if (!parse_list(s->batch ? s->batch : "1", 1, DW_BENCH_BATCH_MAX, true, &batch) || batch.count != 1)
        return complain(where, "batch", s->batch, "give one number from 1 to 64");
    section->load.batch = (uint32_t)batch.values[0];
    if (!dw_bench_mix_parse(s->size ? s->size : "128", &section->load.mix))
        return complain(where, "size", s->size,
                        "give a size up to 4MiB, such as 128, or sizes with weights, such as 64:50,4KiB:50");
    for (uint32_t i = 0; i < section->load.mix.count; i++)
        if ((uint64_t)section->load.mix.sizes[i] * section->load.batch > DW_BENCH_OP_BYTES_MAX)
            return complain(where, "size", s->size, "an operation holds at most 4MiB: give a smaller batch");
    const char *arrival = s->arrival ? s->arrival : "poisson";
    section->load.is_poisson = strcmp(arrival, "poisson") == 0;
    if (!section->load.is_poisson && strcmp(arrival, "fixed") != 0)
        return complain(where, "arrival", arrival, "choose poisson or fixed");
    return 0;
}

static int add_loads(struct dw_bench_run *run, const struct section *section, struct dw_bench_engine *engine,
                     const char *group)
{
    for (uint32_t t = 0; t < section->threads.count; t++)
        for (uint32_t o = 0; o < section->outstanding.count; o++)
            for (uint32_t r = 0; r < section->rates.count; r++) {
                struct dw_bench_load load = section->load;
                load.threads = (uint32_t)section->threads.values[t];
                load.outstanding = (uint32_t)section->outstanding.values[o];
                load.rate = section->rates.values[r];
                if (!dw_bench_run_add(run, engine, &load, group))
                    return -1;
            }
    return 0;
}

int dw_bench_plan_add(struct dw_bench_run *run, const struct dw_bench_settings *settings, const char *where,
                      const char *group)
{
    struct section section;
    if (parse_section(settings, where, &section) != 0)
        return -1;
    const char *engines = settings->engines ? settings->engines : "dwal,sync,uring,aio,nvme";
    for (const char *at = engines;; at++) {
        size_t size = strcspn(at, ",");
        struct dw_bench_engine *engine = dw_bench_run_engine(run, at, size);
        if (!engine)
            return complain(where, "engines", engines, "choose some of dwal,sync,uring,aio,nvme");
        if (add_loads(run, &section, engine, group) != 0)
            return -1;
        at += size;
        if (!*at)
            return 0;
    }
}

int dw_bench_plan_times(struct dw_bench_run *run, const struct dw_bench_settings *s, const char *where)
{
    uint64_t duration_ns, count = 0, rounds;
    if (!dw_bench_time_parse(s->duration ? s->duration : "10s", &duration_ns) || duration_ns < 1000000)
        return complain(where, "duration", s->duration, "give a time from 1ms on, such as 500ms, 10s, 2m");
    if (!dw_number_parse(s->rounds ? s->rounds : "10", &rounds) || rounds < 1 || rounds > DW_BENCH_ROUNDS_MAX)
        return complain(where, "rounds", s->rounds, "give a number from 1 to 400");
    if (s->count && (!dw_number_parse(s->count, &count) || count < 1))
        return complain(where, "count", s->count, "give a number from 1 on");
    if (!dw_bench_time_parse(s->warm_up ? s->warm_up : "100ms", &run->warm_up_ns))
        return complain(where, "warm-up", s->warm_up, "give a time, such as 100ms");
    if (!dw_bench_time_parse(s->settle ? s->settle : "6s", &run->target.settle_ns) ||
        run->target.settle_ns > UINT64_C(3600000000000))
        return complain(where, "settle", s->settle, "give a time up to 1h, such as 6s");
    run->rounds = (uint32_t)rounds;
    run->slice_ns = duration_ns / rounds;
    run->slice_count = count ? (count + rounds - 1) / rounds : 0;
    return 0;
}

/* ---- the file ------------------------------------------------------------------------------------------------------------*/

static const char **find_setting(struct dw_bench_settings *s, const char *key)
{
    const struct {
        const char *key;
        const char **value;
    } keys[] = {{"engines", &s->engines}, {"threads", &s->threads}, {"size", &s->size},
                {"batch", &s->batch},     {"rate", &s->rate},       {"outstanding", &s->outstanding},
                {"arrival", &s->arrival}, {"rounds", &s->rounds},   {"duration", &s->duration},
                {"count", &s->count},     {"settle", &s->settle},   {"warm-up", &s->warm_up}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].key, key) == 0)
            return keys[i].value;
    return NULL;
}

static bool is_of_the_run(const char *key)
{
    static const char *const keys[] = {"rounds", "duration", "count", "settle", "warm-up"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

struct reading {
    struct dw_bench_run *run;
    const char *path;
    struct dw_bench_settings common, section;
    char group[64];
    bool is_in_section;
    unsigned line;
};

static int refuse_line(const struct reading *reading, const char *what, const char *text)
{
    dw_message_error("see PLAN FILES in dwal(1)", "%s:%u: %s: \"%s\"", reading->path, reading->line, what, text);
    return -1;
}

static int end_section(struct reading *reading)
{
    char where[256];
    (void)snprintf(where, sizeof where, "%.150s [%s]", reading->path, reading->group);
    return reading->is_in_section ? dw_bench_plan_add(reading->run, &reading->section, where, reading->group) : 0;
}

static int take_line(struct reading *reading, char *line)
{
    char *text = line;
    text[strcspn(text, "#")] = 0;
    text = trim(text);
    size_t size = strlen(text);
    if (size == 0)
        return 0;
    if (text[0] == '[') {
        if (text[size - 1] != ']' || size < 3 || size > sizeof reading->group)
            return refuse_line(reading, "a section is [name]", text);
        if (end_section(reading) != 0)
            return -1;
        text[size - 1] = 0;
        (void)snprintf(reading->group, sizeof reading->group, "%s", text + 1);
        reading->section = reading->common;
        reading->is_in_section = true;
        return 0;
    }
    char *equals = strchr(text, '=');
    if (!equals)
        return refuse_line(reading, "neither [section] nor key = value", text);
    *equals = 0;
    const char *key = trim(text), *value = trim(equals + 1);
    const char **setting = find_setting(reading->is_in_section ? &reading->section : &reading->common, key);
    if (!setting)
        return refuse_line(reading, "there is no such key", key);
    if (reading->is_in_section && is_of_the_run(key))
        return refuse_line(reading, "this holds for the whole run: put it before the first section", key);
    *setting = value;
    return 0;
}

int dw_bench_plan_read(struct dw_bench_run *run, const struct dw_bench_settings *given, const char *path)
{
    static char text[FILE_SIZE_MAX]; /* the settings point into it */
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    bool is_read = file && !ferror(file) && size < sizeof text - 1;
    if (file)
        fclose(file);
    if (!is_read) {
        dw_message_error("give a file of at most 64 KiB", "%s: cannot read the plan", path);
        return -1;
    }
    text[size] = 0;
    struct reading reading = {.run = run, .path = path, .common = *given};
    char *rest = text;
    while (rest) {
        char *line = strsep(&rest, "\n");
        reading.line++;
        if (take_line(&reading, line) != 0)
            return -1;
    }
    if (!reading.is_in_section)
        return refuse_line(&reading, "there is no section", path);
    return end_section(&reading) != 0 ? -1 : dw_bench_plan_times(run, &reading.common, path);
}
