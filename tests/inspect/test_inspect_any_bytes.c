/* test_inspect_any_bytes.c - every inspecting call on logs with arbitrary damage, from seeds.
 *
 * Nothing crashes or hangs; no entry is delivered that was not appended, and none out of order; a log that full verify
 * calls CLEAN is all there; a repair that says it did its work left exactly the entries before the cut. A failure names the
 * seed; DWAL_SEED runs that one alone, DWAL_SEEDS more of them, and
 * DWAL_KEEP keeps the directory. */
#include "tests/inspect/inspect.h"

#include <dirent.h>
#include <fcntl.h>

#define FILES_MAX   32
#define ENTRIES     160u
#define VOLUME_SIZE 65536u
#define SEEDS       150u

struct file {
    char name[32];
    size_t size;
    unsigned char *bytes;
};

static struct {
    char directory[DW_TMPDIR_SIZE];
    char path[DW_TMPDIR_SIZE + 16], save[DW_TMPDIR_SIZE + 16];
    struct file files[FILES_MAX];
    size_t file_count;
    uint64_t lsns[ENTRIES], ends[ENTRIES];
    uint64_t seed, random;
} subject;

static uint64_t next_random(uint64_t below)
{
    subject.random ^= subject.random << 13;
    subject.random ^= subject.random >> 7;
    subject.random ^= subject.random << 17;
    return subject.random % below;
}

static size_t content_of(size_t index, char *data)
{
    size_t size = index % 40 == 39 ? 9000 : 30 + index * 37 % 900;
    memset(data, 'A' + (int)(index % 26), size);
    return size;
}

/* ---- the log, as files in memory ---- */

static void append_all(void)
{
    static char data[9000];
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dwal *log;
    options.volume_size = VOLUME_SIZE;
    options.blanks = 1;
    must(dwal_create(subject.path, &options));
    must(dwal_open(subject.path, NULL, &log));
    for (size_t i = 0; i < ENTRIES; i++) {
        struct iovec part = {data, content_of(i, data)};
        struct dwal_entry entry = {NULL, &part, 0, 1, (uint16_t)i};
        if (i % 7 == 0)
            must(dwal_commit(log, &entry, &subject.lsns[i], &subject.ends[i]));
        else
            must(dwal_append(log, &entry, &subject.lsns[i], &subject.ends[i]));
    }
    must(dwal_close(log));
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void load_files(void)
{
    DIR *directory = opendir(subject.path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        assert_true(subject.file_count < FILES_MAX);
        struct file *file = &subject.files[subject.file_count++];
        snprintf(file->name, sizeof file->name, "%.31s", entry->d_name);
        int fd = openat(dirfd(directory), file->name, O_RDONLY | O_CLOEXEC);
        file->bytes = malloc(VOLUME_SIZE);
        ssize_t size = read(fd, file->bytes, VOLUME_SIZE);
        assert_true(size > 0);
        file->size = (size_t)size;
        close(fd);
    }
    closedir(directory);
    qsort(subject.files, subject.file_count, sizeof subject.files[0], compare_files);
}

/* ---- damage ---- */

static void hurt(unsigned char *bytes, size_t size)
{
    static const size_t lengths[] = {1, 1, 4, 64, 512, 4096, 20000};
    size_t length = lengths[next_random(sizeof lengths / sizeof lengths[0])];
    size_t at = next_random(size), from = next_random(size);
    if (length >= 512)
        at -= at % 512;
    if (length > size - at)
        length = size - at;
    switch (next_random(4)) {
    case 0:
        memset(bytes + at, 0, length);
        break;
    case 1:
        for (size_t i = 0; i < length; i++)
            bytes[at + i] = (unsigned char)next_random(256);
        break;
    case 2:
        bytes[at] ^= (unsigned char)(1u << next_random(8));
        break;
    default: /* a piece of the file in another place */
        from -= from % 512;
        memmove(bytes + at, bytes + from, from + length <= size ? length : size - from < length ? size - from : length);
        break;
    }
}

/* Write the log anew, with damage in one or two files. */
static void write_files(void)
{
    dw_shell_good("rm -rf %s %s && mkdir -m 700 %s", subject.path, subject.save, subject.path);
    size_t first = next_random(subject.file_count), second = next_random(subject.file_count);
    for (size_t i = 0; i < subject.file_count; i++) {
        static unsigned char bytes[VOLUME_SIZE];
        char path[DW_TMPDIR_SIZE + 64];
        size_t size = subject.files[i].size;
        memcpy(bytes, subject.files[i].bytes, size);
        bool is_hurt = i == first || (i == second && next_random(3) == 0);
        uint64_t kind = is_hurt ? next_random(12) : 12;
        if (kind == 0)
            continue; /* the file is missing */
        if (kind == 1)
            size = next_random(size);
        for (uint64_t times = kind < 12 ? 1 + next_random(4) : 0; times > 0 && size > 0; times--)
            hurt(bytes, size);
        snprintf(path, sizeof path, "%s/%s", subject.path, subject.files[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, size), size);
        close(fd);
    }
}

/* ---- what must hold ---- */

struct delivered {
    size_t count, wrong;
    uint64_t last_lsn;
};

static void on_data(void *context, const struct dwal_record *record)
{
    static char wanted[9000];
    struct delivered *delivered = context;
    size_t index = record->user;
    bool is_known = index < ENTRIES && record->lsn == subject.lsns[index] && record->end == subject.ends[index];
    if (!is_known || record->data_size != content_of(index, wanted) ||
        memcmp(record->data, wanted, record->data_size) != 0 ||
        (delivered->count > 0 && record->lsn <= delivered->last_lsn))
        delivered->wrong++;
    delivered->last_lsn = record->lsn;
    delivered->count++;
}

static bool count_item(void *context, const struct dwal_item *item)
{
    size_t *count = context;
    ++*count;
    return strlen(item->text) > 0;
}

static struct delivered scan(void)
{
    struct delivered delivered = {0};
    struct dwal_scan how = {.size = sizeof how, .context = &delivered, .data = on_data};
    struct dwal_report report = {.size = sizeof report};
    (void)dwal_scan_log(subject.path, &how, &report);
    return delivered;
}

static void look(void)
{
    struct dwal_report full = {.size = sizeof full}, quick = {.size = sizeof quick};
    struct findings findings = {0};
    size_t items = 0;
    int result = dwal_verify(subject.path, NULL, true, take_finding, &findings, &full);
    (void)dwal_verify(subject.path, NULL, false, NULL, NULL, &quick);
    (void)dwal_dump(subject.path, NULL, count_item, &items);
    struct delivered delivered = scan();
    if (delivered.wrong > 0)
        fail_msg("seed %llu: %zu wrong entries", (unsigned long long)subject.seed, delivered.wrong);
    if (result == 0 && full.verdict == DWAL_VERDICT_CLEAN && (full.entries != ENTRIES || delivered.count != ENTRIES))
        fail_msg("seed %llu: CLEAN with %llu entries, %zu delivered", (unsigned long long)subject.seed,
                 (unsigned long long)full.entries, delivered.count);
    if (result == 0)
        assert_int_equal(full.findings, findings.count);
}

static void cut(void)
{
    struct dwal_report report = {.size = sizeof report};
    size_t kept = next_random(ENTRIES);
    if (dwal_repair(subject.path, NULL, subject.lsns[kept], subject.save, &report) != 0)
        return;
    struct delivered delivered = scan();
    /* UNCERTAIN: the blank that the repair took had garbage in it, which is judged only when it is a volume. */
    bool is_refused = dwal_verdict_error(report.verdict) && report.verdict != DWAL_VERDICT_UNCERTAIN;
    if (is_refused || delivered.wrong > 0 || delivered.count != kept)
        fail_msg("seed %llu: cut before entry %zu left %zu, %zu wrong, %s: %s", (unsigned long long)subject.seed, kept,
                 delivered.count, delivered.wrong, dwal_verdict_name(report.verdict), report.text);
}

static void any_damage_is_told_and_nothing_false_is_delivered(void **state)
{
    (void)state;
    const char *only = getenv("DWAL_SEED"), *many = getenv("DWAL_SEEDS");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t count = only ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
    for (subject.seed = from; subject.seed < from + count; subject.seed++) {
        subject.random = subject.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        write_files();
        look();
        cut();
    }
}

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(subject.directory, "any-bytes");
    snprintf(subject.path, sizeof subject.path, "%s/log", subject.directory);
    snprintf(subject.save, sizeof subject.save, "%s/save", subject.directory);
    append_all();
    load_files();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < subject.file_count; i++)
        free(subject.files[i].bytes);
    if (!getenv("DWAL_KEEP"))
        dw_tmpdir_remove(subject.directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_damage_is_told_and_nothing_false_is_delivered, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
