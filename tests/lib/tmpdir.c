/* tmpdir.c - fresh directories for tests: see tmpdir.h. */
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void stop(const char *what, const char *path)
{
    fprintf(stderr, "tmpdir: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

char *dw_tmpdir_make(char path[DW_TMPDIR_SIZE], const char *name)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base)
        base = "/var/tmp";
    int length = snprintf(path, DW_TMPDIR_SIZE, "%s/dwal-test-%s-XXXXXX", base, name);
    if (length < 0 || length >= DW_TMPDIR_SIZE) {
        errno = ENAMETOOLONG;
        stop("cannot name a directory in", base);
    }
    if (!mkdtemp(path))
        stop("cannot make", path);
    return path;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    if (remove(path) != 0)
        fprintf(stderr, "tmpdir: cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

void dw_tmpdir_remove(const char *path)
{
    if (!strstr(path, "/dwal-test-")) {
        errno = EINVAL;
        stop("not made by dw_tmpdir_make:", path);
    }
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
