/* drift.c - compare what writes take with what was measured; see drift.h. */
#include "core/log/drift.h"

#include "base/bits.h"

#define ONE         UINT64_C(1000) /* ratios are in thousandths */
#define WEIGHT      8u             /* of the past, against one window */
#define RATIO_LIMIT (64 * ONE)     /* one window cannot say more than that */

bool dw_drift_is_due(const struct dw_drift *drift, uint64_t now_ns, const struct dw_drift_totals *totals,
                     uint64_t *mean_bytes)
{
    uint64_t writes = totals->writes - drift->seen.writes;
    if (drift->is_drifted || writes < DW_DRIFT_WRITES_MIN || now_ns < drift->window_ns + DW_DRIFT_WINDOW_NS)
        return false;
    *mean_bytes = (totals->bytes - drift->seen.bytes) / writes;
    return true;
}

bool dw_drift_close_window(struct dw_drift *drift, uint64_t now_ns, const struct dw_drift_totals *totals,
                           uint64_t expected_ns, uint32_t in_flight_max)
{
    uint64_t writes = totals->writes - drift->seen.writes;
    uint64_t mean_ns = writes ? (totals->device_ns - drift->seen.device_ns) / writes : 0;
    drift->seen = *totals;
    drift->window_ns = now_ns;
    if (expected_ns == 0 || mean_ns == 0 || drift->is_drifted)
        return false;
    uint64_t ratio = mean_ns > UINT64_MAX / ONE ? RATIO_LIMIT : dw_min_u64(mean_ns * ONE / expected_ns, RATIO_LIMIT);
    /* The average starts with the first window, in the middle of the band if that is where it lies. */
    drift->ratio_milli =
        drift->ratio_milli == 0 ? ratio : (drift->ratio_milli * (WEIGHT - 1) + ratio + WEIGHT / 2) / WEIGHT;
    uint64_t high = DW_DRIFT_BAND * ONE * (in_flight_max ? in_flight_max : 1);
    bool is_outside = drift->ratio_milli > high || drift->ratio_milli < ONE / DW_DRIFT_BAND;
    drift->windows_outside = is_outside ? drift->windows_outside + 1 : 0;
    drift->is_drifted = drift->windows_outside >= DW_DRIFT_WINDOWS_MAX;
    return drift->is_drifted;
}
