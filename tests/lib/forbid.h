/* forbid.h - forbid system calls to this process with a seccomp filter, as a container's profile does.
 *
 * Called by: child processes of tests, before they start threads. There is no way back: exec does not lift it either. */
#ifndef DW_TESTS_LIB_FORBID_H
#define DW_TESTS_LIB_FORBID_H

#include <stddef.h>

/* From now on these system calls answer -error; they do not reach the kernel's code. 0 or -errno (a kernel without
 * seccomp). May be called again for more calls. */
int dw_forbid(const int *calls, size_t count, int error);

#endif
