/* probe_facts.h - the facts of a place as a list for people and programs. Private to core/log.
 *
 * Called by: dwal_probe. Pure but for the extents of a log's volumes, which it asks the kernel for. */
#ifndef DW_CORE_LOG_PROBE_FACTS_H
#define DW_CORE_LOG_PROBE_FACTS_H

#include <dwal/probe.h>

#include "core/log/choose.h"
#include "io/probe.h"

/* Append one fact; drops it when the list is full. `note` may be "". */
void dw_fact_add(struct dwal_probe *list, enum dwal_mark mark, const char *name, const char *label, const char *source,
                 const char *note, const char *value, ...) DW_PRINTF(7, 8);

/* File system, device, machine: in the order in which a person wants to read them. */
void dw_facts_gather(const char *path, const struct dw_probe *probe, const struct dw_probe_system *system,
                     struct dwal_probe *list);
/* The extents of the volumes in a log's directory, together. */
void dw_facts_of_extents(const char *path, struct dwal_probe *list);

#endif
