/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets whose program starts and stops TLS, over the real engine and a real policy: blocking and not, with
 * bytes in the rings at every moment. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <pellucid/ttls.h>

#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

#define POLICY(more)                                                                                         \
    "TTLSRule IN\n{\n LocalPortRange 7000\n Direction Inbound\n TTLSGroupActionRef on\n"                     \
    " TTLSEnvironmentActionRef server\n}\n"                                                                  \
    "TTLSRule OUT\n{\n RemotePortRange 7000\n Direction Outbound\n TTLSGroupActionRef on\n"                  \
    " TTLSEnvironmentActionRef client\n}\n"                                                                  \
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"                                                            \
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n TTLSKeyringParms\n {\n Keyring "               \
    "tester/server\n }\n TTLSEnvironmentAdvancedParms\n {\n" more "\n }\n}\n"                                \
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n TTLSKeyringParms\n {\n Keyring "               \
    "tester/client\n }\n TTLSEnvironmentAdvancedParms\n {\n" more "\n }\n}\n"

static int ask(int fd, uint32_t request, struct TTLS_IOCTL *ret)
{
    *ret = (struct TTLS_IOCTL){.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = request};
    errno = 0;
    return pel_ioctl(fd, SIOCTTLSCTL, ret) == 0 ? 0 : errno;
}

static int stat_of(int fd)
{
    struct TTLS_IOCTL ttls;
    int error = ask(fd, TTLS_QUERY_ONLY, &ttls);
    return error != 0 ? -error : ttls.TTLSi_Stat_Conn;
}

/* The other end's part, on another thread: a request that waits. */
struct part {
    int fd;
    uint32_t request;
    int error;
};

static void do_part(void *arg)
{
    struct part *part = arg;
    struct TTLS_IOCTL ttls;
    part->error = ask(part->fd, part->request, &ttls);
}

/* Both ends do the same, the client `delay_ms` later; 0 or the first errno. */
static int both(struct env_pair *pair, uint32_t request, uint32_t delay_ms)
{
    struct TTLS_IOCTL ttls;
    struct env_later later;
    struct part part = {.fd = pair->client, .request = request};
    env_later_start(&later, delay_ms, do_part, &part);
    int error = ask(pair->server, request, &ttls);
    env_later_join(&later);
    return error != 0 ? error : part.error;
}

static void talk(int from, int to, const char *text)
{
    char heard[64] = "";
    PEL_EXPECT(env_write_all(from, text, strlen(text)));
    PEL_EXPECT(env_read_all(to, heard, strlen(text)));
    PEL_EXPECT_STR(heard, text);
}

PEL_TEST(socket_ttls, blocking_ends_start_and_stop)
{
    struct env_pair pair;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    for (uint32_t round = 0; round < 4; round++) {
        talk(pair.client, pair.server, "clear");
        talk(pair.server, pair.client, "as well");
        PEL_EXPECT_EQ(stat_of(pair.server), TTLS_CONN_NOTSECURE);
        PEL_EXPECT_EQ(both(&pair, TTLS_INIT_CONNECTION, round * 5), 0);
        PEL_EXPECT_EQ(stat_of(pair.server), TTLS_CONN_SECURE);
        PEL_EXPECT_EQ(stat_of(pair.client), TTLS_CONN_SECURE);
        talk(pair.client, pair.server, "secret");
        talk(pair.server, pair.client, "secret, too");
        PEL_EXPECT_EQ(both(&pair, TTLS_STOP_CONNECTION, round * 5), 0);
        PEL_EXPECT_EQ(stat_of(pair.client), TTLS_CONN_NOTSECURE);
    }
    env_pair_close(&pair);
    env_stop();
}

/* The client does not wait for the answer to its command: its hello stands in the server's ring, behind what
 * the server reads. */
PEL_TEST(socket_ttls, a_hello_in_the_ring_is_taken_back)
{
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    char command[16] = "";
    int on = 1, off = 0, num = 0;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_ioctl(pair.client, FIONBIO, &on), 0);
    PEL_EXPECT(env_write_all(pair.client, "STARTTLS\n", 9));
    PEL_EXPECT_EQ(ask(pair.client, TTLS_INIT_CONNECTION, &ttls), EINPROGRESS);
    PEL_EXPECT_EQ(ask(pair.client, TTLS_INIT_CONNECTION, &ttls), EWOULDBLOCK);
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLOUT, 0), 0);
    EXPECT_FAIL(pel_write(pair.client, "x", 1), EAGAIN);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
    for (int i = 0; i < 20000 && num < 50; i++) { /* until all of the hello is there */
        env_sleep_ms(1);
        pel_ioctl(pair.server, FIONREAD, &num);
    }
    PEL_EXPECT(env_read_all(pair.server, command, 9));
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION, &ttls), 0);
    PEL_EXPECT_EQ(ttls.TTLSi_Stat_Conn, TTLS_CONN_SECURE);
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLOUT, 20000), POLLOUT);
    PEL_EXPECT_EQ(pel_ioctl(pair.client, FIONBIO, &off), 0);
    PEL_EXPECT_EQ(stat_of(pair.client), TTLS_CONN_SECURE);
    talk(pair.client, pair.server, "secret");
    env_pair_close(&pair);
    env_stop();
}

/* More than the rings and windows on the way hold is written before the request: it comes whole, in clear,
 * and what is written behind it comes whole under TLS. */
PEL_TEST(socket_ttls, what_was_written_before_comes_before)
{
    static uint8_t sent[400000], heard[sizeof sent];
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    struct env_later later;
    int on = 1;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 31 >> 3);
    PEL_EXPECT_EQ(pel_ioctl(pair.server, FIONBIO, &on), 0);
    size_t len = 0;
    /* Until there is no room for a while; the engine has taken some by then. */
    while (len < sizeof sent &&
           env_poll1(pair.server, POLLOUT, len > TEST_BUFFER_LEN ? 200 : 20000) == POLLOUT)
        len += (size_t)pel_write(pair.server, sent + len, sizeof sent - len);
    PEL_EXPECT(len > TEST_BUFFER_LEN && len < sizeof sent);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION, &ttls), EINPROGRESS);
    PEL_EXPECT(env_read_all(pair.client, heard, len));
    PEL_EXPECT_MEM(heard, sent, len);
    struct part part = {.fd = pair.client, .request = TTLS_INIT_CONNECTION};
    env_later_start(&later, 0, do_part, &part);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLOUT, 20000), POLLOUT);
    env_later_join(&later);
    PEL_EXPECT_EQ(part.error, 0);
    talk(pair.server, pair.client, "secret");
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_ttls, the_end_of_tls_is_an_end_of_file_until_the_answer)
{
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    char byte;
    int on = 1, off = 0;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(both(&pair, TTLS_INIT_CONNECTION, 0), 0);
    talk(pair.client, pair.server, "x");
    PEL_EXPECT_EQ(pel_ioctl(pair.client, FIONBIO, &on), 0);
    PEL_EXPECT(env_write_all(pair.client, "y", 1));
    PEL_EXPECT_EQ(ask(pair.client, TTLS_STOP_CONNECTION, &ttls), EINPROGRESS);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_STOP_CONNECTION, &ttls), EPROTO); /* "y" is unread */
    PEL_EXPECT_EQ(pel_read(pair.server, &byte, 1), 1);
    PEL_EXPECT_EQ(pel_read(pair.server, &byte, 1), 0);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_STOP_CONNECTION, &ttls), 0);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_STOP_CONNECTION, &ttls), EALREADY);
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLOUT, 20000), POLLOUT);
    PEL_EXPECT_EQ(pel_ioctl(pair.client, FIONBIO, &off), 0);
    talk(pair.server, pair.client, "clear");
    talk(pair.client, pair.server, "clear, too");
    PEL_EXPECT_EQ(pel_shutdown(pair.client, SHUT_WR), 0);
    PEL_EXPECT_EQ(pel_read(pair.server, &byte, 1), 0);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_ttls, a_blocking_start_waits_as_long_as_SO_SNDTIMEO_says)
{
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    env_set_timeout(pair.server, SO_SNDTIMEO, 40);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION, &ttls), EINPROGRESS); /* begun */
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION, &ttls), EWOULDBLOCK); /* under way already */
    PEL_EXPECT_EQ(stat_of(pair.server), TTLS_CONN_HS_INPROGRESS);
    PEL_EXPECT_EQ(ask(pair.client, TTLS_INIT_CONNECTION, &ttls), 0);
    talk(pair.client, pair.server, "secret");
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_ttls, a_failed_handshake_is_a_reset)
{
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    env_start_policy(POLICY("ApplicationControlled On"));
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT(env_write_all(pair.client, "no handshake at all", 19));
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION, &ttls), ECONNRESET);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_QUERY_ONLY, &ttls), EPIPE);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_ttls, a_client_may_be_let_off)
{
    struct env_pair pair;
    struct TTLS_IOCTL ttls;
    env_start_policy(POLICY("ApplicationControlled On\n HandshakeTimeout 1"));
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(ask(pair.client, TTLS_INIT_CONNECTION | TTLS_ALLOW_HSTIMEOUT, &ttls), EPROTO);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_INIT_CONNECTION | TTLS_ALLOW_HSTIMEOUT, &ttls), ETIMEDOUT);
    PEL_EXPECT_EQ(ttls.TTLSi_Stat_Conn, TTLS_CONN_NOTSECURE);
    talk(pair.client, pair.server, "clear");
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_ttls, a_program_that_may_only_ask)
{
    struct env_pair pair;
    uint8_t cert[2048];
    int off = 0;
    struct TTLS_IOCTL ttls = {.TTLSi_Ver = TTLS_VERSION1,
                              .TTLSi_Req_Type = TTLS_RETURN_CERTIFICATE,
                              .TTLSi_BufferPtr = (uintptr_t)cert,
                              .TTLSi_BufferLen = sizeof cert};
    env_start_policy(POLICY(""));
    pair.listener = env_listen(TEST_PORT, 4);
    pair.client = env_connect(TEST_PORT, SOCK_NONBLOCK);
    pair.server = pel_accept(pair.listener, NULL, NULL);
    PEL_EXPECT_EQ(stat_of(pair.server), TTLS_CONN_HS_INPROGRESS); /* asking has mapped it */
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLOUT, 20000), POLLOUT);
    pel_ioctl(pair.client, FIONBIO, &off);
    talk(pair.client, pair.server, "secret");
    PEL_EXPECT_EQ(pel_ioctl(pair.client, SIOCTTLSCTL, &ttls), 0);
    PEL_EXPECT_EQ(ttls.TTLSi_Stat_Policy, TTLS_POL_ENABLED);
    PEL_EXPECT_EQ(ttls.TTLSi_Sec_Type, TTLS_SEC_CLIENT);
    PEL_EXPECT(ttls.TTLSi_Cert_Len > 100 && cert[0] == 0x30);
    ttls.TTLSi_BufferLen = 10;
    EXPECT_FAIL(pel_ioctl(pair.client, SIOCTTLSCTL, &ttls), ENOBUFS);
    PEL_EXPECT_EQ(ask(pair.client, TTLS_STOP_CONNECTION, &ttls), EACCES);
    PEL_EXPECT_EQ(ask(pair.server, TTLS_RESET_CIPHER, &ttls), EACCES);
    PEL_EXPECT_EQ(ask(pair.listener, TTLS_QUERY_ONLY, &ttls), ENOTCONN);
    EXPECT_FAIL(pel_ioctl(pair.client, SIOCTTLSCTL, NULL), EFAULT);
    int udp = pel_socket(AF_INET, SOCK_DGRAM, 0);
    PEL_EXPECT_EQ(ask(udp, TTLS_QUERY_ONLY, &ttls), EPROTOTYPE);
    pel_close(udp);
    env_pair_close(&pair);
    env_stop();
}

/* Closing, and the stack's own end, in the middle of it. */
PEL_TEST(socket_ttls, a_close_while_it_starts_or_stops)
{
    for (int at = 0; at < 4; at++) {
        struct env_pair pair;
        struct TTLS_IOCTL ttls;
        int on = 1;
        env_start_policy(POLICY("ApplicationControlled On"));
        PEL_REQUIRE(env_pair_open(&pair));
        if (at & 1)
            PEL_EXPECT_EQ(both(&pair, TTLS_INIT_CONNECTION, 0), 0);
        pel_ioctl(pair.server, FIONBIO, &on);
        PEL_EXPECT_EQ(ask(pair.server, at & 1 ? TTLS_STOP_CONNECTION : TTLS_INIT_CONNECTION, &ttls),
                      EINPROGRESS);
        if (at & 2)
            pel_shutdown(pair.server, SHUT_RDWR);
        env_pair_close(&pair);
        env_stop();
    }
}
