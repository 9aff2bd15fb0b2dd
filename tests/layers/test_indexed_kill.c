/* test_indexed_kill.c - a process that stores and truncates is killed at any moment, on real files; what it was told is there.
 *
 * The child tells the parent through a pipe what it is about to do and what it was told is done. After the kill the log must be
 * as after the last call that was done, or as after the one that had begun. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/indexed_kit.h"

#ifdef DW_SANITIZED
enum { KILLS = 4 };
#else
enum { KILLS = 25 };
#endif
enum { INDEX_MAX = 1 << 20 };

enum kind { STORE, FRONT, BACK, RESET, SET };
struct word {
    uint32_t is_done, kind, generation, zero;
    uint64_t from, to;
};

/* What the log should hold. */
struct content {
    uint64_t first, last, value; /* empty: last < first */
    struct word last_store;      /* the only entries that may have another generation when the call is undone */
};
static uint32_t generations[INDEX_MAX];

static uint64_t step(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* ---- the child ---- */

static struct word choose(const struct content *content, uint64_t *random, uint32_t generation)
{
    uint64_t count = content->last + 1 - content->first, kind = step(random) % 100;
    struct word word = {.kind = STORE, .generation = generation};
    if (kind < 4 && count > 1000)
        word = (struct word){.kind = FRONT, .from = content->first + step(random) % count};
    else if (kind < 8 && count > 50)
        word = (struct word){.kind = BACK, .from = content->last - step(random) % 50};
    else if (kind < 12)
        word = (struct word){.kind = SET, .from = generation};
    else if (kind == 12 && count > 500)
        word = (struct word){.kind = RESET};
    word.to = content->last + 1 + step(random) % 40;
    return word;
}

static void do_word(dwal_indexed *log, const struct content *content, const struct word *word)
{
    int result = 0;
    if (word->kind == STORE)
        dw_indexed_kit_store(log, content->last + 1, word->to, word->generation, 64);
    else if (word->kind == FRONT)
        result = dwal_indexed_truncate_front(log, word->from);
    else if (word->kind == BACK)
        result = dwal_indexed_truncate_back(log, word->from);
    else if (word->kind == RESET)
        result = dwal_indexed_reset(log);
    else
        result = dwal_indexed_set_u64(log, "k", 1, word->from);
    if (result != 0)
        _exit(1);
}

static void apply(struct content *content, const struct word *word)
{
    if (word->kind == STORE) {
        content->last_store = *word;
        content->last_store.from = content->last + 1;
        content->last = word->to;
    } else if (word->kind == FRONT) {
        content->first = word->from;
    } else if (word->kind == BACK) {
        content->last = word->from;
    } else if (word->kind == RESET) {
        content->first = content->last + 1;
    } else {
        content->value = word->from;
    }
}

static void __attribute__((noreturn)) run_child(struct content content, uint64_t random, int pipe_fd)
{
    dwal_indexed *log = dw_indexed_kit_open();
    uint32_t generation = (uint32_t)random;
    for (;;) {
        struct word word = choose(&content, &random, ++generation);
        if (write(pipe_fd, &word, sizeof word) != sizeof word)
            _exit(1);
        do_word(log, &content, &word);
        apply(&content, &word);
        word.is_done = 1;
        if (write(pipe_fd, &word, sizeof word) != sizeof word)
            _exit(1);
    }
}

/* ---- the parent ---- */

static bool bounds_are(dwal_indexed *log, const struct content *content)
{
    uint64_t first, last, value;
    assert_int_equal(dwal_indexed_bounds(log, &first, &last), 0);
    assert_int_equal(dwal_indexed_value_u64(log, "k", 1, &value), 0);
    bool is_empty = content->last < content->first;
    return value == content->value && (is_empty ? last == 0 : first == content->first && last == content->last);
}

static void note(const struct word *word, uint64_t from)
{
    for (uint64_t index = from; word->kind == STORE && index <= word->to; index++)
        generations[index % INDEX_MAX] = word->generation;
}

/* Let it live for a while; *done is moved on, *begun is the call that was under way, if any. */
static bool watch(int pipe_fd, pid_t child, uint64_t life_ns, struct content *done, struct word *begun)
{
    struct word word;
    bool is_begun = false;
    struct timespec pause = {.tv_nsec = (long)life_ns};
    nanosleep(&pause, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(pipe_fd, &word, sizeof word) == sizeof word) {
        is_begun = !word.is_done;
        if (word.is_done) {
            note(&word, done->last + 1);
            apply(done, &word);
        }
        *begun = word;
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* and not ended by itself */
    return is_begun;
}

static void check_after_kill(struct content *done, bool is_begun, const struct word *begun)
{
    dwal_indexed *log = dw_indexed_kit_open();
    struct content other = *done;
    if (is_begun)
        apply(&other, begun);
    if (is_begun && !bounds_are(log, done)) {
        note(begun, done->last + 1);
        *done = other;
    }
    if (!bounds_are(log, done))
        fail_msg("after a kill the log has %llu to %llu, the last call left %llu to %llu",
                 (unsigned long long)dwal_indexed_first(log), (unsigned long long)dwal_indexed_last(log),
                 (unsigned long long)done->first, (unsigned long long)done->last);
    for (uint64_t index = done->first; index <= done->last; index++)
        dw_indexed_kit_expect(log, index, generations[index % INDEX_MAX]);
    dw_indexed_kit_close(log);
}

static void what_a_killed_process_was_told_is_there(void **state)
{
    (void)state;
    struct content done = {.first = 1};
    uint64_t random = 20261120, calls = 0;
    dw_indexed_kit_close(dw_indexed_kit_create());
    for (int round = 0; round < KILLS; round++) {
        int ends[2];
        struct word begun = {0};
        assert_int_equal(pipe(ends), 0);
        uint64_t seed = step(&random) | 1, life_ns = 10000000 + step(&random) % 120000000;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            run_child(done, seed, ends[1]);
        }
        close(ends[1]);
        uint64_t before = done.last;
        bool is_begun = watch(ends[0], child, life_ns, &done, &begun);
        close(ends[0]);
        calls += done.last != before;
        check_after_kill(&done, is_begun, &begun);
    }
    assert_true(calls > KILLS / 2);
    assert_true(done.last > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {DW_LOG_KIT_TEST(what_a_killed_process_was_told_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
