/* file.h - a report's file: written in full or a failure. */
#ifndef DW_TOOLS_BENCH_FILE_H
#define DW_TOOLS_BENCH_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "-": standard output. NULL: errno tells. */
static inline FILE *dw_bench_file_open(const char *path)
{
    if (strcmp(path, "-") != 0)
        return fopen(path, "we");
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? NULL : fdopen(fd, "w");
}
/* 0 or -errno: also when an earlier write failed. */
static inline int dw_bench_file_close(FILE *file)
{
    int failed = fflush(file) != 0 || ferror(file) ? (errno ? -errno : -EIO) : 0;
    int closed = fclose(file) != 0 ? -errno : 0;
    return failed ? failed : closed;
}

#endif
