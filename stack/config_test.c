/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/harness.h"

#define PORT    "port:\n  device: net_null0\n"
#define ADDRESS "ip:\n  addresses: [ 192.0.2.1/24 ]\n"

static enum pel_err read_text(const char *text, struct pel_config *config, struct pel_error *error)
{
    error->text[0] = '\0';
    return pel_config_read("x.yaml", text, strlen(text), config, error);
}

PEL_TEST(config, defaults)
{
    struct pel_config config;
    struct pel_error error;
    PEL_REQUIRE_OK(read_text(PORT ADDRESS, &config, &error));
    PEL_EXPECT_STR(config.port.device, "net_null0");
    PEL_EXPECT_EQ(config.port.mtu, 1500);
    PEL_EXPECT_EQ(config.packet.memory_mb, 256);
    PEL_EXPECT_EQ(config.packet.hugepages, PEL_CONFIG_HUGE_AUTO);
    PEL_EXPECT_EQ(config.ip.num_addrs, 1);
    PEL_EXPECT_EQ(config.ip.addrs[0].prefix_len, 24);
    PEL_EXPECT_EQ(config.sockets.buffer_len, 128 * 1024);
    PEL_EXPECT(!config.policy.no_match_refuse && !config.policy.start_gate_open && !config.engine.busy_poll);
    PEL_EXPECT(!config.policy.compat_zos && !config.policy.watch && !config.policy.no_flush);
    PEL_EXPECT(config.engine.count == 1 && config.engine.num_cores == 0);
    PEL_EXPECT_STR(config.policy.keyring_dir, "");
    PEL_EXPECT(config.control.socket == NULL && config.attach.socket == NULL);
    PEL_EXPECT_STR(config.attach.group, "");
    PEL_EXPECT(config.attach.mode == 0666 && config.attach.num_jobs_named == 0);
    PEL_EXPECT(config.attach.max_sockets == 16384 && config.attach.max_sockets_per_user == 65536);
    PEL_EXPECT(config.attach.max_applications == 4096 && config.attach.buffer_len == 128 * 1024);
    PEL_EXPECT(config.attach.num_kernel_networks == 2 && config.attach.kernel_networks[0].prefix_len == 8);
    PEL_EXPECT(config.attach.kernel_networks[1].prefix_len == 128 && config.stop.drain_s == 10);
    pel_config_free(&config);
}

PEL_TEST(config, everything)
{
    static const char text[] =
        "packet:\n  hugepages: no\n  memory_mb: 512\n  num_packets: 4096\n"
        "port:\n  device: \"net_tap0,iface=pel0\"\n  mtu: 9000\n"
        "ip:\n  addresses: [ \"192.0.2.1/24\", \"2001:db8::1/64\" ]\n  gateway4: 192.0.2.254\n"
        "  gateway6: \"2001:db8::ffff\"\n  autoconf6: false\n"
        "tcp:\n  max_connections: 10\n  window_kb: 64\n"
        "policy:\n  files: [ a, b ]\n  keyring_dir: /k\n  image: TCPIP1\n  no_match: refuse\n"
        "  start_gate: open\n  compat: zos\n  watch: on\n  flush: off\n"
        "engine:\n  poll: busy\n  count: 3\n  cores: [ 5, 7, 6 ]\nsockets:\n  max: 100\n  buffer_kb: "
        "64\ncontrol:\n  socket: /run/x.sock\n"
        "attach:\n  socket: /run/a.sock\n  mode: \"0660\"\n  group: staff\n  max_sockets: 64\n"
        "  max_sockets_per_user: 1000\n  max_applications: 7\n  buffer_kb: 1024\n  jobs_named: [ joe, \"*\" "
        "]\n"
        "  kernel_networks: [ \"10.0.0.0/8\" ]\nstop:\n  drain_s: 0\n";
    struct pel_config config;
    struct pel_error error;
    PEL_REQUIRE_OK(read_text(text, &config, &error));
    PEL_EXPECT_EQ(config.packet.hugepages, PEL_CONFIG_HUGE_NO);
    PEL_EXPECT_EQ(config.port.mtu, 9000);
    PEL_EXPECT_EQ(config.ip.num_addrs, 2);
    PEL_EXPECT_EQ(config.ip.addrs[1].ip.version, 6);
    PEL_EXPECT(!config.ip.autoconf6 && !config.ip.dhcp4);
    PEL_EXPECT_EQ(config.ip.gateway6.version, 6);
    PEL_EXPECT_EQ(config.tcp.window_len, 64 * 1024);
    PEL_EXPECT_EQ(config.policy.num_files, 2);
    PEL_EXPECT_STR(config.policy.files[1], "b");
    PEL_EXPECT_STR(config.policy.image, "TCPIP1");
    PEL_EXPECT(config.policy.no_match_refuse && config.policy.start_gate_open && config.engine.busy_poll);
    PEL_EXPECT(config.policy.compat_zos && config.policy.watch && config.policy.no_flush);
    PEL_EXPECT(config.engine.count == 3 && config.engine.num_cores == 3 && config.engine.cores[1] == 7);
    PEL_EXPECT_STR(config.control.socket, "/run/x.sock");
    PEL_EXPECT_STR(config.attach.socket, "/run/a.sock");
    PEL_EXPECT_STR(config.attach.group, "staff");
    PEL_EXPECT(config.attach.mode == 0660 && config.attach.max_sockets == 64);
    PEL_EXPECT(config.attach.max_sockets_per_user == 1000 && config.attach.max_applications == 7);
    PEL_EXPECT(config.attach.buffer_len == 1 << 20 && config.attach.num_jobs_named == 2);
    PEL_EXPECT_STR(config.attach.jobs_named[1], "*");
    PEL_EXPECT(config.attach.num_kernel_networks == 1 && config.attach.kernel_networks[0].prefix_len == 8);
    PEL_EXPECT_EQ(config.stop.drain_s, 0);
    pel_config_free(&config);
}

PEL_TEST(config, no_kernel_networks)
{
    struct pel_config config;
    struct pel_error error;
    PEL_REQUIRE_OK(read_text(PORT ADDRESS
                             "attach:\n  socket: \"\"\n  kernel_networks: [ none ]\n  jobs_named: []\n",
                             &config, &error));
    PEL_EXPECT_STR(config.attach.socket, "");
    PEL_EXPECT(config.attach.num_kernel_networks == 0 && config.attach.num_jobs_named == 0);
    pel_config_free(&config);
}

/* What is wrong, and a part of what must be said. */
static const struct {
    const char *text, *said;
} wrong[] = {
    {"", "the file is empty"},
    {ADDRESS, "port.device is missing"},
    {PORT, "ip: no address"},
    {PORT ADDRESS "color: red\n", "Unexpected key: color"},
    {"port:\n  device: net_null0\n  colour: red\n" ADDRESS, "Unexpected key: colour"},
    {"port:\n  device: net_null0\n  mtu: 100\n" ADDRESS, "port.mtu: 100 is out of range: 1280 to 9216"},
    {"port:\n  device: net_null0\n  mtu: many\n" ADDRESS, "x.yaml:3:8: Invalid uint64_t value: 'many'"},
    {PORT "ip:\n  addresses: [ 192.0.2.1 ]\n",
     "ip.addresses: \"192.0.2.1\" is no address with a prefix length"},
    {PORT "ip:\n  addresses: [ 192.0.2.1/33 ]\n", "\"192.0.2.1/33\" is no address"},
    {PORT "ip:\n  addresses: [ 1.2.3/8 ]\n", "\"1.2.3/8\" is no address"},
    {PORT "ip:\n  addresses: [ 10.0.0.1/8, 10.0.0.2/8 ]\n", "more than one IPv4 address"},
    {PORT "ip:\n  dhcp4: true\n  addresses: [ 10.0.0.1/8 ]\n", "more than one IPv4 address"},
    {PORT "ip:\n  addresses: [ 10.0.0.1/8 ]\n  gateway4: \"2001:db8::1\"\n",
     "ip.gateway4: \"2001:db8::1\" is no IPv4 address"},
    {PORT ADDRESS "policy:\n  watch: yes\n", "policy.watch: \"yes\" is not known; write one of off, on"},
    {PORT ADDRESS "policy:\n  flush: never\n", "policy.flush: \"never\" is not known; write one of on, off"},
    {PORT ADDRESS "policy:\n  compat: ZOS\n",
     "policy.compat: \"ZOS\" is not known; write one of pellucid, zos"},
    {PORT ADDRESS "policy:\n  no_match: refused\n",
     "policy.no_match: \"refused\" is not known; write one of clear, refuse (did you mean refuse?)"},
    {PORT ADDRESS "engine:\n  poll: lazy\n", "engine.poll: \"lazy\" is not known"},
    {PORT ADDRESS "engine:\n  count: 65\n", "engine.count: 65 is out of range: 1 to 64"},
    {PORT ADDRESS "engine:\n  count: 2\n  cores: [ 1 ]\n", "engine.cores: 1 cores for engine.count: 2"},
    {PORT ADDRESS "engine:\n  count: 2\n  cores: [ 1, 1 ]\n", "engine.cores: 1 is written twice"},
    {PORT ADDRESS "engine:\n  cores: [ 1024 ]\n", "engine.cores: 1024 is out of range: 0 to 1023"},
    {PORT "ip:\n  dhcp4: true\nengine:\n  count: 2\n", "ip.dhcp4 and ip.autoconf6 are for one engine"},
    {PORT ADDRESS "sockets:\n  buffer_kb: 100\n", "sockets.buffer_kb: 100 is no power of two"},
    {PORT ADDRESS "attach:\n  socket: a.sock\n", "attach.socket: \"a.sock\" is no absolute path"},
    {PORT ADDRESS "attach:\n  mode: \"0999\"\n", "attach.mode: \"0999\" is no file mode"},
    {PORT ADDRESS "attach:\n  mode: \"01777\"\n", "attach.mode: \"01777\" is no file mode"},
    {PORT ADDRESS "attach:\n  buffer_kb: 2048\n", "attach.buffer_kb: 2048 is out of range: 4 to 1024"},
    {PORT ADDRESS "attach:\n  buffer_kb: 100\n", "attach.buffer_kb: 100 is no power of two"},
    {PORT ADDRESS "attach:\n  max_sockets: 63\n", "attach.max_sockets: 63 is out of range: 64 to 32768"},
    {PORT ADDRESS "attach:\n  kernel_networks: [ localhost ]\n",
     "attach.kernel_networks: \"localhost\" is no address with a prefix length"},
    {PORT ADDRESS "stop:\n  drain_s: 3601\n", "stop.drain_s: 3601 is out of range: 0 to 3600"},
    {PORT ADDRESS "packet: [ 1 ]\n", "x.yaml"},
    {PORT ADDRESS "packet:\n\t- x\n", "x.yaml"},
    {PORT ADDRESS "packet: &a { memory_mb: 64 }\ntcp: *a\n", "x.yaml"},
};

PEL_TEST(config, errors_say_where_and_what)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pel_config config;
        struct pel_error error;
        PEL_EXPECT_ERR(read_text(wrong[i].text, &config, &error), PEL_E_CONFIG_SYNTAX);
        PEL_EXPECT_HAS(error.text, "x.yaml:");
        PEL_EXPECT_HAS(error.text, wrong[i].said);
    }
}

PEL_TEST(config, files_that_are_none)
{
    struct pel_config config;
    struct pel_error error;
    char fifo[64];
    PEL_EXPECT_ERR(pel_config_read_file("/nonexistent/x.yaml", &config, &error), PEL_E_IO);
    PEL_EXPECT_HAS(error.text, "/nonexistent/x.yaml: cannot be read: No such file");
    PEL_EXPECT_ERR(pel_config_read_file("/tmp", &config, &error), PEL_E_IO);
    snprintf(fifo, sizeof fifo, "/tmp/pellucid-config-%d", (int)getpid());
    PEL_REQUIRE(mkfifo(fifo, 0600) == 0);
    PEL_EXPECT_ERR(pel_config_read_file(fifo, &config, &error), PEL_E_IO);
    PEL_EXPECT_HAS(error.text, "is no regular file");
    unlink(fifo);
}
