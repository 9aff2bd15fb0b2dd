/* kill.h - what the writer that gets killed (kill_writer.h) and the judge (test_kill.c) agree on: lanes and contents.
 *
 * A lane is one thread of the writer with its own way of asking for durability. Each entry of a lane has the next
 * sequence number; its metadata says lane and number, and its data follows from them, so that content can be checked
 * without being remembered. */
#ifndef DW_TESTS_PROOF_KILL_H
#define DW_TESTS_PROOF_KILL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum kill_lane {
    KILL_COMMIT, /* small entries, one commit each */
    KILL_SYNC,   /* a few appends, then one sync */
    KILL_LARGE,  /* entries over many blocks and from one volume into the next */
    KILL_BATCH,  /* atomic batches of KILL_BATCH_COUNT, then a sync */
    KILL_LANES,
};
enum { KILL_BATCH_COUNT = 3, KILL_SYNC_COUNT = 5, KILL_DATA_MAX = 60000 };

struct kill_label { /* the metadata of each entry */
    uint64_t sequence;
    uint32_t lane;
    uint32_t data_size;
};
struct kill_ack { /* what the writer sends when an entry is durable; smaller than PIPE_BUF, so it arrives whole */
    uint64_t sequence, lsn;
    uint64_t lane;
};

static inline uint64_t kill_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}
static inline struct kill_label kill_label_of(uint32_t lane, uint64_t sequence)
{
    static const uint32_t size_max[KILL_LANES] = {300, 3000, KILL_DATA_MAX, 700};
    uint64_t random = kill_mix(sequence * KILL_LANES + lane + 1);
    struct kill_label label = {
        .sequence = sequence, .lane = lane, .data_size = (uint32_t)(random % (size_max[lane] + 1))};
    return label;
}
/* `data` has room for KILL_DATA_MAX + 8. */
static inline void kill_data_of(const struct kill_label *label, unsigned char *data)
{
    uint64_t word = label->sequence * KILL_LANES + label->lane;
    for (uint32_t at = 0; at < label->data_size; at += 8) {
        word = kill_mix(word + at);
        memcpy(data + at, &word, sizeof word);
    }
}

#endif
