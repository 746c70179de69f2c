/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include "tests/harness/harness.h"

PEL_TEST(addr, text_round_trip)
{
    static const char *const texts[] = {"0.0.0.0:0", "192.0.2.1:80", "[::]:443", "[2001:db8::1]:65535"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pel_endpoint endpoint;
        char text[PEL_ENDPOINT_TEXT_LEN];
        PEL_REQUIRE_OK(pel_endpoint_parse(texts[i], &endpoint));
        PEL_EXPECT_STR(pel_endpoint_format(&endpoint, text, sizeof text), texts[i]);
    }
}

PEL_TEST(addr, refuses_what_is_no_endpoint)
{
    static const char *const texts[] = {
        "",           "1.2.3.4",     "1.2.3:80",    "6793:1",      "1.2.3.4:65536", "1.2.3.4:",
        "1.2.3.4:8x", "2001:db8::1", "[1.2.3.4]:1", "[2001:db8::", "[]:80",         "1.2.3.04:1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pel_endpoint endpoint;
        if (pel_endpoint_parse(texts[i], &endpoint) != PEL_E_SYNTAX)
            pel_test_fail(__FILE__, __LINE__, "\"%s\" was taken", texts[i]);
    }
}

PEL_TEST(addr, mapped_addresses_are_ipv4_inside)
{
    struct pel_endpoint endpoint, again;
    struct sockaddr_storage storage;
    PEL_REQUIRE_OK(pel_endpoint_parse("192.0.2.7:8080", &endpoint));
    socklen_t len = pel_endpoint_to_sockaddr(&endpoint, AF_INET6, &storage);
    PEL_EXPECT_EQ(len, sizeof(struct sockaddr_in6));
    PEL_REQUIRE_OK(pel_endpoint_from_sockaddr((const struct sockaddr *)&storage, len, &again));
    PEL_EXPECT_EQ(again.ip.version, 4);
    PEL_EXPECT(pel_ip_equal(&endpoint.ip, &again.ip));
    PEL_EXPECT_EQ(again.port, 8080);
}

PEL_TEST(addr, short_sockaddr_is_refused)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct pel_endpoint endpoint;
    PEL_EXPECT_ERR(pel_endpoint_from_sockaddr((const struct sockaddr *)&in4, sizeof in4 - 1, &endpoint),
                   PEL_E_ARG);
    PEL_EXPECT_ERR(pel_endpoint_from_sockaddr(NULL, 0, &endpoint), PEL_E_ARG);
}
