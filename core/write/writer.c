/* writer.c - set-up, tear-down and hooks of the writer. See writer.h. */
#include "core/write/writer.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/base/error.h"

void dw_writer_init_ways(struct dw_writer *writer, uint32_t sector_size)
{
    writer->append_one = dw_append_quickest(sector_size, false);
    writer->commit_one = dw_append_quickest(sector_size, true);
}

int dw_writer_init(struct dw_writer *writer, struct dw_store *store, const struct dw_geometry *geometry,
                   const struct dw_identity *identity, const struct dw_writer_options *options)
{
    dw_assert(options->in_flight_writes >= 1 && options->in_flight_writes <= DW_IN_FLIGHT_MAX);
    dw_assert(options->write_blocks_max >= 1);
    memset(writer, 0, sizeof *writer);
    dw_writer_init_ways(writer, geometry->sector_size);
    writer->store = store;
    writer->options = *options;
    dw_durable_init(&writer->durable, geometry, options->next_block, options->durable_callback,
                    options->durable_context);
    if (dw_ring_init(&writer->ring, geometry, identity, options->arena, options->ring_size, options->next_block) < 0) {
        dw_durable_destroy(&writer->durable);
        return dw_fail(DWAL_EMEMORY, "no memory for a ring of %llu bytes", (unsigned long long)options->ring_size);
    }
    dw_tick_init(&writer->flush.tick, !options->lets_tick_stop && !options->is_single_stepped);
    writer->flush.next_block = options->next_block;
    writer->flush.marker_block = options->next_block; /* nothing of ours to witness yet */
    atomic_init(&writer->want, dw_lsn_of_block(geometry, options->next_block));
    dw_ring_update_limit(&writer->ring, dw_store_space(store));
    return 0;
}

void dw_writer_destroy(struct dw_writer *writer)
{
    dw_assert(writer->flush.queue == NULL);
    dw_tick_close(&writer->flush.tick);
    dw_ring_destroy(&writer->ring);
    dw_durable_destroy(&writer->durable);
}

void dw_writer_fail(struct dw_writer *writer, const struct dwal_error *error)
{
    dw_durable_fail(&writer->durable, error);
    dw_ring_close(&writer->ring);
    dw_event_notify(&writer->room);
    dw_event_notify(&writer->work);
}

void dw_writer_on_space(struct dw_writer *writer)
{
    dw_ring_update_limit(&writer->ring, dw_store_space(writer->store));
    dw_event_notify(&writer->room);
    dw_event_notify(&writer->work); /* a flusher that stood at the end of the last volume goes on */
}

bool dw_writer_count_stall(struct dw_writer *writer, uint64_t start_ns)
{
    uint64_t counted = atomic_load_explicit(&writer->stall_counted_ns, memory_order_relaxed);
    while (counted < start_ns) { /* the maker looks at the oldest write, and writes begin one after another */
        if (atomic_compare_exchange_weak_explicit(&writer->stall_counted_ns, &counted, start_ns, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            dw_count(&writer->counts.stalls, 1);
            return true;
        }
    }
    return false;
}

_Static_assert(DWAL_STAGE_COMMIT == DWAL_STAGE_WAKE + 1 && DWAL_STAGE_COUNT == DWAL_STAGE_COMMIT + 1,
               "what callers count comes last");

void dw_writer_copy_stage(const struct dw_writer *writer, enum dwal_stage stage, struct dwal_histogram *copy)
{
    if (stage < DWAL_STAGE_WAKE) {
        dw_histogram_copy(&writer->stages[stage], copy);
        return;
    }
    memset(copy, 0, sizeof *copy);
    for (const struct dw_caller_stages *part = writer->callers; part < writer->callers + DW_CALLER_PARTS; part++)
        dw_histogram_add(stage == DWAL_STAGE_WAKE ? &part->wake : &part->commit, copy);
}

int dw_flusher_start(struct dw_writer *writer)
{
    struct dw_disk *disk = dw_store_disk(writer->store);
    struct dw_queue_options options = {
        .kind = writer->options.queue_kind,
        .depth = writer->options.in_flight_writes,
        .ring_memory = writer->ring.bytes,
        .ring_size = writer->ring.bytes_size,
        .is_shared = disk->is_queue_better,
    };
    int result = disk->ops->queue_create(disk, &options, &writer->flush.queue);
    if (result < 0)
        return dw_fail_system(result, "making the %s queue of writes failed",
                              writer->options.queue_kind ? writer->options.queue_kind : "default");
    writer->flush.is_queue_for_all = disk->is_queue_better && !writer->flush.queue->ops->is_synchronous;
    return 0;
}

void dw_flusher_finish(struct dw_writer *writer)
{
    struct dw_queue *queue = writer->flush.queue;
    if (!queue)
        return;
    while (queue->in_flight > 0)
        queue->ops->reap(queue, true);
    writer->flush.flight_count = 0;
    queue->ops->close(queue);
    writer->flush.queue = NULL;
}

bool dw_writer_copy_block(void *context, uint64_t block, void *target)
{
    struct dw_writer *writer = context;
    return dw_ring_copy_block(&writer->ring, block, target);
}

uint64_t dw_writer_durable_block(void *context)
{
    struct dw_writer *writer = context;
    return dw_durable_block(&writer->durable);
}
