/* test_io_refusal.c - what a person is told when a kind of queue cannot be had: the cause, and what to do. Includes the source,
 * because a sysctl of the whole machine is not a test's to change. */
/* clang-format off */
#include "io/refusal.c"
/* clang-format on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bits.h"

static void a_sysctl_that_forbids_the_ring_is_named_with_its_value(void **state)
{
    (void)state;
    char text[200];
    tell_uring(-EPERM, 2, text, sizeof text);
    assert_string_equal(text, "io_uring is forbidden by sysctl kernel.io_uring_disabled=2: set it to 0");
    tell_uring(-EPERM, 1, text, sizeof text);
    assert_non_null(strstr(text, "io_uring_disabled=1"));
    assert_non_null(strstr(text, "kernel.io_uring_group"));
}

static void where_no_sysctl_forbids_it_a_filter_is_suspected(void **state)
{
    (void)state;
    static const int errors[] = {-EPERM, -EACCES, -ENOSYS};
    char text[200];
    for (size_t i = 0; i < DW_COUNT_OF(errors); i++)
        for (long disabled = -1; disabled <= 0; disabled++) {
            tell_uring(errors[i], disabled, text, sizeof text);
            assert_non_null(strstr(text, strerrorname_np(-errors[i])));
            assert_non_null(strstr(text, "seccomp"));
            assert_non_null(strstr(text, "allow io_uring_setup"));
            assert_int_equal(strstr(text, "use a kernel that has it") != NULL, errors[i] == -ENOSYS);
        }
}

static void every_kind_has_words_of_its_own_for_what_stands_in_its_way(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        int result;
        const char *words;
    } cases[] = {
        {"uring", -ENOSYS, "io_uring is forbidden (ENOSYS)"},
        {"nvme", -ENOSYS, "io_uring is forbidden (ENOSYS)"},
        {"aio", -ENOSYS, "aio is forbidden (ENOSYS)"},
        {"aio", -EPERM, "allow io_setup"},
        {"aio", -EAGAIN, "raise sysctl fs.aio-max-nr"},
        {"aio", -EOPNOTSUPP, "not built"},
        {"uring", -EOPNOTSUPP, "not built"},
#ifdef DW_HAVE_URING
        {"nvme", -EOPNOTSUPP, "does not lie on an NVMe block device"},
        {"nvme", -EACCES, "CAP_SYS_ADMIN"},
        {"nvme-poll", -ENXIO, "nvme.poll_queues"},
        {"nvme", -EMEDIUMTYPE, "metadata"},
        {"nvme", -ESTALE, "do not show the same namespace"},
#else
        {"nvme", -EOPNOTSUPP, "not built"},
#endif
        {"nvme", -EBUSY, "EBUSY"},
        {"sim", -EINVAL, "this kind of disk has none"},
        {"uring", -ENOMEM, "ENOMEM"},
        {NULL, -EMFILE, "EMFILE"},
    };
    char text[200];
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        dw_queue_refusal(cases[i].kind, cases[i].result, text, sizeof text);
        if (!strstr(text, cases[i].words))
            fail_msg("%s, %d: %s", cases[i].kind ? cases[i].kind : "NULL", cases[i].result, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sysctl_that_forbids_the_ring_is_named_with_its_value),
        cmocka_unit_test(where_no_sysctl_forbids_it_a_filter_is_suspected),
        cmocka_unit_test(every_kind_has_words_of_its_own_for_what_stands_in_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
