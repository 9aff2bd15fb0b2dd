/* error_cases_raft.h - the cases of test_error_codes.c that belong to the Raft log. */
#ifndef DW_TESTS_FAULTS_ERROR_CASES_RAFT_H
#define DW_TESTS_FAULTS_ERROR_CASES_RAFT_H

#include "core/layers/raft.h"
#include "tests/faults/error_cases.h"
#include "tests/lib/raft_kit.h"

/* Open at a snapshot and read all; what that answers. */
static struct told raft_tells(uint64_t index, uint64_t term, struct told told)
{
    dwal_raft *raft;
    struct dwal_raft_content *content = NULL;
    told.result = dw_raft_kit_try_open(index, term, &raft);
    if (told.result == 0) {
        told.result = keep(dwal_raft_read_all(raft, &content));
        dwal_raft_content_free(content);
        assert_int_equal(dwal_raft_close(raft), 0);
    }
    return told;
}

static struct told throw_DWAL_ERAFT_METADATA(void)
{
    dwal_raft *raft = dw_raft_kit_create();
    struct dw_raft_head_disk head = {
        .format_version = dw_le32_of(1), .sequence = dw_le64_of(1), .index = dw_le64_of(1)};
    dw_raft_kit_append_raw(raft, DWAL_RAFT_HEAD, &head, sizeof head, "other", 5);
    dw_raft_kit_close(raft);
    return raft_tells(0, 0, (struct told){.has_lsn = true, .words = {"segment 1", "metadata"}});
}

static struct told throw_DWAL_ERAFT_SNAPSHOT(void)
{
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save_snapshot(raft, 5, 2);
    dw_raft_kit_close(raft);
    return raft_tells(5, 7, (struct told){.has_lsn = true, .words = {"index 5", "term 2", "term 7"}});
}

static struct told throw_DWAL_ERAFT_NO_SNAPSHOT(void)
{
    dw_raft_kit_close(dw_raft_kit_create());
    return raft_tells(5, 2, (struct told){.words = {"index 5", "term 2"}});
}

static struct told throw_DWAL_ERAFT_GAP(void)
{
    dwal_raft *raft = dw_raft_kit_create();
    struct dwal_raft_entry entry = {.index = 9, .term = 1};
    struct told told = {.words = {"index 9", "follow 0"}};
    told.result = keep(dwal_raft_save(raft, NULL, &entry, 1));
    dw_raft_kit_close(raft);
    return told;
}

static struct told throw_DWAL_ERAFT_ORDER(void)
{
    dw_raft_kit_close(dw_raft_kit_create());
    dwal_raft *raft = dw_raft_kit_open(0, 0);
    struct told told = {.words = {"not read yet"}};
    told.result = keep(dwal_raft_cut(raft));
    dw_raft_kit_close(raft);
    return told;
}

static struct told throw_DWAL_ERAFT_RECORD(void)
{
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_append_raw(raft, 77, "what", 4, NULL, 0);
    dw_raft_kit_close(raft);
    return raft_tells(0, 0, (struct told){.has_lsn = true, .words = {"0x524d", "none of a Raft log"}});
}

static struct told throw_DWAL_ERAFT_RELEASED(void)
{
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 9, 1);
    assert_int_equal(dwal_raft_cut(raft), 0);
    dw_raft_kit_save(raft, 10, 12, 1);
    assert_int_equal(dwal_raft_release(raft, 12), 0);
    dw_raft_kit_close(raft);
    return raft_tells(0, 0, (struct told){.has_lsn = true, .words = {"index 10", "at 0"}});
}

#endif
