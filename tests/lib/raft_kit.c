/* raft_kit.c - see raft_kit.h. */
#include "tests/lib/raft_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/layers/raft.h"
#include "tests/lib/shell.h"

const char dw_raft_kit_metadata[] = "member 1 of cluster 2";
struct dwal_options dw_raft_kit_log;

struct dwal_raft_options dw_raft_kit_options(void)
{
    struct dwal_raft_options options = DWAL_RAFT_OPTIONS_INIT;
    dw_raft_kit_log = dw_log_kit_options();
    dw_raft_kit_log.marker_delay_ms = UINT32_MAX;
    options.log = &dw_raft_kit_log;
    return options;
}

dwal_raft *dw_raft_kit_create(void)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    dwal_raft *raft = NULL;
    if (dwal_raft_create(dw_log_kit_path, dw_raft_kit_metadata, strlen(dw_raft_kit_metadata), &options, &raft) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    return raft;
}

static int try_open(uint64_t index, uint64_t term, enum dwal_mode mode, dwal_raft **raft)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_snapshot snapshot = {.index = index, .term = term};
    dw_raft_kit_log.mode = mode;
    return dwal_raft_open(dw_log_kit_path, &snapshot, &options, raft);
}

int dw_raft_kit_try_open(uint64_t index, uint64_t term, dwal_raft **raft)
{
    return try_open(index, term, DWAL_WRITE, raft);
}

dwal_raft *dw_raft_kit_open(uint64_t index, uint64_t term)
{
    dwal_raft *raft = NULL;
    if (try_open(index, term, DWAL_WRITE, &raft) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return raft;
}

dwal_raft *dw_raft_kit_open_to_read(uint64_t index, uint64_t term)
{
    dwal_raft *raft = NULL;
    if (try_open(index, term, DWAL_READ_ONLY, &raft) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return raft;
}

struct dwal_raft_content *dw_raft_kit_read(dwal_raft *raft)
{
    struct dwal_raft_content *content = NULL;
    if (dwal_raft_read_all(raft, &content) < 0)
        fail_msg("read: %s", dwal_last_error()->text);
    assert_int_equal(content->metadata_size, strlen(dw_raft_kit_metadata));
    assert_memory_equal(content->metadata, dw_raft_kit_metadata, content->metadata_size);
    return content;
}

void dw_raft_kit_ready(dwal_raft *raft)
{
    dwal_raft_content_free(dw_raft_kit_read(raft));
}

void dw_raft_kit_close(dwal_raft *raft)
{
    if (dwal_raft_close(raft) < 0)
        fail_msg("close: %s", dwal_last_error()->text);
}

/* ---- entries ---- */

struct dwal_raft_entry dw_raft_kit_entry(uint64_t index, uint64_t term, char data[300])
{
    size_t size = (size_t)(index * 131 + term * 17) % 300;
    memset(data, (int)((index + term) % 251), size);
    if (size >= 16)
        snprintf(data, 16, "%llu/%llu", (unsigned long long)index % 10000000, (unsigned long long)term % 1000000);
    return (struct dwal_raft_entry){
        .index = index, .term = term, .data = data, .size = size, .type = (uint32_t)(index % 3)};
}

void dw_raft_kit_save(dwal_raft *raft, uint64_t from, uint64_t to, uint64_t term)
{
    size_t count = (size_t)(to - from + 1);
    struct dwal_raft_entry *entries = calloc(count, sizeof *entries);
    char(*data)[300] = calloc(count, sizeof *data);
    assert_non_null(entries);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++)
        entries[i] = dw_raft_kit_entry(from + i, term, data[i]);
    int result = dwal_raft_save(raft, NULL, entries, count);
    free(data);
    free(entries);
    if (result < 0)
        fail_msg("save: %s", dwal_last_error()->text);
}

void dw_raft_kit_save_state(dwal_raft *raft, uint64_t term, uint64_t vote, uint64_t commit)
{
    struct dwal_raft_state state = {term, vote, commit};
    if (dwal_raft_save(raft, &state, NULL, 0) < 0)
        fail_msg("save: %s", dwal_last_error()->text);
}

void dw_raft_kit_save_snapshot(dwal_raft *raft, uint64_t index, uint64_t term)
{
    struct dwal_raft_snapshot snapshot = {.index = index, .term = term, .members = "abc", .members_size = 3};
    if (dwal_raft_save_snapshot(raft, &snapshot) < 0)
        fail_msg("snapshot: %s", dwal_last_error()->text);
}

void dw_raft_kit_check(const struct dwal_raft_content *content, uint64_t from, uint64_t to, uint64_t term)
{
    assert_int_equal(content->entry_count, to - from + 1);
    for (size_t i = 0; i < content->entry_count; i++) {
        char data[300];
        struct dwal_raft_entry wanted = dw_raft_kit_entry(from + i, term, data);
        const struct dwal_raft_entry *entry = &content->entries[i];
        if (entry->index != wanted.index || entry->term != term || entry->type != wanted.type ||
            entry->size != wanted.size || memcmp(entry->data, data, wanted.size) != 0)
            fail_msg("entry %zu: index %llu, term %llu, %zu bytes", i, (unsigned long long)entry->index,
                     (unsigned long long)entry->term, entry->size);
    }
}

void dw_raft_kit_check_state(const struct dwal_raft_content *content, uint64_t term, uint64_t vote, uint64_t commit)
{
    assert_int_equal(content->state.term, term);
    assert_int_equal(content->state.vote, vote);
    assert_int_equal(content->state.commit, commit);
}

/* ---- what nobody should do ---- */

uint64_t dw_raft_kit_append_raw(dwal_raft *raft, unsigned kind, const void *metadata, size_t metadata_size,
                                const void *data, size_t data_size)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)metadata, metadata_size}, {(void *)(uintptr_t)data, data_size}};
    struct dwal_entry entry = {.metadata = &parts[0],
                               .metadata_count = metadata_size > 0,
                               .data = &parts[1],
                               .data_count = data_size > 0,
                               .user = (uint16_t)(DW_RAFT_USER | kind)};
    uint64_t lsn;
    assert_int_equal(dwal_commit(dwal_raft_log(raft), &entry, &lsn, NULL), 0);
    return lsn;
}

static void flip(int fd, const char *content, size_t at)
{
    char flipped = (char)(content[at] ^ 0x20);
    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
}

static void blank_sector(int fd, const char *content, size_t at)
{
    static const char zeros[512];
    (void)content;
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)(at / 512 * 512)), sizeof zeros);
}

typedef void harm_fn(int fd, const char *content, size_t at);

/* Look for the bytes in one file; true when found and harmed. */
static bool harm_in(const char *name, const void *bytes, size_t size, harm_fn *harm)
{
    char file[sizeof dw_log_kit_path + 300];
    snprintf(file, sizeof file, "%s/%s", dw_log_kit_path, name);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    char *content = malloc((size_t)facts.st_size);
    assert_non_null(content);
    assert_int_equal(pread(fd, content, (size_t)facts.st_size, 0), facts.st_size);
    const char *found = memmem(content, (size_t)facts.st_size, bytes, size);
    if (found)
        harm(fd, content, (size_t)(found - content));
    free(content);
    close(fd);
    return found != NULL;
}

static void harm_log(const void *bytes, size_t size, harm_fn *harm)
{
    DIR *directory = opendir(dw_log_kit_path);
    assert_non_null(directory);
    bool is_found = false;
    for (struct dirent *entry; !is_found && (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, ".vol"))
            is_found = harm_in(entry->d_name, bytes, size, harm);
    closedir(directory);
    assert_true(is_found);
}

void dw_raft_kit_damage(const void *bytes, size_t size)
{
    harm_log(bytes, size, flip);
}

void dw_raft_kit_tear(const void *bytes, size_t size)
{
    harm_log(bytes, size, blank_sector);
}

void dw_raft_kit_settle(void)
{
    struct dwal_info info = {.size = sizeof info};
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(dwal_get_info(dw_log_kit_path, NULL, &info), 0);
        if (info.claimed > info.head && info.blanks_ready >= info.blanks)
            return;
        usleep(1000);
    }
    fail_msg("the maker does not come to rest");
}

void dw_raft_kit_crash(dwal_raft *raft)
{
    dw_shell_good("cp -r %s %s.crash", dw_log_kit_path, dw_log_kit_path);
    dw_raft_kit_close(raft);
    dw_shell_good("rm -r %s && mv %s.crash %s", dw_log_kit_path, dw_log_kit_path, dw_log_kit_path);
}

uint64_t dw_raft_kit_writes(dwal_raft *raft)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(dwal_raft_log(raft), &stats), 0);
    return stats.writes;
}
