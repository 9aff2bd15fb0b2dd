/* host_program.c - a program that has a log in it, in several kinds: compiled and run by test_host.c.
 *
 *     (plain)           linked with libdwal: its malloc is libc's, and jemalloc is nowhere
 *     OWN_MALLOC        brings a malloc of its own: it keeps it, and dwal uses it
 *     WITH_JEMALLOC     linked with jemalloc as well: dwal's memory lies in an arena of its own, the program's does not
 *     BY_DLOPEN         not linked with libdwal: loads it, uses it, unloads it, several times (with or without jemalloc)
 * Usage: host_program DIRECTORY [LIBRARY]. Exit status 0: all is as it should be; else a line says what is not. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <dwal/dwal.h>

#define CHECK(fact)                                                                                                    \
    do {                                                                                                               \
        if (!(fact)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- the library, linked or loaded ---- */

struct calls {
    void *library;
    __typeof__(dwal_create) *create;
    __typeof__(dwal_open) *open;
    __typeof__(dwal_commit) *commit;
    __typeof__(dwal_cursor_open) *cursor_open;
    __typeof__(dwal_cursor_next) *cursor_next;
    __typeof__(dwal_cursor_close) *cursor_close;
    __typeof__(dwal_close) *close;
};

#ifdef BY_DLOPEN
static void look_up(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    CHECK(found);
    memcpy(function, &found, sizeof found);
}
static struct calls load(const char *path)
{
    struct calls calls = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (!calls.library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(calls.library);
    look_up(calls.library, "dwal_create", &calls.create);
    look_up(calls.library, "dwal_open", &calls.open);
    look_up(calls.library, "dwal_commit", &calls.commit);
    look_up(calls.library, "dwal_cursor_open", &calls.cursor_open);
    look_up(calls.library, "dwal_cursor_next", &calls.cursor_next);
    look_up(calls.library, "dwal_cursor_close", &calls.cursor_close);
    look_up(calls.library, "dwal_close", &calls.close);
    return calls;
}
static void unload(const struct calls *calls, const char *path)
{
    CHECK(dlclose(calls->library) == 0);
    CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL); /* it is really gone */
}
#else
static struct calls load(const char *path)
{
    (void)path;
    return (struct calls){.create = dwal_create,
                          .open = dwal_open,
                          .commit = dwal_commit,
                          .cursor_open = dwal_cursor_open,
                          .cursor_next = dwal_cursor_next,
                          .cursor_close = dwal_cursor_close,
                          .close = dwal_close};
}
static void unload(const struct calls *calls, const char *path)
{
    (void)calls, (void)path;
}
#endif

/* ---- whose malloc is it ---- */

#ifdef OWN_MALLOC
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);
void *__libc_memalign(size_t alignment, size_t size);
static atomic_ulong own_count;
static unsigned long own_count_before;

void *malloc(size_t size)
{
    atomic_fetch_add(&own_count, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&own_count, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&own_count, 1);
    return __libc_realloc(memory, size);
}
void free(void *memory)
{
    __libc_free(memory);
}
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add(&own_count, 1);
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}
#endif

#ifdef WITH_JEMALLOC
#include <jemalloc/jemalloc.h>

static unsigned arenas(void)
{
    unsigned count = 0;
    size_t size = sizeof count;
    CHECK(mallctl("arenas.narenas", &count, &size, NULL, 0) == 0);
    return count;
}
/* Bytes that are in use in this arena. */
static size_t arena_bytes(unsigned arena)
{
    uint64_t epoch = 1;
    size_t size = sizeof epoch, small = 0, large = 0;
    char name[64];
    CHECK(mallctl("epoch", &epoch, &size, &epoch, sizeof epoch) == 0);
    size = sizeof small;
    snprintf(name, sizeof name, "stats.arenas.%u.small.allocated", arena);
    CHECK(mallctl(name, &small, &size, NULL, 0) == 0);
    snprintf(name, sizeof name, "stats.arenas.%u.large.allocated", arena);
    CHECK(mallctl(name, &large, &size, NULL, 0) == 0);
    return small + large;
}
static unsigned arena_of(void *memory)
{
    unsigned arena = 0;
    size_t size = sizeof arena;
    CHECK(mallctl("arenas.lookup", &arena, &size, &memory, sizeof memory) == 0);
    return arena;
}
#endif

/* The file that `malloc` comes from, as any caller in this process finds it. */
static const char *home_of_malloc(void)
{
    Dl_info facts = {0};
    void *(*function)(size_t) = malloc;
    void *address = NULL;
    memcpy(&address, &function, sizeof address);
    CHECK(dladdr(address, &facts) != 0);
    return facts.dli_fname;
}

static void check_before(unsigned *arena_count)
{
    *arena_count = 0;
#ifdef WITH_JEMALLOC
    CHECK(strstr(home_of_malloc(), "libjemalloc"));
    *arena_count = arenas();
#elif defined(OWN_MALLOC)
    CHECK(!strstr(home_of_malloc(), "libc.so"));
    CHECK(dlsym(RTLD_DEFAULT, "mallocx") == NULL);
    own_count_before = atomic_load(&own_count);
#else
    CHECK(strstr(home_of_malloc(), "libc.so"));
    CHECK(dlsym(RTLD_DEFAULT, "mallocx") == NULL);
#endif
}

static void check_open(unsigned arena_count)
{
#ifdef WITH_JEMALLOC
    CHECK(arenas() <= arena_count + 1); /* one for dwal; or the number of one that was given back */
    unsigned arena = arenas() - 1;
    CHECK(arena_bytes(arena) > 100000); /* dwal's handle alone is larger */
    void *mine = malloc(1000);
    CHECK(mine && arena_of(mine) != arena); /* the program's own memory goes elsewhere */
    free(mine);
#else
    (void)arena_count;
#endif
#ifdef OWN_MALLOC
    CHECK(atomic_load(&own_count) > own_count_before + 5); /* dwal's handle, its store, the disk, the cursor, ... */
#endif
}

static void check_closed(void)
{
#if defined(WITH_JEMALLOC) && !defined(BY_DLOPEN)
    CHECK(arena_bytes(arenas() - 1) == 0); /* all of it was given back */
#endif
#if !defined(WITH_JEMALLOC) && !defined(OWN_MALLOC)
    CHECK(strstr(home_of_malloc(), "libc.so"));
    CHECK(dlsym(RTLD_DEFAULT, "mallocx") == NULL); /* dwal brought none */
#endif
}

static void use_log(const struct calls *calls, const char *path, unsigned arena_count, int round)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.ring_size = 256 << 10;
    options.write_size_max = 32 << 10;
    options.blanks = 1;
    if (round == 0)
        CHECK(calls->create(path, &options) == 0);
    dwal *log = NULL;
    CHECK(calls->open(path, &options, &log) == 0);
    char text[32] = "a line of a host program";
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (int i = 0; i < 50; i++)
        CHECK(calls->commit(log, &entry, NULL, NULL) == 0);
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    CHECK(calls->cursor_open(log, 0, &cursor) == 0);
    for (int i = 0; i < 50 * (round + 1); i++)
        CHECK(calls->cursor_next(cursor, &record) == 0 && record.data_size == sizeof text);
    check_open(arena_count);
    calls->cursor_close(cursor);
    CHECK(calls->close(log) == 0);
}

int main(int argument_count, char **arguments)
{
    CHECK(argument_count >= 2);
    const char *library = argument_count > 2 ? arguments[2] : "";
    char path[600];
    snprintf(path, sizeof path, "%s/log", arguments[1]);
    unsigned arena_count;
    check_before(&arena_count);
    for (int round = 0; round < 4; round++) {
        struct calls calls = load(library);
        use_log(&calls, path, arena_count, round);
        check_closed();
        unload(&calls, library);
    }
    puts("good");
    return 0;
}
