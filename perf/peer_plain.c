/* peer_plain.c - what a careful programmer writes in an afternoon: group commit over one prewritten file, nothing else.
 *
 * Callers queue up; the first becomes the leader, copies what all of them brought behind one another, writes it with one
 * O_DIRECT | O_DSYNC write padded to 4 KiB, and wakes the others. No checksum, no record that a reader could find, no volumes, no
 * recovery: a bound to measure against, not a log. VARIANT is ignored. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LOAD_IS_BOUNDED false
#include "perf/load.h"

enum { FILE_SIZE = 1 << 30, GROUP_MAX = 64 << 20, HEADER = 16 };

struct caller {
    const void *bytes;
    size_t size;
    struct caller *next;
    bool is_done;
    pthread_cond_t woken;
};

static int file;
static uint64_t place; /* the leader's */
static unsigned char *group;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct caller *first, *last;
static bool has_leader;

static void load_open(const struct load *load)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/plain", load->directory);
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, GROUP_MAX) != 0)
        load_stop("plain", "no memory");
    group = memory;
    memset(group, 0, GROUP_MAX);
    file = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    for (off_t at = 0; at < FILE_SIZE; at += GROUP_MAX)
        if (pwrite(file, group, GROUP_MAX, at) != GROUP_MAX)
            load_stop("plain", strerror(errno));
    if (fsync(file) != 0 || close(file) != 0)
        load_stop("plain", strerror(errno));
    file = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (file < 0)
        load_stop("plain", strerror(errno));
}

/* One durable write of what `queue` brought. */
static void write_group(const struct caller *queue)
{
    size_t size = 0;
    for (const struct caller *caller = queue; caller; caller = caller->next) {
        uint64_t header[2] = {caller->size, place};
        if (size + HEADER + caller->size > GROUP_MAX)
            load_stop("plain", "the group is too large");
        memcpy(group + size, header, HEADER);
        memcpy(group + size + HEADER, caller->bytes, caller->size);
        size += HEADER + caller->size;
    }
    size = (size + 4095) & ~(size_t)4095;
    if (place + size > FILE_SIZE)
        place = 0; /* stands for recycling */
    if (pwrite(file, group, size, (off_t)place) != (ssize_t)size)
        load_stop("plain", strerror(errno));
    place += size;
}

static void lead(struct caller *self)
{
    has_leader = true;
    struct caller *queue = first;
    first = last = NULL;
    pthread_mutex_unlock(&mutex);
    write_group(queue);
    pthread_mutex_lock(&mutex);
    has_leader = false;
    for (struct caller *caller = queue, *next; caller; caller = next) {
        next = caller->next;
        caller->is_done = true;
        if (caller != self)
            pthread_cond_signal(&caller->woken);
    }
    if (first)
        pthread_cond_signal(&first->woken);
}

static void load_commit(const void *bytes, size_t size)
{
    static _Thread_local struct caller self = {.woken = PTHREAD_COND_INITIALIZER};
    self.bytes = bytes;
    self.size = size;
    self.next = NULL;
    self.is_done = false;
    pthread_mutex_lock(&mutex);
    if (last)
        last->next = &self;
    else
        first = &self;
    last = &self;
    while (!self.is_done && has_leader)
        pthread_cond_wait(&self.woken, &mutex);
    if (!self.is_done)
        lead(&self);
    pthread_mutex_unlock(&mutex);
}

static void load_close(void)
{
    close(file);
    free(group);
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "plain");
}
