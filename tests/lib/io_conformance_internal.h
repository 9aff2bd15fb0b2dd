/* io_conformance_internal.h - fixtures that the two halves of the suite share. */
#ifndef DW_TESTS_LIB_IO_CONFORMANCE_INTERNAL_H
#define DW_TESTS_LIB_IO_CONFORMANCE_INTERNAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alloc/alloc.h"
#include "tests/lib/io_conformance.h"

enum { CONFORMANCE_UNIT = 4096, CONFORMANCE_BYTES = 64 * CONFORMANCE_UNIT };

struct dw_conformance {
    const struct dw_io_subject *subject;
    struct dw_disk *disk;
    unsigned char *bytes; /* CONFORMANCE_BYTES, aligned, zero at first */
};

int dw_conformance_setup(void **state);
int dw_conformance_teardown(void **state);
/* A new file; it must not exist. */
struct dw_file *dw_conformance_create(struct dw_conformance *test, const char *name);
/* The bytes that belong to a seed. */
void dw_conformance_fill(unsigned char *bytes, size_t size, uint32_t seed);
/* The file holds the bytes of `seed` there. */
void dw_conformance_expect(struct dw_conformance *test, struct dw_file *file, uint64_t offset, size_t size,
                           uint32_t seed);
/* Put the queue's tests at `tests`; answers how many. */
size_t dw_conformance_queue_tests(struct CMUnitTest *tests, size_t room);

#endif
