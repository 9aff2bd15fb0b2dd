/* drift.h - are durable writes still as quick as when the backend was chosen? Pure.
 *
 * Owns: a few numbers. Called by: the maker's thread, about once a second, never on the commit path. A window closes when a
 * second has passed and 64 writes have come back. Its mean, over what the measurement foretells for writes of that mean
 * size, goes into a moving average; when that average was outside the band for 30 windows in a row, the latencies drifted. */
#ifndef DW_CORE_LOG_DRIFT_H
#define DW_CORE_LOG_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

#define DW_DRIFT_WINDOW_NS   UINT64_C(1000000000)
#define DW_DRIFT_WRITES_MIN  64u
#define DW_DRIFT_WINDOWS_MAX 30u
#define DW_DRIFT_BAND        4u /* times as long, or a fourth */

struct dw_drift_totals { /* since open; only grow */
    uint64_t writes, bytes, device_ns;
};
struct dw_drift {
    struct dw_drift_totals seen;
    uint64_t window_ns;       /* when the window began; 0: not begun */
    uint64_t ratio_milli;     /* moving average of measured / foretold, in thousandths; 0: no window yet */
    uint32_t windows_outside; /* in a row */
    bool is_drifted;          /* for good */
};

/* Would close a window now: then *mean_bytes is its mean size, for which the caller foretells the time. */
bool dw_drift_is_due(const struct dw_drift *drift, uint64_t now_ns, const struct dw_drift_totals *totals,
                     uint64_t *mean_bytes);
/* Close the window. `expected_ns`: of one write of the mean size, 0: unknown; `in_flight_max`: writes that may wait for one
 * another. true: the latencies have drifted, now and not before. */
bool dw_drift_close_window(struct dw_drift *drift, uint64_t now_ns, const struct dw_drift_totals *totals,
                           uint64_t expected_ns, uint32_t in_flight_max);

#endif
