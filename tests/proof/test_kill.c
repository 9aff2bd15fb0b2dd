/* test_kill.c - SIGKILL a writer, again and again, on a real file system: what was acknowledged is there, in order, with its
 * content, and what was seen once after a crash never changes or goes away again.
 *
 * The judge is the parent: it remembers every entry that the log ever showed and every acknowledgement that came through
 * the pipe, kills at a random moment, opens the log and compares. Half of the looks are read-only, so that the next
 * writer meets the crash itself; the other half recover, sometimes trim, and close. DWAL_KILLS (default 50) is the count
 * for each backend; DWAL_SEED repeats a run's choices, though not its timing. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>
#include <dwal/inspect.h>

#include "tests/lib/io_place.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"
#include "tests/proof/kill_writer.h"

struct seen { /* one entry as the log showed it */
    uint64_t lsn, sequence;
    uint32_t lane;
};
struct judge {
    char place[DW_TMPDIR_SIZE];
    char path[DW_TMPDIR_SIZE + 8];
    const char *backend;
    uint64_t random;

    struct seen *known; /* every entry the log has shown, trimmed ones too */
    size_t known_count, known_room;
    uint64_t next[KILL_LANES];    /* next sequence number of each lane */
    uint64_t *lsn_of[KILL_LANES]; /* by sequence number */
    size_t lsn_room[KILL_LANES];
    struct kill_ack *acks; /* of this turn */
    size_t ack_count, ack_room;

    uint64_t acknowledged, unacknowledged, torn, trims, busy;
};

static uint64_t draw(struct judge *judge, uint64_t below)
{
    judge->random = kill_mix(judge->random + UINT64_C(0x9e3779b97f4a7c15));
    return judge->random % below;
}

static void *grow(void *memory, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return memory;
    *room = needed * 2 + 1024;
    memory = realloc(memory, *room * size);
    assert_non_null(memory);
    return memory;
}

/* ---- one life of the writer ----------------------------------------------------------------------------------------*/

static pid_t start_writer(const struct judge *judge, int pipe)
{
    char numbers[KILL_LANES + 1][24];
    snprintf(numbers[KILL_LANES], sizeof numbers[0], "%d", pipe);
    for (int lane = 0; lane < KILL_LANES; lane++)
        snprintf(numbers[lane], sizeof numbers[0], "%llu", (unsigned long long)judge->next[lane]);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_kill", "write", judge->path, judge->backend, numbers[KILL_LANES], numbers[0],
              numbers[1], numbers[2], numbers[3], (char *)NULL);
        _exit(1);
    }
    return child;
}

static void read_acks(struct judge *judge, int pipe)
{
    for (;;) {
        judge->acks = grow(judge->acks, &judge->ack_room, judge->ack_count + 1, sizeof *judge->acks);
        ssize_t got = read(pipe, &judge->acks[judge->ack_count], sizeof *judge->acks);
        if (got <= 0)
            break;
        assert_int_equal(got, sizeof *judge->acks);
        judge->ack_count++;
    }
}

static void live_and_be_killed(struct judge *judge)
{
    int ends[2];
    assert_int_equal(pipe2(ends, 0), 0);
    assert_int_equal(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    pid_t child = start_writer(judge, ends[1]);
    close(ends[1]);
    struct pollfd first = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&first, 1, 60000), 1); /* the first acknowledgement, or the writer's end */
    nanosleep(&(struct timespec){.tv_nsec = (long)(1000000 + draw(judge, 60000000))}, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the writer ended by itself: status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
    judge->ack_count = 0;
    read_acks(judge, ends[0]);
    close(ends[0]);
    judge->acknowledged += judge->ack_count;
}

/* ---- the comparison ------------------------------------------------------------------------------------------------*/

static struct seen check_content(const struct dwal_record *record)
{
    static unsigned char wanted[KILL_DATA_MAX + 8];
    struct kill_label label;
    assert_int_equal(record->metadata_size, sizeof label);
    memcpy(&label, record->metadata, sizeof label);
    assert_true(label.lane < KILL_LANES);
    struct kill_label right = kill_label_of(label.lane, label.sequence);
    assert_memory_equal(&label, &right, sizeof label);
    assert_int_equal(record->data_size, label.data_size);
    kill_data_of(&label, wanted);
    if (label.data_size > 0)
        assert_memory_equal(record->data, wanted, label.data_size);
    return (struct seen){.lsn = record->lsn, .sequence = label.sequence, .lane = label.lane};
}

static void learn(struct judge *judge, const struct seen *entry)
{
    assert_int_equal(entry->sequence, judge->next[entry->lane]);
    if (judge->known_count > 0)
        assert_true(entry->lsn > judge->known[judge->known_count - 1].lsn);
    judge->known = grow(judge->known, &judge->known_room, judge->known_count + 1, sizeof *judge->known);
    judge->known[judge->known_count++] = *entry;
    uint64_t **lsns = &judge->lsn_of[entry->lane];
    *lsns = grow(*lsns, &judge->lsn_room[entry->lane], entry->sequence + 1, sizeof **lsns);
    (*lsns)[entry->sequence] = entry->lsn;
    judge->next[entry->lane]++;
}

/* The log shows what it showed before, from its first lsn on, and then new entries, each lane's in order. */
static void check_log(struct judge *judge, dwal *log)
{
    size_t at = 0;
    while (at < judge->known_count && judge->known[at].lsn < dwal_first(log))
        at++;
    size_t before = judge->known_count;
    dwal_cursor *cursor;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    struct dwal_record record;
    int result;
    for (; (result = dwal_cursor_next(cursor, &record)) == 0; at++) {
        struct seen entry = check_content(&record);
        if (at >= before) {
            learn(judge, &entry);
            continue;
        }
        assert_int_equal(entry.lsn, judge->known[at].lsn);
        assert_int_equal(entry.lane, judge->known[at].lane);
        assert_int_equal(entry.sequence, judge->known[at].sequence);
    }
    if (result != DWAL_EEND)
        fail_msg("the cursor stopped: %s", dwal_last_error()->text);
    assert_true(at >= before); /* nothing that was seen before is missing */
    dwal_cursor_close(cursor);
    assert_int_equal(judge->next[KILL_BATCH] % KILL_BATCH_COUNT, 0); /* no part of a batch */
    judge->unacknowledged += judge->known_count - before - judge->ack_count;
}

static void check_acks(const struct judge *judge)
{
    for (size_t i = 0; i < judge->ack_count; i++) {
        const struct kill_ack *ack = &judge->acks[i];
        if (ack->sequence >= judge->next[ack->lane])
            fail_msg("LOST: lane %llu entry %llu was acknowledged at lsn %llu", (unsigned long long)ack->lane,
                     (unsigned long long)ack->sequence, (unsigned long long)ack->lsn);
        assert_int_equal(ack->lsn, judge->lsn_of[ack->lane][ack->sequence]);
    }
}

/* The kernel may still be finishing the writes of a ring whose process is gone, and holds its locks until then: dwal
 * waits a moment for that and then answers DWAL_EBUSY, as it must; whoever restarts a process tries again. */
static dwal *open_after_kill(struct judge *judge, const struct dwal_options *options)
{
    dwal *log = NULL;
    for (int turn = 0; turn < 40; turn++) {
        int result = dwal_open(judge->path, options, &log);
        if (result == 0)
            return log;
        if (result != DWAL_EBUSY)
            break;
        judge->busy++;
    }
    fail_msg("open after a kill: %s", dwal_last_error()->text);
    return NULL;
}

static void look(struct judge *judge)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    bool is_writer = draw(judge, 2) == 0;
    options.mode = is_writer ? DWAL_WRITE : DWAL_READ_ONLY;
    options.backend = judge->backend;
    dwal *log = open_after_kill(judge, &options);
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_get_report(log, &report), 0);
    if (report.verdict == DWAL_VERDICT_TORN)
        judge->torn++;
    else
        assert_int_equal(report.verdict, DWAL_VERDICT_END);
    check_log(judge, log);
    check_acks(judge);
    uint64_t live = dwal_durable(log) - dwal_first(log);
    if (is_writer && live > 6 << 20) { /* keep a few volumes */
        size_t middle = judge->known_count - 1;
        while (middle > 0 && judge->known[middle].lsn > dwal_durable(log) - (2 << 20))
            middle--;
        assert_int_equal(dwal_trim(log, judge->known[middle].lsn), 0);
        judge->trims++;
    }
    if (dwal_close(log) != 0)
        fail_msg("close: %s", dwal_last_error()->text);
}

/* ---- the test ------------------------------------------------------------------------------------------------------*/

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

static void make_log(struct judge *judge, const char *backend)
{
    dw_tmpdir_make(judge->place, "kill");
    snprintf(judge->path, sizeof judge->path, "%s/log", judge->place);
    judge->backend = backend;
    judge->random = setting("DWAL_SEED", (unsigned long)time(NULL));
    print_message("%s: DWAL_SEED=%llu\n", backend, (unsigned long long)judge->random);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.blanks = 3;
    if (dwal_create(judge->path, &options) != 0)
        fail_msg("create: %s", dwal_last_error()->text);
}

static void kill_again_and_again(const char *backend)
{
    static struct judge judge;
    memset(&judge, 0, sizeof judge);
    unsigned long kills = setting("DWAL_KILLS", 50);
    make_log(&judge, backend);
    for (unsigned long i = 0; i < kills; i++) {
        live_and_be_killed(&judge);
        look(&judge);
    }
    print_message("%s: %lu kills, %llu acknowledged, 0 lost, %llu more were there, %llu torn ends, %llu trims, "
                  "%llu times busy\n",
                  backend, kills, (unsigned long long)judge.acknowledged, (unsigned long long)judge.unacknowledged,
                  (unsigned long long)judge.torn, (unsigned long long)judge.trims, (unsigned long long)judge.busy);
    assert_true(judge.acknowledged > kills);
    for (int lane = 0; lane < KILL_LANES; lane++)
        free(judge.lsn_of[lane]);
    free(judge.known);
    free(judge.acks);
    dw_tmpdir_remove(judge.place);
}

static void nothing_acknowledged_is_lost_by_a_kill_with_sync(void **state)
{
    (void)state;
    kill_again_and_again("sync");
}

static void nothing_acknowledged_is_lost_by_a_kill_with_uring(void **state)
{
    (void)state;
    kill_again_and_again("uring");
}

static void nothing_acknowledged_is_lost_by_a_kill_with_aio(void **state)
{
    (void)state;
    if (!dw_place_has_queue("aio")) {
        print_message("this kernel forbids aio\n");
        skip();
    }
    kill_again_and_again("aio");
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 5 + KILL_LANES && strcmp(arguments[1], "write") == 0)
        kill_writer_run(arguments + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_by_a_kill_with_sync),
        cmocka_unit_test(nothing_acknowledged_is_lost_by_a_kill_with_uring),
        cmocka_unit_test(nothing_acknowledged_is_lost_by_a_kill_with_aio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
