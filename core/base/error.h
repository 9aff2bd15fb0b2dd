/* error.h - say what failed and where: fills this thread's dwal_last_error() and returns the code. */
#ifndef DW_CORE_BASE_ERROR_H
#define DW_CORE_BASE_ERROR_H

#include <dwal/error.h>

#include "base/compiler.h"

/* Record a failure without a place. Returns `code`, so that callers write `return dw_fail(DWAL_EARGUMENT, "...")`. */
DW_COLD int dw_fail(int code, const char *format, ...) DW_PRINTF(2, 3);
/* With a place; pass DWAL_NO_VOLUME / DWAL_NO_LSN for what does not apply. */
DW_COLD int dw_fail_at(int code, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
    DW_PRINTF(5, 6);
/* A system call failed with -errno `result`: picks the code (ENOSPC, EDQUOT, EFBIG -> DWAL_ENOSPACE; EACCES, EPERM,
 * EROFS -> DWAL_EPERMISSION; ENOMEM -> DWAL_EMEMORY; EAGAIN of a lock is the caller's affair; all else DWAL_EDEVICE), keeps the
 * system code, appends its text. */
DW_COLD int dw_fail_system(int result, const char *format, ...) DW_PRINTF(2, 3);
DW_COLD int dw_fail_system_at(int result, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
    DW_PRINTF(5, 6);
/* The same, but always DWAL_EDEVICE: where the errno means that the device failed, whatever it says elsewhere (no space or no
 * permission in a place that was written before). */
DW_COLD int dw_fail_device_at(int result, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
    DW_PRINTF(5, 6);
/* Copy an error (for instance the first cause of a failed log) into this thread's. Returns its code. */
int dw_fail_again(const struct dwal_error *error);

/* clang-tidy's analyzer cannot see into them: tell it that a failure is never 0. */
#if defined(__clang_analyzer__) && !defined(DW_ERROR_IMPLEMENTATION)
#define dw_fail(...)           (dw_fail(__VA_ARGS__), -1)
#define dw_fail_at(...)        (dw_fail_at(__VA_ARGS__), -1)
#define dw_fail_system(...)    (dw_fail_system(__VA_ARGS__), -1)
#define dw_fail_system_at(...) (dw_fail_system_at(__VA_ARGS__), -1)
#define dw_fail_device_at(...) (dw_fail_device_at(__VA_ARGS__), -1)
#define dw_fail_again(...)     (dw_fail_again(__VA_ARGS__), -1)
#endif

#endif
