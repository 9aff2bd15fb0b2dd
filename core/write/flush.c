/* flush.c - the flush role: seal, stamp, issue, reap, publish, wake.
 *
 * Called by: whoever holds the role; the flusher's thread with a queue, a lone committer with one write that it awaits.
 * Happy path: seal the block that the tail stands in if somebody waits for it, write the longest complete run in one
 * durable write (split at the ring's end, the volume's end, the largest size and the in-flight limit), publish the new
 * durable block, start the next write, then wake. Greedy and self-clocking: nothing in flight -> write at once;
 * something in flight -> let the group grow, except for runs that are long already.
 * Failure: the first write that fails stops the log; it is never issued again. Writes that were in flight beside it are
 * reaped and forgotten: what they wrote lies behind a hole.
 * Rules owed to recovery: no block at distance >= L beyond the durable prefix; the watermark in a header is the contiguous
 * durable prefix of that moment; each place is written once per volume number, after the volume's header is durable. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/cancel.h"
#include "core/base/error.h"
#include "core/write/flush.h"

#define PREFETCH_BLOCKS_MAX 4u
#define ROUND_OFF_SHARE     16u /* no larger part of a volume than that, or one block, is left empty at its end */

/* ---- what may be written now ------------------------------------------------------------------------------------- */

/* The volume that holds `block`, if the flusher may write to it already: the head or the one claimed next. */
static struct dw_volume *volume_for(struct dw_writer *writer, uint64_t block)
{
    uint32_t number = dw_volume_of_block(&writer->ring.geometry, block);
    struct dw_volume *head = dw_store_head(writer->store);
    if (number == head->number)
        return head;
    struct dw_volume *next = dw_store_next(writer->store);
    return next && next->number == number ? next : NULL;
}

static uint64_t end_of_volume(const struct dw_writer *writer, const struct dw_volume *volume)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    return dw_first_block_of_volume(g, volume->number) + g->data_blocks;
}

/* Full volumes whose blocks are all durable are handed to the maker. */
static void advance_volumes(struct dw_writer *writer)
{
    for (;;) {
        struct dw_volume *head = dw_store_head(writer->store);
        if (dw_durable_block(&writer->durable) < end_of_volume(writer, head) || !dw_store_next(writer->store))
            return;
        dw_store_advance(writer->store);
    }
}

/* Seal the tail's block if somebody asked for bytes in it. */
static void seal_if_wanted(struct dw_writer *writer)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t want = atomic_load_explicit(&writer->want, memory_order_seq_cst); /* pairs: ROLE-WANT */
    uint64_t tail = atomic_load_explicit(&writer->ring.tail, memory_order_relaxed);
    if (want <= dw_lsn_of_block(g, dw_block_of_lsn(g, tail)))
        return;
    if (dw_ring_seal(&writer->ring))
        dw_count_in_role(&writer->counts.padded_blocks, 1);
}

/* How far a write from next_block on may reach in one piece, whatever is there to be written. */
static uint64_t end_of_piece(struct dw_writer *writer, const struct dw_volume *volume)
{
    uint64_t from = writer->flush.next_block;
    uint64_t limit = dw_min_u64(from + writer->options.write_blocks_max, (from | writer->ring.slot_mask) + 1);
    /* A reservation may be larger than the ring: from room_end on a slot still belongs to an earlier block, and that block is
     * complete. Only the role moves room_end. */
    limit = dw_min_u64(limit, atomic_load_explicit(&writer->ring.room_end, memory_order_relaxed));
    limit = dw_min_u64(limit, end_of_volume(writer, volume));
    return dw_min_u64(limit, dw_durable_block(&writer->durable) + volume->header.in_flight_blocks);
}

/* End of the longest run from next_block that is complete and may be written in one piece. *volume: where it goes. */
static uint64_t find_run(struct dw_writer *writer, struct dw_volume **volume)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t from = writer->flush.next_block;
    uint64_t tail_block = dw_block_of_lsn(g, atomic_load_explicit(&writer->ring.tail, memory_order_relaxed));
    if (from >= tail_block)
        return from;
    *volume = volume_for(writer, from);
    if (!*volume)
        return from;
    uint64_t limit = dw_min_u64(tail_block, end_of_piece(writer, *volume));
    uint64_t to = from;
    while (to < limit && dw_ring_is_complete(&writer->ring, to))
        to++;
    return to;
}

/* The next commit is probably as long as this run and the one before. If it would not fit into the volume any more, it would be
 * two writes, one behind the other: so the rest of the volume, when it is small and nobody has appended yet, goes out with
 * this run as markers, and the next commit begins the next volume. Returns the end of the run. */
static uint64_t round_off(struct dw_writer *writer, const struct dw_volume *volume, uint64_t from, uint64_t to)
{
    uint64_t expected = dw_min_u64(to - from, writer->flush.run_blocks), mask = writer->ring.slot_mask;
    /* Neither part of a run that the ring's end cut tells how long it was, and a marker tells nothing. */
    if ((from & mask) != 0 && (to & mask) != 0 && !dw_ring_slot(&writer->ring, from)->is_marker)
        writer->flush.run_blocks = to - from;
    uint64_t end = end_of_volume(writer, volume), rest = end - to;
    uint64_t most = dw_min_u64(DW_FLUSH_KNEE_BLOCKS, (writer->ring.geometry.data_blocks - 1) / ROUND_OFF_SHARE + 1);
    if (rest == 0 || rest >= expected || rest > most || end > end_of_piece(writer, volume))
        return to;
    /* Without a next one, what is left of this volume is needed. */
    if (!dw_store_next(writer->store) || !dw_ring_take_markers(&writer->ring, to, end))
        return to;
    dw_count_in_role(&writer->counts.markers, rest);
    return end;
}

/* What to write with nothing in flight. The same answers as find_run. */
static uint64_t take_run(struct dw_writer *writer, struct dw_volume **volume)
{
    seal_if_wanted(writer);
    uint64_t from = writer->flush.next_block, to = find_run(writer, volume);
    return to > from ? round_off(writer, *volume, from, to) : to;
}

bool dw_flush_can_write(struct dw_writer *writer)
{
    struct dw_volume *volume = NULL;
    advance_volumes(writer);
    return find_run(writer, &volume) > writer->flush.next_block;
}

/* ---- stamping ------------------------------------------------------------------------------------------------------ */

static void gather(struct dw_writer *writer, struct dw_volume *volume, uint64_t block, const struct dw_slot *slot)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint32_t records = dw_slot_records(atomic_load_explicit(&slot->filled, memory_order_relaxed));
    if (records > 0) {
        if (volume->first_lsn == DWAL_NO_LSN)
            volume->first_lsn = dw_lsn_of_block(g, block) + slot->first_record;
        volume->last_start_block = block;
        volume->entry_count += records;
        dw_count_in_role(&writer->counts.records, records);
    }
    if ((block + 1) % g->data_blocks == 0)
        volume->is_spilling = slot->fill == g->payload_size && !slot->is_record_end;
}

/* Write the headers of a complete run: from here on its blocks are as they will lie on disk. */
static void stamp_run(struct dw_writer *writer, struct dw_volume *volume, uint64_t from, uint64_t to)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t watermark = dw_durable_block(&writer->durable);
    uint64_t payload = 0;
    for (uint64_t block = from; block < to; block++) {
        const struct dw_slot *slot = dw_ring_slot(&writer->ring, block);
        struct dw_block_info info = {
            .block = block,
            .watermark = watermark,
            .fill = slot->fill,
            .first_record = slot->first_record,
            .flags = slot->is_marker ? DW_BLOCK_MARKER : 0,
        };
        dw_block_header_encode(&writer->ring.identity, &info, volume->number, dw_ring_block(&writer->ring, block));
        gather(writer, volume, block, slot);
        payload += slot->fill;
    }
    volume->time_last = writer->options.clock->realtime_ns(writer->options.clock->context);
    if (volume->time_first == 0)
        volume->time_first = volume->time_last;
    dw_count_in_role(&writer->counts.writes, 1);
    dw_count_in_role(&writer->counts.blocks, to - from);
    dw_count_in_role(&writer->counts.written_bytes, (to - from) * g->block_size);
    dw_count_in_role(&writer->counts.payload_bytes, payload);
}

static struct dw_request request_for(struct dw_writer *writer, const struct dw_volume *volume, uint64_t from,
                                     uint64_t to)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    return (struct dw_request){
        .file = volume->file,
        .bytes = dw_ring_block(&writer->ring, from),
        .size = (size_t)(to - from) * g->block_size,
        .offset = volume->base + dw_place_of_block(g, from),
        .is_durable = true,
    };
}

/* After this write, or after one more of its length, the head is full: while they are out the maker gets the next volume ready. */
static void foresee_crossing(struct dw_writer *writer, const struct dw_volume *volume, uint64_t from, uint64_t to)
{
    uint64_t end = end_of_volume(writer, volume);
    if (end - to > to - from || end == writer->flush.foreseen_end || volume != dw_store_head(writer->store))
        return;
    writer->flush.foreseen_end = end;
    dw_store_foresee(writer->store);
}

static void record_queue_wait(struct dw_writer *writer, uint64_t now_ns)
{
    if (atomic_load_explicit(&writer->want_since_ns, memory_order_relaxed) == 0)
        return;
    uint64_t since = atomic_exchange_explicit(&writer->want_since_ns, 0, memory_order_relaxed);
    if (since != 0 && now_ns > since)
        dw_histogram_record_alone(&writer->stages[DWAL_STAGE_QUEUE_WAIT], now_ns - since);
}

/* ---- completing ---------------------------------------------------------------------------------------------------- */

static void fail_write(struct dw_writer *writer, const struct dw_request *request, uint64_t from, uint64_t to)
{
    char status[40] = "";
    if (request->device_status != 0)
        snprintf(status, sizeof status, " (NVMe status 0x%03x)", request->device_status);
    const struct dw_geometry *g = &writer->ring.geometry;
    uint32_t number = dw_volume_of_block(g, from);
    const struct dw_volume *volume = volume_for(writer, from);
    dw_fail_device_at(request->result, number, from, dw_lsn_of_block(g, from),
                      "writing blocks %llu to %llu to %.200s/%s failed%s, and the log stopped",
                      (unsigned long long)from, (unsigned long long)to - 1, dw_store_disk(writer->store)->path,
                      volume ? volume->name : "?", status);
    dw_writer_fail(writer, dwal_last_error());
}

static void record_device_time(struct dw_writer *writer, uint64_t start_ns, uint64_t now_ns)
{
    dw_histogram_record_alone(&writer->stages[DWAL_STAGE_DEVICE], now_ns - start_ns);
    if (now_ns - start_ns >= writer->options.stall_report_ns)
        (void)dw_writer_count_stall(writer, start_ns);
}

/* Blocks [from, to) became durable: tell everybody except the sleepers. */
static void publish(struct dw_writer *writer, uint64_t from, uint64_t to, uint64_t now_ns)
{
    dw_durable_publish(&writer->durable, to, now_ns);
    dw_ring_release(&writer->ring, from, to);
    dw_ring_update_limit(&writer->ring, dw_store_space(writer->store));
    advance_volumes(writer);
}

/* A synchronous writer that has a large run ready again should not let the device wait until all are awake; with a small one
 * it should: who is awake joins the next write. */
static bool wake(struct dw_writer *writer, uint64_t from, uint64_t to, bool is_synchronous)
{
    struct dw_volume *volume;
    bool is_hurried = is_synchronous && find_run(writer, &volume) - writer->flush.next_block >= DW_FLUSH_KNEE_BLOCKS;
    bool has_woken = dw_durable_wake(&writer->durable, from, to, is_hurried);
    dw_event_notify(&writer->room);
    return has_woken;
}

/* Tell who asked where the time of this write went. */
static DW_COLD void tell_written(struct dw_writer *writer, const struct dw_flight *flight, uint64_t now_ns)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    struct dwal_written written = {
        .first = dw_lsn_of_block(g, flight->from),
        .end = dw_lsn_of_block(g, flight->to),
        .gap_ns = flight->gap_ns,
        .start_ns = flight->start_ns,
        .submitted_ns = flight->submitted_ns,
        .completed_ns = flight->completed_ns,
        .durable_ns = now_ns,
    };
    int cancel = dw_cancel_hold();
    writer->options.written_callback(writer->options.written_context, &written);
    dw_cancel_release(cancel);
}

static uint64_t take_gap(struct dw_flush *flush)
{
    uint64_t gap_ns = flush->gap_ns;
    flush->gap_ns = 0;
    return gap_ns;
}

/* ---- with a queue: the flusher's thread ------------------------------------------------------------------------------ */

static struct dw_flight *flight_at(struct dw_flush *flush, uint32_t index)
{
    return &flush->flights[(flush->flight_first + index) % DW_IN_FLIGHT_MAX];
}

static void issue(struct dw_writer *writer, struct dw_volume *volume, uint64_t from, uint64_t to)
{
    struct dw_flush *flush = &writer->flush;
    foresee_crossing(writer, volume, from, to);
    stamp_run(writer, volume, from, to);
    struct dw_flight *flight = flight_at(flush, flush->flight_count++);
    *flight = (struct dw_flight){
        .from = from,
        .to = to,
        .start_ns = dw_writer_now(writer),
        .gap_ns = take_gap(flush),
        .request = request_for(writer, volume, from, to),
    };
    flight->request.user = flight;
    flush->next_block = to;
    record_queue_wait(writer, flight->start_ns);
    atomic_store_explicit(&writer->write_started_ns, flight_at(flush, 0)->start_ns, memory_order_relaxed);
    dw_tick_keep(&flush->tick, flight->start_ns);
    flush->queue->ops->submit(flush->queue, &flight->request);
    flight->submitted_ns = flush->queue->ops->is_synchronous ? flight->start_ns : dw_writer_now(writer);
    if (!flush->queue->ops->is_synchronous)
        dw_histogram_record_alone(&writer->stages[DWAL_STAGE_SUBMIT], flight->submitted_ns - flight->start_ns);
}

/* Start what the policy allows. Returns how many writes were started. */
static uint32_t issue_all(struct dw_writer *writer)
{
    struct dw_flush *flush = &writer->flush;
    uint32_t depth = flush->queue->ops->is_synchronous ? 1 : writer->options.in_flight_writes;
    uint32_t issued = 0;
    while (flush->flight_count < depth && dw_durable_failure(&writer->durable) == 0) {
        struct dw_volume *volume = NULL;
        uint64_t from = flush->next_block;
        uint64_t to = flush->flight_count == 0 ? take_run(writer, &volume) : find_run(writer, &volume);
        /* Beside a write in flight only a run that is worth a write of its own; a shorter one may still grow. */
        uint64_t worth =
            flush->flight_count == 0 ? 1 : dw_min_u64(DW_FLUSH_KNEE_BLOCKS, writer->options.write_blocks_max);
        if (to - from < worth)
            break;
        issue(writer, volume, from, to);
        issued++;
    }
    return issued;
}

/* Take the finished requests in; returns the end of the contiguous durable prefix. */
static uint64_t settle_flights(struct dw_writer *writer, struct dw_request *finished, uint64_t now_ns)
{
    struct dw_flush *flush = &writer->flush;
    uint64_t durable = dw_durable_block(&writer->durable);
    for (struct dw_request *request = finished; request; request = request->next) {
        struct dw_flight *flight = request->user;
        flight->is_finished = true;
        flight->completed_ns = now_ns;
        record_device_time(writer, flight->start_ns, now_ns);
        if (request->result < 0)
            fail_write(writer, request, flight->from, flight->to);
    }
    while (flush->flight_count > 0 && flight_at(flush, 0)->is_finished) {
        struct dw_flight *flight = flight_at(flush, 0);
        if (dw_durable_failure(&writer->durable) == 0) {
            durable = flight->to;
            if (DW_UNLIKELY(writer->options.written_callback))
                tell_written(writer, flight, now_ns);
        }
        flush->flight_first = (flush->flight_first + 1) % DW_IN_FLIGHT_MAX;
        flush->flight_count--;
    }
    atomic_store_explicit(&writer->write_started_ns, flush->flight_count ? flight_at(flush, 0)->start_ns : 0,
                          memory_order_relaxed);
    return durable;
}

bool dw_flush_step(struct dw_writer *writer, bool may_wait)
{
    struct dw_flush *flush = &writer->flush;
    advance_volumes(writer);
    uint32_t issued = issue_all(writer);
    if (flush->flight_count == 0) {
        if (dw_durable_failure(&writer->durable) != 0 || !dw_flush_is_wanted(writer) ||
            flush->next_block >=
                dw_block_of_lsn(&writer->ring.geometry, atomic_load_explicit(&writer->ring.tail, memory_order_relaxed)))
            return false;
        if (may_wait)
            dw_flush_wait_for_copy(writer);
        return may_wait;
    }
    struct dw_request *finished = flush->queue->ops->reap(flush->queue, may_wait);
    if (!finished)
        return issued > 0;
    uint64_t now_ns = dw_writer_now(writer);
    uint64_t from = dw_durable_block(&writer->durable);
    uint64_t to = settle_flights(writer, finished, now_ns);
    if (to > from) {
        publish(writer, from, to, now_ns);
        bool is_synchronous = flush->queue->ops->is_synchronous;
        if (!is_synchronous)
            issue_all(writer); /* the wake-ups hide under the device's time */
        (void)wake(writer, from, to, is_synchronous);
    }
    return true;
}

/* ---- one write, awaited: a lone committer --------------------------------------------------------------------------------- */

/* One write, and wait for it. Where a queue's write costs the device less, through the queue: it is used
 * by whoever holds the role, and nothing is in flight when the role changes hands. */
static void write_alone(struct dw_writer *writer, struct dw_request *request)
{
    struct dw_queue *queue = writer->flush.queue;
    if (!writer->flush.is_queue_for_all) {
        request->result = dw_file_write_durable(request->file, request->bytes, request->size, request->offset);
        return;
    }
    queue->ops->submit(queue, request);
    while (queue->in_flight > 0)
        (void)queue->ops->reap(queue, true);
}

/* One durable write by the calling thread. false: nothing could be written now. */
bool dw_flush_write_one(struct dw_writer *writer)
{
    struct dw_flush *flush = &writer->flush;
    dw_assert(flush->flight_count == 0);
    flush->over_ns = 0;
    advance_volumes(writer);
    struct dw_volume *volume = NULL;
    uint64_t from = flush->next_block;
    uint64_t to = take_run(writer, &volume);
    if (to == from)
        return false;
    dw_assert(volume != NULL);
    foresee_crossing(writer, volume, from, to);
    stamp_run(writer, volume, from, to);
    uint64_t start_ns = dw_writer_now(writer);
    record_queue_wait(writer, start_ns);
    atomic_store_explicit(&writer->write_started_ns, start_ns, memory_order_relaxed);
    struct dw_request request = request_for(writer, volume, from, to);
    /* What comes next is probably as long; its memory arrives while the device works. */
    dw_ring_prefetch(&writer->ring, to, dw_min_u64(to - from, PREFETCH_BLOCKS_MAX));
    dw_tick_keep(&flush->tick, start_ns);
    write_alone(writer, &request);
    uint64_t now_ns = dw_writer_now(writer);
    atomic_store_explicit(&writer->write_started_ns, 0, memory_order_relaxed);
    record_device_time(writer, start_ns, now_ns);
    flush->next_block = to;
    if (request.result < 0) {
        fail_write(writer, &request, from, to);
        return true;
    }
    uint64_t gap_ns = take_gap(flush);
    if (DW_UNLIKELY(writer->options.written_callback))
        tell_written(writer,
                     &(struct dw_flight){.from = from,
                                         .to = to,
                                         .gap_ns = gap_ns,
                                         .start_ns = start_ns,
                                         .submitted_ns = start_ns,
                                         .completed_ns = now_ns},
                     now_ns);
    publish(writer, from, to, now_ns);
    flush->over_ns = wake(writer, from, to, true) ? 0 : now_ns;
    return true;
}

bool dw_flush_marker(struct dw_writer *writer)
{
    struct dw_flush *flush = &writer->flush;
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t block = flush->next_block;
    if (flush->flight_count > 0 || block == flush->marker_block || dw_durable_failure(&writer->durable) != 0)
        return false;
    if (block != dw_durable_block(&writer->durable) || !volume_for(writer, block) ||
        dw_lsn_of_block(g, block + 1) > dw_store_space(writer->store))
        return false;
    if (!dw_ring_take_markers(&writer->ring, block, block + 1))
        return false;
    flush->marker_block = block + 1;
    dw_count_in_role(&writer->counts.markers, 1);
    return dw_flush_write_one(writer);
}
