/* test_checklist.c - every line of the checklists of the logs that dwal's layers take after is shown by a test that carries its
 * number, or stands in the tables of core/layers/README.md. Prints the count of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"

static const struct checklist {
    char letter;
    int lines;
    const char *of;
} checklists[] = {
    {'D', 25, "durable"},
    {'E', 29, "etcd's wal"},
    {'R', 27, "raft-wal and its fork"},
};

/* A test function of this name, or a row of a table that names it. */
static bool is_shown(const struct checklist *list, int line)
{
    const char *source = dw_shell_setting("DWAL_SOURCE");
    return dw_shell("grep -rqE '^static void %c%d_' %s/tests", list->letter, line, source)->status == 0;
}

static bool is_excused(const struct checklist *list, int line)
{
    const char *source = dw_shell_setting("DWAL_SOURCE");
    return dw_shell("grep -qE '^\\| ([A-Z0-9]+, )*%c%d[ ,|(]' %s/core/layers/README.md", list->letter, line, source)
               ->status == 0;
}

static void every_line_is_shown_or_excused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof checklists / sizeof checklists[0]; i++) {
        const struct checklist *list = &checklists[i];
        int shown = 0, excused = 0;
        for (int line = 1; line <= list->lines; line++) {
            bool is_tested = is_shown(list, line);
            shown += is_tested;
            excused += !is_tested && is_excused(list, line);
            if (!is_tested && !is_excused(list, line))
                fail_msg("no test shows %c%d of %s", list->letter, line, list->of);
        }
        print_message("%s: %d of %d lines shown by tests, %d excused\n", list->of, shown, list->lines, excused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line_is_shown_or_excused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
