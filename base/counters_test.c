/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include "tests/harness/harness.h"

PEL_TEST(counters, count_by_name)
{
    struct pel_counters counters = {0}, sum = {0};
    PEL_EXPECT_ERR(pel_count_err(&counters, PEL_E_TLS_TRUNCATED), PEL_E_TLS_TRUNCATED);
    PEL_EXPECT_ERR(pel_count_err(&counters, PEL_OK), PEL_OK);
    PEL_EXPECT_ERR(pel_count_err(NULL, PEL_E_ARG), PEL_E_ARG);
    pel_count_stat(&counters, PEL_STAT_rx_bytes, 1500);
    pel_counters_add(&sum, &counters);
    pel_counters_add(&sum, &counters);
    PEL_EXPECT_EQ(sum.err[PEL_E_TLS_TRUNCATED], 2);
    PEL_EXPECT_EQ(sum.err[PEL_OK], 0);
    PEL_EXPECT_EQ(sum.stat[PEL_STAT_rx_bytes], 3000);
}

PEL_TEST(errors, each_has_a_name_and_a_sentence)
{
    for (int i = 0; i < PEL_ERR_NR; i++) {
        PEL_EXPECT(strlen(pel_err_name((enum pel_err)i)) > 0);
        PEL_EXPECT(strlen(pel_err_text((enum pel_err)i)) > 4);
    }
    PEL_EXPECT_STR(pel_err_name((enum pel_err)PEL_ERR_NR), "UNKNOWN");
    PEL_EXPECT_EQ(pel_err_category(PEL_E_AGAIN), PEL_CAT_BLOCKED);
}

PEL_TEST(errors, text_is_cut_at_its_buffer)
{
    struct pel_error error;
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    PEL_EXPECT_ERR(pel_error_set(&error, PEL_E_IO, "%s", longer), PEL_E_IO);
    PEL_EXPECT_EQ(strlen(error.text), sizeof error.text - 1);
    PEL_EXPECT_ERR(pel_error_set(NULL, PEL_E_ARG, "x"), PEL_E_ARG);
}
