/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket's bytes, datagrams, readiness and options over a segment of which the test plays the daemon's
 * side.
 */
#include "apps/preload/stream.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "apps/preload/adopt.h"
#include "apps/preload/close.h"
#include "apps/preload/decide.h"
#include "apps/preload/options.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "tests/harness/harness.h"

#define RING_LEN 4096u
#define NUMBER   3u

/* ---- what the core's other files would do ---- */

static void (*on_wait)(struct pel_file *file);

int pel_wait_for(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart)
{
    (void)events, (void)timeout_us, (void)never_restart;
    if (on_wait == NULL)
        return -ETIMEDOUT;
    on_wait(file);
    return 0;
}

void pel_daemon_look(void)
{
}

void pel_close_last(struct pel_file *file)
{
    (void)file;
}

void pel_epoll_free(struct pel_epoll *epoll)
{
    (void)epoll;
}

int pel_file_info(struct pel_file *file, struct pel_ipc_info *ret_info)
{
    (void)file;
    *ret_info = (struct pel_ipc_info){.state = TCP_ESTABLISHED, .mss = 1000, .congestion_window_len = 10000};
    return 0;
}

/* ---- the daemon's side ---- */

static struct pel_app app;
static struct pel_file file;
static uint8_t *base;

static void start(uint16_t type, uint32_t flags)
{
    on_wait = NULL;
    app = (struct pel_app){
        .header = {.num_engines = 1, .num_wakers = 1, .num_sockets = 4, .ring_len = RING_LEN}};
    pel_segment_lay_out(&app.header);
    base = aligned_alloc(4096, app.header.len);
    memset(base, 0, app.header.len);
    app.base = base;
    app.bells[0] = eventfd(0, EFD_NONBLOCK);
    file = (struct pel_file){.kind = type == SOCK_STREAM ? PEL_FILE_STREAM : PEL_FILE_DGRAM, .refs = 1};
    file.app = &app;
    file.number = NUMBER;
    file.slot = pel_segment_slot(base, &app.header, NUMBER);
    file.rx = (struct pel_ring){.bytes = pel_slot_rx_ring(file.slot), .len = RING_LEN};
    file.tx = (struct pel_ring){.bytes = pel_slot_tx_ring(file.slot, RING_LEN), .len = RING_LEN};
    file.slot->type = type;
    file.slot->family = AF_INET;
    file.slot->state = PEL_SLOT_OPEN;
    pel_shared_set(&file, flags | PEL_SHARED_NONBLOCK);
}

static void stop(void)
{
    close(app.bells[0]);
    free(base);
}

static bool is_rung(void)
{
    struct pel_doorbell *bell = pel_segment_doorbell(base, &app.header, 0);
    bool is = bell->rung.words[NUMBER / 64] != 0;
    memset(&bell->rung, 0, sizeof bell->rung);
    return is;
}

static void receive_from_peer(const void *bytes, uint32_t len)
{
    pel_ring_copy_in(&file.rx, file.slot->rx_head, bytes, len);
    file.slot->rx_head += len;
}

static ssize_t get(void *bytes, size_t len, int flags)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    return pel_stream_recv(&file, &iov, 1, len, flags);
}

static ssize_t put(const void *bytes, size_t len)
{
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    return pel_stream_send(&file, &iov, 1, len, MSG_NOSIGNAL);
}

/* ---- streams ---- */

PEL_TEST(preload_stream, what_is_written_is_in_the_ring_and_the_engine_told)
{
    uint64_t rings = 0;
    char got[8] = "";
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    PEL_EXPECT_EQ(put("hello", 5), 5);
    PEL_EXPECT_EQ(file.slot->tx_head, 5);
    pel_ring_copy_out(&file.tx, 0, got, 5);
    PEL_EXPECT_STR(got, "hello");
    PEL_EXPECT(is_rung());
    PEL_EXPECT_EQ(read(app.bells[0], &rings, sizeof rings), -1); /* it was awake */
    pel_segment_doorbell(base, &app.header, 0)->is_engine_asleep = 1;
    PEL_EXPECT_EQ(put("x", 1), 1);
    PEL_EXPECT_EQ(read(app.bells[0], &rings, sizeof rings), sizeof rings);
    PEL_EXPECT_EQ(pel_segment_doorbell(base, &app.header, 0)->is_engine_asleep, 0);
    stop();
}

PEL_TEST(preload_stream, a_full_ring_takes_a_part_then_nothing_and_asks_for_room)
{
    static char bytes[RING_LEN + 100];
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    PEL_EXPECT_EQ(put(bytes, sizeof bytes), RING_LEN);
    PEL_EXPECT_EQ(put(bytes, 1), -EAGAIN);
    PEL_EXPECT_EQ(file.slot->wants_room, 1);
    PEL_EXPECT_EQ(pel_file_events(&file, POLLOUT), 0);
    file.slot->tx_tail += RING_LEN / 4 - 1; /* too little to come for */
    PEL_EXPECT_EQ(pel_file_events(&file, POLLOUT), 0);
    file.slot->tx_tail += 1;
    PEL_EXPECT_EQ(pel_file_events(&file, POLLOUT), PEL_OUT_EVENTS);
    PEL_EXPECT_EQ(put(bytes, sizeof bytes), RING_LEN / 4);
    stop();
}

PEL_TEST(preload_stream, bytes_come_out_in_order_round_the_end_of_the_ring)
{
    char got[64], expected[64];
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    file.slot->rx_head = file.slot->rx_tail = UINT32_MAX - 30; /* both ends: of the ring and of the numbers */
    for (int i = 0; i < 200; i++) {
        memset(expected, 'a' + i % 26, sizeof expected);
        receive_from_peer(expected, 37);
        struct iovec iov[3] = {{got, 10}, {got + 10, 0}, {got + 10, 54}};
        PEL_EXPECT_EQ(pel_stream_recv(&file, iov, 3, 64, MSG_PEEK), 37);
        PEL_EXPECT_EQ(pel_stream_recv(&file, iov, 3, 64, 0), 37);
        PEL_EXPECT_EQ(memcmp(got, expected, 37), 0);
    }
    PEL_EXPECT_EQ(get(got, 1, 0), -EAGAIN);
    PEL_EXPECT_EQ(pel_file_events(&file, POLLIN), 0);
    stop();
}

static void peer_sends_more(struct pel_file *of)
{
    (void)of;
    receive_from_peer("more", 4);
}

PEL_TEST(preload_stream, waitall_peek_and_trunc)
{
    char got[16] = "";
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    pel_shared_clear(&file, PEL_SHARED_NONBLOCK);
    on_wait = peer_sends_more;
    PEL_EXPECT_EQ(get(got, 10, MSG_WAITALL), 10);
    PEL_EXPECT_EQ(memcmp(got, "moremoremo", 10), 0);
    PEL_EXPECT_EQ(get(got, 1, MSG_TRUNC), 1);
    PEL_EXPECT_EQ(get(got, 5, MSG_DONTWAIT), 1);
    PEL_EXPECT_EQ(got[0], 'e');
    on_wait = NULL;
    PEL_EXPECT_EQ(get(got, 5, 0), -EAGAIN); /* its timeout ended */
    stop();
}

PEL_TEST(preload_stream, room_for_what_is_held_back_is_told_once_there_is_half_a_ring)
{
    static char bytes[RING_LEN];
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    receive_from_peer(bytes, RING_LEN);
    file.slot->state |= PEL_SLOT_HELD;
    PEL_EXPECT_EQ(get(bytes, RING_LEN / 2 - 1, 0), RING_LEN / 2 - 1);
    PEL_EXPECT_EQ(file.slot->asked, 0);
    PEL_EXPECT_EQ(get(bytes, 1, 0), 1);
    PEL_EXPECT_EQ(file.slot->asked, PEL_SLOT_ASK_RESUME);
    PEL_EXPECT(is_rung());
    stop();
}

PEL_TEST(preload_stream, the_first_look_at_an_accepted_socket_asks_for_its_mapping)
{
    start(SOCK_STREAM, PEL_SHARED_CONNECTING | PEL_SHARED_ACCEPTED);
    file.slot->state = 0;
    PEL_EXPECT_EQ(pel_file_events(&file, POLLIN | POLLOUT), PEL_OUT_EVENTS);
    PEL_EXPECT_EQ(file.slot->asked, PEL_SLOT_ASK_MAP);
    file.slot->asked = 0;
    PEL_EXPECT_EQ(put("early", 5), 5); /* before the handshake */
    PEL_EXPECT_EQ(file.slot->asked, 0);
    stop();
}

PEL_TEST(preload_stream, an_end_is_an_end_and_an_error_is_told_once)
{
    char byte;
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    receive_from_peer("x", 1);
    file.slot->gone_errno = ECONNRESET;
    file.slot->state |= PEL_SLOT_GONE;
    PEL_EXPECT(!(pel_file_events(&file, POLLIN) & POLLERR)); /* there is something to read before */
    PEL_EXPECT_EQ(get(&byte, 1, 0), 1);
    PEL_EXPECT(pel_file_events(&file, POLLIN) & POLLERR);
    PEL_EXPECT_EQ(get(&byte, 1, 0), -ECONNRESET);
    PEL_EXPECT_EQ(get(&byte, 1, 0), 0);
    PEL_EXPECT_EQ(put("x", 1), -EPIPE);
    PEL_EXPECT_EQ(pel_file_take_error(&file), 0);
    stop();
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    file.slot->state |= PEL_SLOT_EOF;
    PEL_EXPECT_EQ(get(&byte, 1, 0), 0);
    PEL_EXPECT_EQ(put("x", 1), 1);
    file.slot->gone_errno = ECONNRESET; /* what was written found nobody */
    file.slot->state |= PEL_SLOT_GONE;
    PEL_EXPECT_EQ(get(&byte, 1, 0), 0);
    PEL_EXPECT_EQ(put("x", 1), -EPIPE);
    stop();
}

PEL_TEST(preload_stream, the_daemons_death_ends_every_call)
{
    char byte;
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    app.is_gone = 1;
    PEL_EXPECT(pel_file_events(&file, POLLIN) & POLLHUP);
    PEL_EXPECT_EQ(put("x", 1), -ECONNRESET);
    PEL_EXPECT_EQ(get(&byte, 1, 0), 0);
    stop();
}

PEL_TEST(preload_stream, indices_that_cannot_be_are_no_bytes)
{
    static char bytes[2 * RING_LEN];
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    file.slot->rx_head = RING_LEN + 1;
    PEL_EXPECT_EQ(get(bytes, sizeof bytes, 0), -EAGAIN);
    file.slot->engine = 77; /* nobody's doorbell */
    PEL_EXPECT_EQ(put("x", 1), 1);
    stop();
}

PEL_TEST(preload_stream, what_is_no_connection_says_so)
{
    char byte;
    start(SOCK_STREAM, 0);
    PEL_EXPECT_EQ(get(&byte, 1, 0), -ENOTCONN);
    PEL_EXPECT_EQ(put("x", 1), -EPIPE);
    PEL_EXPECT_EQ(pel_file_events(&file, POLLIN), PEL_OUT_EVENTS | POLLHUP);
    pel_shared_set(&file, PEL_SHARED_CUT);
    PEL_EXPECT_EQ(put("x", 1), -ECONNRESET);
    PEL_EXPECT_EQ(put("x", 1), -EPIPE);
    stop();
}

/* ---- datagrams ---- */

static void datagram_from(uint16_t port, const void *bytes, uint32_t len)
{
    struct pel_datagram_header header = {.payload_len = len,
                                         .address = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}}};
    pel_ring_copy_in(&file.rx, file.slot->rx_head, &header, sizeof header);
    pel_ring_copy_in(&file.rx, file.slot->rx_head + (uint32_t)sizeof header, bytes, len);
    file.slot->rx_head += pel_datagram_record_len(len);
}

static ssize_t get_datagram(void *bytes, size_t len, int flags, union pel_ipc_address *ret_address,
                            int *ret_flags)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    return pel_dgram_recv(&file, &iov, 1, flags, ret_address, ret_flags);
}

PEL_TEST(preload_stream, datagrams_keep_their_bounds_and_senders)
{
    char got[64];
    union pel_ipc_address from;
    int flags = 0;
    start(SOCK_DGRAM, 0);
    file.slot->rx_head = file.slot->rx_tail = 0u - 40u; /* the header of the first goes round the end */
    for (uint16_t i = 0; i < 300; i++) {
        datagram_from(i, "abcdefghij", i % 11u);
        datagram_from(9, "", 0);
        PEL_EXPECT_EQ(pel_dgram_next_len(&file), i % 11u);
        PEL_EXPECT_EQ(get_datagram(got, sizeof got, 0, &from, &flags), i % 11);
        PEL_EXPECT_EQ(ntohs(from.in.sin_port), i);
        PEL_EXPECT_EQ(memcmp(got, "abcdefghij", i % 11u), 0);
        PEL_EXPECT_EQ(get_datagram(got, sizeof got, 0, &from, &flags), 0);
    }
    PEL_EXPECT_EQ(flags, 0);
    datagram_from(1, "abcdefghij", 10);
    PEL_EXPECT_EQ(get_datagram(got, 4, MSG_PEEK | MSG_TRUNC, NULL, &flags), 10);
    PEL_EXPECT_EQ(flags, MSG_TRUNC);
    PEL_EXPECT_EQ(get_datagram(got, 4, 0, NULL, NULL), 4);
    PEL_EXPECT_EQ(get_datagram(got, 4, 0, NULL, NULL), -EAGAIN);
    stop();
}

PEL_TEST(preload_stream, datagrams_are_sent_whole_or_not_at_all)
{
    static char bytes[70000];
    struct pel_datagram_header header;
    struct iovec iov = {.iov_base = bytes, .iov_len = 1000};
    union pel_ipc_address to = {.in = {.sin_family = AF_INET, .sin_port = htons(53)}};
    start(SOCK_DGRAM, 0);
    PEL_EXPECT_EQ(pel_dgram_send(&file, &iov, 1, 1000, 0, NULL), -EDESTADDRREQ);
    for (uint32_t i = 0; i < RING_LEN / 1032; i++)
        PEL_EXPECT_EQ(pel_dgram_send(&file, &iov, 1, 1000, 0, &to), 1000);
    PEL_EXPECT_EQ(pel_dgram_send(&file, &iov, 1, 1000, 0, &to), -EAGAIN);
    PEL_EXPECT_EQ(file.slot->wants_room, 1);
    pel_ring_copy_out(&file.tx, 1032, &header, sizeof header);
    PEL_EXPECT_EQ(header.payload_len, 1000);
    PEL_EXPECT_EQ(ntohs(header.address.in.sin_port), 53);
    iov.iov_len = 65508;
    PEL_EXPECT_EQ(pel_dgram_send(&file, &iov, 1, 65508, 0, &to), -EMSGSIZE);
    iov.iov_len = RING_LEN;
    PEL_EXPECT_EQ(pel_dgram_send(&file, &iov, 1, RING_LEN, 0, &to), -EMSGSIZE); /* no ring could hold it */
    file.slot->pending_errno = ECONNREFUSED;
    PEL_EXPECT(pel_file_events(&file, POLLIN) & POLLERR);
    PEL_EXPECT_EQ(get_datagram(bytes, 1, 0, NULL, NULL), -ECONNREFUSED);
    PEL_EXPECT_EQ(get_datagram(bytes, 1, 0, NULL, NULL), -EAGAIN);
    stop();
}

PEL_TEST(preload_stream, a_record_that_cannot_be_is_none)
{
    char got[64];
    start(SOCK_DGRAM, 0);
    datagram_from(1, "abc", 3);
    ((struct pel_datagram_header *)(void *)file.rx.bytes)->payload_len = 60000;
    PEL_EXPECT_EQ(get_datagram(got, sizeof got, 0, NULL, NULL), -EAGAIN);
    stop();
}

/* ---- options ---- */

static int get_int(int level, int name)
{
    int value = -1;
    unsigned len = sizeof value;
    return pel_options_get(&file, level, name, &value, &len) == 0 && len == sizeof value ? value : -1;
}

static int set_int(int level, int name, int value)
{
    return pel_options_set(&file, -1, level, name, &value, sizeof value);
}

PEL_TEST(preload_stream, options_are_kept_told_back_and_brought_to_the_daemon)
{
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    PEL_EXPECT_EQ(set_int(IPPROTO_TCP, TCP_NODELAY, 7), 0);
    PEL_EXPECT_EQ(get_int(IPPROTO_TCP, TCP_NODELAY), 1);
    PEL_EXPECT_EQ(file.slot->options.is_nodelay, 1);
    PEL_EXPECT_EQ(file.slot->asked, PEL_SLOT_ASK_OPTIONS);
    file.slot->asked = 0;
    PEL_EXPECT_EQ(set_int(IPPROTO_TCP, TCP_KEEPIDLE, 0), EINVAL);
    PEL_EXPECT_EQ(set_int(IPPROTO_TCP, TCP_KEEPIDLE, 32768), EINVAL);
    PEL_EXPECT_EQ(file.slot->asked, 0);
    PEL_EXPECT_EQ(set_int(IPPROTO_TCP, TCP_KEEPIDLE, 99), 0);
    PEL_EXPECT_EQ(file.slot->options.keep_idle_s, 99);
    PEL_EXPECT_EQ(set_int(SOL_SOCKET, SO_SNDBUF, 1000), 0);
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_SNDBUF), 2000);
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_RCVBUF), RING_LEN);
    PEL_EXPECT_EQ(set_int(IPPROTO_TCP, TCP_QUICKACK, 0), 0);
    PEL_EXPECT_EQ(get_int(IPPROTO_TCP, TCP_QUICKACK), 0);
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_RCVLOWAT), 1);
    PEL_EXPECT_EQ(set_int(SOL_SOCKET, SO_TYPE, 1), ENOPROTOOPT);
    PEL_EXPECT_EQ(set_int(SOL_SOCKET, 9999, 1), ENOPROTOOPT);
    PEL_EXPECT_EQ(set_int(IPPROTO_IPV6, IPV6_V6ONLY, 1), ENOPROTOOPT); /* an IPv4 socket */
    PEL_EXPECT_EQ(pel_options_set(&file, -1, SOL_SOCKET, SO_KEEPALIVE, NULL, 4), EFAULT);
    PEL_EXPECT_EQ(pel_options_set(&file, -1, SOL_SOCKET, SO_KEEPALIVE, "", 1), EINVAL);
    stop();
}

PEL_TEST(preload_stream, options_that_are_more_than_a_number)
{
    struct timeval time = {.tv_sec = 1, .tv_usec = 500000}, told;
    struct linger linger = {.l_onoff = 1, .l_linger = -5};
    struct tcp_info info;
    unsigned len = sizeof told;
    start(SOCK_STREAM, PEL_SHARED_CONNECTING);
    PEL_EXPECT_EQ(pel_options_set(&file, -1, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    PEL_EXPECT_EQ(pel_shared_of(&file)->recv_timeout_us, 1500000);
    PEL_EXPECT_EQ(pel_options_get(&file, SOL_SOCKET, SO_RCVTIMEO, &told, &len), 0);
    PEL_EXPECT_EQ(memcmp(&time, &told, sizeof time), 0);
    time.tv_usec = 1000000;
    PEL_EXPECT_EQ(pel_options_set(&file, -1, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), EDOM);
    PEL_EXPECT_EQ(pel_options_set(&file, -1, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    PEL_EXPECT_EQ(file.slot->options.is_linger, 1);
    PEL_EXPECT_EQ(file.slot->options.linger_s, 0);
    len = 1;
    PEL_EXPECT_EQ(pel_options_get(&file, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    PEL_EXPECT_EQ(len, 1);
    PEL_EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
    len = sizeof info;
    PEL_EXPECT_EQ(pel_options_get(&file, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    PEL_EXPECT_EQ(info.tcpi_snd_mss, 1000);
    PEL_EXPECT_EQ(info.tcpi_snd_cwnd, 10);
    file.slot->gone_errno = ETIMEDOUT;
    file.slot->state |= PEL_SLOT_GONE;
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_ERROR), ETIMEDOUT);
    PEL_EXPECT_EQ(get_int(SOL_SOCKET, SO_ERROR), 0);
    stop();
}

PEL_TEST(preload_stream, a_kernel_sockets_options_go_along)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct timeval time = {.tv_sec = 2};
    struct pel_slot_options options;
    PEL_REQUIRE(fd >= 0);
    start(SOCK_STREAM, 0);
    pel_shared_clear(&file, PEL_SHARED_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    pel_options_of_kernel(fd, &options);
    PEL_EXPECT_EQ(options.is_nodelay, 1);
    PEL_EXPECT_EQ(options.is_reuseaddr, 1);
    PEL_EXPECT_EQ(options.is_reuseport, 0);
    PEL_EXPECT_EQ(options.keep_idle_s, 7200);
    pel_options_carry_over(fd, &file);
    PEL_EXPECT_EQ(pel_shared_of(&file)->send_timeout_us, 2000000);
    PEL_EXPECT(pel_shared_flags(&file) & PEL_SHARED_NONBLOCK);
    close(fd);
    stop();
}
