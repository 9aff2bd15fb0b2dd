/* page.c - a run as a page for a browser; see report.h. */
#include <errno.h>

#include "tools/bench/report.h"

int dw_bench_report_page(const struct dw_bench_run *run, uint32_t slowest, const char *path)
{
    (void)run;
    (void)slowest;
    (void)path;
    return -ENOSYS;
}
