/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of a segment that is split: shared with it, and copied once lwIP could not count one more
 * reference. */
#include "lwip/pbuf.h"
#include "pel_lwip_hooks.h"
#include "tests/harness/harness.h"

#define LEN 1000
#define NUM 300 /* more than 8 bits count */

static int num_freed;

static void count_free(struct pbuf *p)
{
    (void)p;
    num_freed++;
}

PEL_TEST(lwip_rest, is_shared_while_references_can_be_counted)
{
    static uint8_t bytes[LEN];
    static struct pbuf *rests[NUM];
    struct pbuf_custom custom = {.custom_free_function = count_free};
    int num_shared = 0;
    for (int i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * 7);
    struct pbuf *segment = pbuf_alloc(PBUF_TRANSPORT, 0, PBUF_RAM);
    pbuf_cat(segment, pbuf_alloced_custom(PBUF_RAW, LEN, PBUF_REF, &custom, bytes, LEN));
    for (u16_t i = 0; i < NUM; i++) {
        PEL_REQUIRE((rests[i] = pel_lwip_pbuf_rest(segment, i, (u16_t)(LEN - i))) != NULL);
        PEL_EXPECT_EQ(rests[i]->tot_len, LEN - i);
        PEL_EXPECT_MEM(rests[i]->payload, bytes + i, (size_t)(LEN - i));
        num_shared += rests[i]->payload == bytes + i;
    }
    PEL_EXPECT(num_shared > 100 && num_shared < 255);
    pbuf_free(segment);
    PEL_EXPECT_EQ(num_freed, 0);
    for (int i = 0; i < NUM; i++)
        pbuf_free(rests[i]);
    PEL_EXPECT_EQ(num_freed, 1);
}
