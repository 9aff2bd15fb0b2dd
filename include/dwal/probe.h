/* dwal/probe.h - what a place is like for a log: its facts, how long durable writes take there, what dwal would choose
 * and why. For operators, tools and the curious; dwal_open chooses by the same rules (options.backend NULL).
 *
 * A place is a directory (of a log, or for one) or a block device. In a directory the measurement writes to a temporary
 * file without a name, which is gone whatever happens. A block device is written only when all that would be touched is
 * proved blank (no signature, nobody uses it, it reads as zeros), and then only with zeros; else its facts are told.
 * Nothing here opens a log or takes a log's lock. Calls may come from any thread; they allocate and take their time. */
#ifndef DWAL_PROBE_H
#define DWAL_PROBE_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

/* ---- facts ---------------------------------------------------------------------------------------------------------*/

enum dwal_mark { /* how much a fact matters */
                 DWAL_MARK_PLAIN = 0,
                 DWAL_MARK_NOTICE = 1, /* costs something, or is worth knowing */
                 DWAL_MARK_ALARM = 2,  /* durability is in doubt */
};
struct dwal_fact {
    enum dwal_mark mark;
    char name[32];    /* for programs, stable: "write_cache" */
    char label[40];   /* for people: "volatile write cache" */
    char value[96];   /* "write back" */
    char source[128]; /* where that stands: "/sys/block/vda/queue/write_cache" */
    char note[200];   /* what it means for a log here; "" when that is plain */
};

/* ---- measurements --------------------------------------------------------------------------------------------------*/

/* How a write is made durable: by itself (RWF_DSYNC; passthrough: the FUA bit), or an ordinary one and then fdatasync. */
enum dwal_way { DWAL_WAY_DSYNC = 0, DWAL_WAY_FLUSH = 1 };
struct dwal_timing {
    char backend[12]; /* "sync", "uring", "aio", "nvme", "nvme-poll" */
    enum dwal_way way;
    bool is_unwritten; /* into extents that were allocated and never written */
    uint32_t size;     /* bytes of one write */
    int system_error;  /* errno: why there are no figures; 0 */
    uint32_t count;    /* trials, all interleaved with those of the other rows */
    uint64_t p50_ns, p90_ns, p99_ns, max_ns;
};

/* ---- the choice ----------------------------------------------------------------------------------------------------*/

enum dwal_chosen_by {
    DWAL_CHOSEN_BY_FACTS = 0,       /* nothing was measured: by what kernel and device say of themselves */
    DWAL_CHOSEN_BY_MEASUREMENT = 1, /* measured by this process */
    DWAL_CHOSEN_BY_CACHE = 2,       /* measured earlier, and kept */
    DWAL_CHOSEN_BY_ENVIRONMENT = 3, /* the variable DWAL_BACKEND */
    DWAL_CHOSEN_BY_OPTION = 4,      /* options.backend */
};
enum { DWAL_REASONS_MAX = 10, DWAL_CHOICE_TIMINGS_MAX = 16, DWAL_BACKENDS_MAX = 4 };
struct dwal_choice {
    size_t size; /* sizeof(struct dwal_choice) */
    enum dwal_chosen_by chosen_by;
    char backend[12];                  /* the first that is tried */
    char order[DWAL_BACKENDS_MAX][12]; /* what is tried, in this order, when one is forbidden */
    uint32_t order_count;
    enum dwal_way way;
    uint32_t write_size_max;   /* largest single write; 0: not learned, the default holds */
    uint32_t block_size;       /* default of a log that is created here */
    bool is_stale;             /* device latencies drifted since: the next open measures again */
    uint64_t measured_time_ns; /* of the real-time clock; 0: never */
    uint32_t reason_count;
    char reasons[DWAL_REASONS_MAX][240]; /* whole sentences, the weightiest first */
    uint32_t timing_count;
    struct dwal_timing timings[DWAL_CHOICE_TIMINGS_MAX]; /* what it rests on */
};
const char *dwal_chosen_by_text(enum dwal_chosen_by chosen_by); /* "measured now", ...; static text */

/* ---- probe ---------------------------------------------------------------------------------------------------------*/

struct dwal_probe_options {
    size_t size;                       /* sizeof(struct dwal_probe_options) */
    uint64_t time_ns;                  /* for measuring; default 5 s; UINT64_MAX: no measurement, facts alone */
    bool is_unsafe_buffered;           /* as in struct dwal_options */
    bool (*is_stopped)(void *context); /* asked between writes: true ends the measurement early; may be NULL */
    void *context;
};
enum { DWAL_FACTS_MAX = 64, DWAL_TIMINGS_MAX = 48 };
struct dwal_probe {
    size_t size; /* sizeof(struct dwal_probe) */
    bool is_device;
    uint32_t fact_count;
    struct dwal_fact facts[DWAL_FACTS_MAX];
    uint32_t timing_count;
    struct dwal_timing timings[DWAL_TIMINGS_MAX];
    uint64_t rounds;           /* of trials: each row is tried once in each */
    uint64_t elapsed_ns;       /* of the measurement */
    char where[160];           /* what was written to, in words */
    char not_measured[240];    /* why nothing was measured; "" when something was */
    struct dwal_choice choice; /* what dwal_open would choose by these figures */
};

/* Look at `path` and measure there. `options` may be NULL. Blocks for options->time_ns and a little. Returns 0 when there
 * are facts, measured or not. DWAL_EARGUMENT (neither directory nor block device), DWAL_ENOLOG (nothing is there),
 * DWAL_EPERMISSION, DWAL_EDEVICE, DWAL_EMEMORY. */
int dwal_probe(const char *path, const struct dwal_probe_options *options, struct dwal_probe *probe);

/* What dwal_open with `options` (may be NULL) would choose for `path` by what is known already: measures nothing. DWAL_EARGUMENT
 * (choice->size, or what $DWAL_BACKEND says), DWAL_ENOLOG, DWAL_EPERMISSION, DWAL_EUNSUPPORTED, DWAL_EMEMORY. */
int dwal_foresee_choice(const char *path, const struct dwal_options *options, struct dwal_choice *choice);
/* What was chosen when this log was opened; is_stale when latencies drifted since. Only of a writer, else DWAL_EREADONLY.
 * DWAL_EARGUMENT: choice->size. */
int dwal_get_choice(const dwal *log, struct dwal_choice *choice);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
