/* stages.h - where the time of commits went: the log's histograms as a table on standard error. */
#ifndef DW_TOOLS_STAGES_H
#define DW_TOOLS_STAGES_H

#include <dwal/dwal.h>

void dw_stages_print(dwal *log);

#endif
