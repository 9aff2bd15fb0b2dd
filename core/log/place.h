/* place.h - may a log be kept at this path? Asked before anything is made or written. */
#ifndef DW_CORE_LOG_PLACE_H
#define DW_CORE_LOG_PLACE_H

#include <dwal/dwal.h>

/* A directory in which a log is to be made. `is_new`: made for this log a moment ago, so that its attributes may be set.
 * DWAL_EUNSUPPORTED, DWAL_EPERMISSION with what speaks against it; what is only to be said becomes an event. */
int dw_place_check_new(const char *path, const struct dwal_options *options, bool is_new);
/* A directory with a log that is to be opened for writing: only strangers are refused, the rest becomes events, because a
 * log that is there must stay within reach. */
int dw_place_check_old(const char *path, const struct dwal_options *options);

#endif
