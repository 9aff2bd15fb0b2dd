/* test_io_sim_conformance.c - the simulated disk passes the suite that every disk must pass, with both kinds of queue. */
#include <stddef.h>

#include "io/sim.h"
#include "tests/lib/io_conformance.h"

static int make(void *context, struct dw_disk **disk)
{
    return dw_sim_open(context, disk);
}

static void unmake(void *context, struct dw_disk *disk)
{
    (void)context;
    disk->ops->close(disk);
}

int main(void)
{
    static struct dw_sim_options plain = {.seed = 1};
    static struct dw_sim_options without_history = {.seed = 2, .is_history_off = true};
    static const struct dw_io_subject subjects[] = {
        {.name = "sim/sim", .queue_kind = "sim", .context = &plain, .make = make, .unmake = unmake},
        {.name = "sim/sync", .queue_kind = "sync", .context = &plain, .make = make, .unmake = unmake},
        {.name = "sim/sim without history",
         .queue_kind = "sim",
         .context = &without_history,
         .make = make,
         .unmake = unmake},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        failed += dw_io_conformance_run(&subjects[i]);
    return failed;
}
