/* test_decisions.c - the decision table of recovery: every set of facts meets exactly one row, and each row is met. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/read/recovery.h"

static bool matches(const struct dw_decision *decision, uint32_t facts)
{
    return (facts & decision->yes) == decision->yes && (facts & decision->no) == 0;
}

static void every_set_of_facts_meets_exactly_one_row(void **state)
{
    (void)state;
    for (uint32_t facts = 0; facts < 1u << DW_FACT_COUNT; facts++) {
        size_t met = 0;
        for (size_t i = 0; i < dw_decision_count; i++)
            met += matches(&dw_decisions[i], facts);
        if (met != 1)
            fail_msg("facts %#x meet %zu rows", facts, met);
        assert_true(matches(dw_decide(facts), facts));
    }
}

static void every_row_is_met_by_some_facts(void **state)
{
    (void)state;
    for (size_t i = 0; i < dw_decision_count; i++)
        assert_ptr_equal(dw_decide(dw_decisions[i].yes), &dw_decisions[i]);
}

static void a_witness_is_never_overruled(void **state)
{
    (void)state;
    for (uint32_t facts = 0; facts < 1u << DW_FACT_COUNT; facts++)
        if ((facts & DW_FACT_BIT(DW_FACT_COVERED)) != 0)
            assert_true(dw_decide(facts)->is_refused);
}

static void what_is_refused_has_a_code_and_what_is_not_has_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < dw_decision_count; i++)
        assert_true(dw_decisions[i].is_refused == (dw_decisions[i].error != DWAL_OK));
}

static void tolerance_changes_only_the_judgement_of_the_end(void **state)
{
    (void)state;
    const uint32_t tolerant = DW_FACT_BIT(DW_FACT_TOLERANT);
    for (uint32_t facts = 0; facts < 1u << DW_FACT_COUNT; facts++) {
        const struct dw_decision *strict = dw_decide(facts & ~tolerant), *lax = dw_decide(facts | tolerant);
        if (strict != lax) {
            assert_int_equal(lax->verdict, DWAL_VERDICT_UNCERTAIN);
            assert_true(strict->is_refused && !lax->is_refused);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_facts_meets_exactly_one_row),
        cmocka_unit_test(every_row_is_met_by_some_facts),
        cmocka_unit_test(a_witness_is_never_overruled),
        cmocka_unit_test(what_is_refused_has_a_code_and_what_is_not_has_none),
        cmocka_unit_test(tolerance_changes_only_the_judgement_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
