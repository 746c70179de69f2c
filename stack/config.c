/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

#define FILE_LEN_MAX ((size_t)1 << 20)
#define CORES_MAX    1024u

/* ---- the file's shape, as libcyaml fills it: pointers where a default holds when nothing is written ---- */

struct yaml_packet {
    char *hugepages;
    uint32_t *memory_mb, *num_packets;
};
struct yaml_port {
    char *device;
    uint32_t *mtu;
};
struct yaml_ip {
    char **addresses;
    unsigned num_addresses;
    char *gateway4, *gateway6;
    bool *dhcp4, *autoconf6;
};
struct yaml_tcp {
    uint32_t *max_connections, *window_kb;
};
struct yaml_policy {
    char **files;
    unsigned num_files;
    char *keyring_dir, *image, *no_match, *start_gate, *compat, *watch, *flush;
};
struct yaml_engine {
    uint32_t *count;
    uint32_t *cores;
    unsigned num_cores;
    char *poll;
};
struct yaml_sockets {
    uint32_t *max, *buffer_kb;
};
struct yaml_control {
    char *socket;
};
struct yaml_attach {
    char *socket, *mode, *group;
    uint32_t *max_sockets, *max_sockets_per_user, *max_applications, *buffer_kb;
    char **jobs_named;
    unsigned num_jobs_named;
    char **kernel_networks;
    unsigned num_kernel_networks;
};
struct yaml_stop {
    uint32_t *drain_s;
};
struct yaml_root {
    struct yaml_packet *packet;
    struct yaml_port *port;
    struct yaml_ip *ip;
    struct yaml_tcp *tcp;
    struct yaml_policy *policy;
    struct yaml_engine *engine;
    struct yaml_sockets *sockets;
    struct yaml_control *control;
    struct yaml_attach *attach;
    struct yaml_stop *stop;
};

#define TEXT(key, type)                                                                                      \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, 0, CYAML_UNLIMITED)
#define NUMBER(key, type) CYAML_FIELD_UINT_PTR(#key, CYAML_FLAG_OPTIONAL, type, key)
#define BOOL(key, type)   CYAML_FIELD_BOOL_PTR(#key, CYAML_FLAG_OPTIONAL, type, key)
#define LIST(key, type, num)                                                                                 \
    CYAML_FIELD_SEQUENCE_COUNT(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, num, &text_value,  \
                               0, CYAML_UNLIMITED)
#define SECTION(key, fields) CYAML_FIELD_MAPPING_PTR(#key, CYAML_FLAG_OPTIONAL, struct yaml_root, key, fields)

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_value_t core_value = {
    CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t),
};
static const cyaml_schema_field_t packet_fields[] = {
    TEXT(hugepages, struct yaml_packet),
    NUMBER(memory_mb, struct yaml_packet),
    NUMBER(num_packets, struct yaml_packet),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t port_fields[] = {
    TEXT(device, struct yaml_port),
    NUMBER(mtu, struct yaml_port),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t ip_fields[] = {
    LIST(addresses, struct yaml_ip, num_addresses),
    TEXT(gateway4, struct yaml_ip),
    TEXT(gateway6, struct yaml_ip),
    BOOL(dhcp4, struct yaml_ip),
    BOOL(autoconf6, struct yaml_ip),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t tcp_fields[] = {
    NUMBER(max_connections, struct yaml_tcp),
    NUMBER(window_kb, struct yaml_tcp),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t policy_fields[] = {
    LIST(files, struct yaml_policy, num_files),
    TEXT(keyring_dir, struct yaml_policy),
    TEXT(image, struct yaml_policy),
    TEXT(no_match, struct yaml_policy),
    TEXT(start_gate, struct yaml_policy),
    TEXT(compat, struct yaml_policy),
    TEXT(watch, struct yaml_policy),
    TEXT(flush, struct yaml_policy),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t engine_fields[] = {
    NUMBER(count, struct yaml_engine),
    CYAML_FIELD_SEQUENCE_COUNT("cores", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct yaml_engine, cores,
                               num_cores, &core_value, 0, CYAML_UNLIMITED),
    TEXT(poll, struct yaml_engine),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t sockets_fields[] = {
    NUMBER(max, struct yaml_sockets),
    NUMBER(buffer_kb, struct yaml_sockets),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t control_fields[] = {
    TEXT(socket, struct yaml_control),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t attach_fields[] = {
    TEXT(socket, struct yaml_attach),
    TEXT(mode, struct yaml_attach),
    TEXT(group, struct yaml_attach),
    NUMBER(max_sockets, struct yaml_attach),
    NUMBER(max_sockets_per_user, struct yaml_attach),
    NUMBER(max_applications, struct yaml_attach),
    NUMBER(buffer_kb, struct yaml_attach),
    LIST(jobs_named, struct yaml_attach, num_jobs_named),
    LIST(kernel_networks, struct yaml_attach, num_kernel_networks),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t stop_fields[] = {
    NUMBER(drain_s, struct yaml_stop),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t root_fields[] = {
    SECTION(packet, packet_fields),
    SECTION(port, port_fields),
    SECTION(ip, ip_fields),
    SECTION(tcp, tcp_fields),
    SECTION(policy, policy_fields),
    SECTION(engine, engine_fields),
    SECTION(sockets, sockets_fields),
    SECTION(control, control_fields),
    SECTION(attach, attach_fields),
    SECTION(stop, stop_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t root_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_root, root_fields),
};

/* ---- libcyaml's messages: the first says what, the first line of the back-trace behind it says where
 * ---- */

struct messages {
    char what[200];
    unsigned line, column; /* 0: not said */
};

static void collect(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    struct messages *messages = ctx;
    char text[256];
    const char *at;
    (void)level;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    at = strstr(text, "(line: ");
    if (at != NULL && messages->line == 0)
        sscanf(at, "(line: %u, column: %u", &messages->line, &messages->column);
    if (messages->what[0] == '\0')
        snprintf(messages->what, sizeof messages->what, "%s",
                 strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
}

static enum pel_err refuse(const char *file, cyaml_err_t loaded, const struct messages *messages,
                           struct pel_error *reterr)
{
    const char *what = messages->what[0] != '\0' ? messages->what : "the file is empty";
    if (messages->line > 0)
        return pel_error_set(reterr, PEL_E_CONFIG_SYNTAX, "%s:%u:%u: %s", file, messages->line,
                             messages->column, what);
    return pel_error_set(reterr, PEL_E_CONFIG_SYNTAX, "%s: %s: %s", file, cyaml_strerror(loaded), what);
}

static cyaml_config_t cyaml_config_of(struct messages *messages)
{
    return (cyaml_config_t){
        .log_fn = collect,
        .log_ctx = messages,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

/* ---- checks, value by value ---- */

struct check {
    const char *file;
    struct pel_config *config;
    struct pel_error *reterr;
};

#define FAIL(check, ...) pel_error_set((check)->reterr, PEL_E_CONFIG_SYNTAX, __VA_ARGS__)

static enum pel_err take_text(const char *text, const char *otherwise, char **ret)
{
    if (text == NULL)
        text = otherwise;
    if (text == NULL)
        return PEL_OK;
    *ret = strdup(text);
    return *ret != NULL ? PEL_OK : PEL_E_NO_MEMORY;
}

static enum pel_err take_number(const struct check *check, const char *key, const uint32_t *value,
                                uint32_t otherwise, uint32_t min, uint32_t max, uint32_t *ret)
{
    *ret = value != NULL ? *value : otherwise;
    if (*ret < min || *ret > max)
        return FAIL(check, "%s: %s: %u is out of range: %u to %u", check->file, key, *ret, min, max);
    return PEL_OK;
}

/* Which of `words` is written; the first when nothing is. */
static enum pel_err take_word(const struct check *check, const char *key, const char *value,
                              const char *const *words, size_t num_words, uint32_t *ret)
{
    *ret = 0;
    if (value == NULL)
        return PEL_OK;
    for (uint32_t i = 0; i < num_words; i++) {
        if (strcmp(value, words[i]) == 0) {
            *ret = i;
            return PEL_OK;
        }
    }
    const char *nearest = pel_text_nearest(value, words, num_words);
    return FAIL(check, "%s: %s: \"%s\" is not known; write one of %s, %s%s%s%s%s%s", check->file, key, value,
                words[0], words[1], num_words > 2 ? ", " : "", num_words > 2 ? words[2] : "",
                nearest != NULL ? " (did you mean " : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "?)" : "");
}

static enum pel_err take_ip(const struct check *check, const char *key, const char *value, uint8_t version,
                            struct pel_ip *ret)
{
    if (value == NULL)
        return PEL_OK;
    if (pel_ip_parse(value, ret) != PEL_OK || ret->version != version)
        return FAIL(check, "%s: %s: \"%s\" is no IPv%u address", check->file, key, value, version);
    return PEL_OK;
}

static enum pel_err take_prefix(const struct check *check, const char *key, const char *value,
                                struct pel_ip_prefix *ret)
{
    char ip[64], *end = NULL;
    const char *slash = strchr(value, '/');
    size_t ip_len = slash != NULL ? (size_t)(slash - value) : sizeof ip;
    if (ip_len < sizeof ip) {
        memcpy(ip, value, ip_len);
        ip[ip_len] = '\0';
        unsigned long prefix_len = strtoul(slash + 1, &end, 10);
        bool number = slash[1] >= '0' && slash[1] <= '9' && *end == '\0';
        if (number && pel_ip_parse(ip, &ret->ip) == PEL_OK &&
            prefix_len <= (ret->ip.version == 4 ? 32u : 128u)) {
            ret->prefix_len = (uint8_t)prefix_len;
            return PEL_OK;
        }
    }
    return FAIL(check,
                "%s: %s: \"%s\" is no address with a prefix length, such as 192.0.2.1/24 or 2001:db8::1/64",
                check->file, key, value);
}

static enum pel_err check_packet(const struct check *check, const struct yaml_packet *yaml)
{
    static const char *const words[] = {"auto", "yes", "no"};
    struct yaml_packet none = {0};
    uint32_t huge = 0;
    yaml = yaml != NULL ? yaml : &none;
    PEL_TRY(take_word(check, "packet.hugepages", yaml->hugepages, words, 3, &huge));
    check->config->packet.hugepages = (enum pel_hugepages)huge;
    PEL_TRY(take_number(check, "packet.num_packets", yaml->num_packets, 16384, 512, 1u << 20,
                        &check->config->packet.num_packets));
    return take_number(check, "packet.memory_mb", yaml->memory_mb, 256, 64, 65536,
                       &check->config->packet.memory_mb);
}

static enum pel_err check_port(const struct check *check, const struct yaml_port *yaml)
{
    if (yaml == NULL || yaml->device == NULL || yaml->device[0] == '\0')
        return FAIL(check,
                    "%s: port.device is missing: name a DPDK device, such as \"net_tap0,iface=pel0\" or a "
                    "PCI address",
                    check->file);
    PEL_TRY(take_text(yaml->device, NULL, &check->config->port.device));
    return take_number(check, "port.mtu", yaml->mtu, 1500, 1280, 9216, &check->config->port.mtu);
}

static enum pel_err check_ip(const struct check *check, const struct yaml_ip *yaml)
{
    struct yaml_ip none = {0};
    unsigned num_ipv4 = 0;
    yaml = yaml != NULL ? yaml : &none;
    check->config->ip.dhcp4 = yaml->dhcp4 != NULL && *yaml->dhcp4;
    check->config->ip.autoconf6 = yaml->autoconf6 != NULL && *yaml->autoconf6;
    if (yaml->num_addresses > PEL_IP_ADDRS_MAX)
        return FAIL(check, "%s: ip.addresses: %u addresses; at most %u", check->file, yaml->num_addresses,
                    PEL_IP_ADDRS_MAX);
    for (unsigned i = 0; i < yaml->num_addresses; i++) {
        PEL_TRY(take_prefix(check, "ip.addresses", yaml->addresses[i], &check->config->ip.addrs[i]));
        num_ipv4 += check->config->ip.addrs[i].ip.version == 4;
    }
    check->config->ip.num_addrs = yaml->num_addresses;
    if (num_ipv4 > 1 || (num_ipv4 > 0 && check->config->ip.dhcp4))
        return FAIL(check,
                    "%s: ip.addresses: more than one IPv4 address (dhcp4 counts as one); a port has one",
                    check->file);
    if (yaml->num_addresses == 0 && !check->config->ip.dhcp4 && !check->config->ip.autoconf6)
        return FAIL(check, "%s: ip: no address: write ip.addresses, or dhcp4: true, or autoconf6: true",
                    check->file);
    PEL_TRY(take_ip(check, "ip.gateway4", yaml->gateway4, 4, &check->config->ip.gateway4));
    return take_ip(check, "ip.gateway6", yaml->gateway6, 6, &check->config->ip.gateway6);
}

static enum pel_err check_tcp(const struct check *check, const struct yaml_tcp *yaml)
{
    struct yaml_tcp none = {0};
    uint32_t window_kb = 0;
    yaml = yaml != NULL ? yaml : &none;
    PEL_TRY(take_number(check, "tcp.window_kb", yaml->window_kb, 512, 16, 4096, &window_kb));
    check->config->tcp.window_len = window_kb * 1024;
    return take_number(check, "tcp.max_connections", yaml->max_connections, 65536, 1, 1u << 20,
                       &check->config->tcp.max_connections);
}

static enum pel_err check_policy(const struct check *check, const struct yaml_policy *yaml)
{
    static const char *const no_match[] = {"clear", "refuse"}, *const gate[] = {"closed", "open"};
    static const char *const watch[] = {"off", "on"}, *const flush[] = {"on", "off"};
    static const char *const compat[] = {"pellucid", "zos"};
    struct yaml_policy none = {0};
    uint32_t word = 0;
    yaml = yaml != NULL ? yaml : &none;
    if (yaml->num_files > PEL_CONFIG_POLICY_FILES_MAX)
        return FAIL(check, "%s: policy.files: %u files; at most %u", check->file, yaml->num_files,
                    PEL_CONFIG_POLICY_FILES_MAX);
    for (unsigned i = 0; i < yaml->num_files; i++) {
        PEL_TRY(take_text(yaml->files[i], NULL, &check->config->policy.files[i]));
        check->config->policy.num_files++;
    }
    PEL_TRY(take_text(yaml->keyring_dir, "", &check->config->policy.keyring_dir));
    if (yaml->image != NULL)
        PEL_TRY(take_text(yaml->image, NULL, &check->config->policy.image));
    PEL_TRY(take_word(check, "policy.no_match", yaml->no_match, no_match, 2, &word));
    check->config->policy.no_match_refuse = word == 1;
    PEL_TRY(take_word(check, "policy.start_gate", yaml->start_gate, gate, 2, &word));
    check->config->policy.start_gate_open = word == 1;
    PEL_TRY(take_word(check, "policy.watch", yaml->watch, watch, 2, &word));
    check->config->policy.watch = word == 1;
    PEL_TRY(take_word(check, "policy.flush", yaml->flush, flush, 2, &word));
    check->config->policy.no_flush = word == 1;
    PEL_TRY(take_word(check, "policy.compat", yaml->compat, compat, 2, &word));
    check->config->policy.compat_zos = word == 1;
    return PEL_OK;
}

/* Each engine has a core of its own, or none has. */
static enum pel_err check_cores(const struct check *check, const struct yaml_engine *yaml)
{
    struct pel_config *config = check->config;
    if (yaml->num_cores > 0 && yaml->num_cores != config->engine.count)
        return FAIL(check, "%s: engine.cores: %u cores for engine.count: %u; write one for each engine",
                    check->file, yaml->num_cores, config->engine.count);
    for (unsigned i = 0; i < yaml->num_cores; i++) {
        if (yaml->cores[i] >= CORES_MAX)
            return FAIL(check, "%s: engine.cores: %u is out of range: 0 to %u", check->file, yaml->cores[i],
                        CORES_MAX - 1);
        for (unsigned k = 0; k < i; k++)
            if (yaml->cores[k] == yaml->cores[i])
                return FAIL(check, "%s: engine.cores: %u is written twice", check->file, yaml->cores[i]);
        config->engine.cores[i] = yaml->cores[i];
    }
    config->engine.num_cores = yaml->num_cores;
    return PEL_OK;
}

static enum pel_err check_engine(const struct check *check, const struct yaml_engine *yaml)
{
    static const char *const words[] = {"adaptive", "busy"};
    struct yaml_engine none = {0};
    struct pel_config *config = check->config;
    uint32_t word = 0;
    yaml = yaml != NULL ? yaml : &none;
    PEL_TRY(
        take_number(check, "engine.count", yaml->count, 1, 1, PEL_CONFIG_ENGINES_MAX, &config->engine.count));
    PEL_TRY(check_cores(check, yaml));
    PEL_TRY(take_word(check, "engine.poll", yaml->poll, words, 2, &word));
    config->engine.busy_poll = word == 1;
    if (config->engine.count > 1 && (config->ip.dhcp4 || config->ip.autoconf6))
        return FAIL(check,
                    "%s: engine.count: %u engines need addresses that are written down (ip.addresses): "
                    "ip.dhcp4 and ip.autoconf6 are for one engine",
                    check->file, config->engine.count);
    return PEL_OK;
}

static enum pel_err take_buffer(const struct check *check, const char *key, const uint32_t *value,
                                uint32_t max_kb, uint32_t *ret_len)
{
    uint32_t buffer_kb = 0;
    PEL_TRY(take_number(check, key, value, 128, 4, max_kb, &buffer_kb));
    if ((buffer_kb & (buffer_kb - 1)) != 0)
        return FAIL(check, "%s: %s: %u is no power of two", check->file, key, buffer_kb);
    *ret_len = buffer_kb * 1024;
    return PEL_OK;
}

static enum pel_err check_sockets(const struct check *check, const struct yaml_sockets *yaml)
{
    struct yaml_sockets none = {0};
    yaml = yaml != NULL ? yaml : &none;
    PEL_TRY(take_number(check, "sockets.max", yaml->max, 65536, 16, 1u << 20, &check->config->sockets.max));
    return take_buffer(check, "sockets.buffer_kb", yaml->buffer_kb, 16384,
                       &check->config->sockets.buffer_len);
}

static enum pel_err take_mode(const struct check *check, const char *value, mode_t *ret)
{
    char *end = NULL;
    *ret = 0666;
    if (value == NULL)
        return PEL_OK;
    unsigned long mode = strtoul(value, &end, 8);
    if (value[0] < '0' || value[0] > '7' || *end != '\0' || mode > 0777)
        return FAIL(check, "%s: attach.mode: \"%s\" is no file mode; write it in octal, \"0000\" to \"0777\"",
                    check->file, value);
    *ret = (mode_t)mode;
    return PEL_OK;
}

static enum pel_err check_attach_socket(const struct check *check, const struct yaml_attach *yaml)
{
    const size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (yaml->socket != NULL && yaml->socket[0] != '\0' &&
        (yaml->socket[0] != '/' || strlen(yaml->socket) > path_max))
        return FAIL(check, "%s: attach.socket: \"%s\" is no absolute path of at most %zu bytes", check->file,
                    yaml->socket, path_max);
    PEL_TRY(take_text(yaml->socket, NULL, &check->config->attach.socket));
    PEL_TRY(take_text(yaml->group, "", &check->config->attach.group));
    return take_mode(check, yaml->mode, &check->config->attach.mode);
}

/* Which users may choose their job's name, and which addresses are the kernel's. */
static enum pel_err check_attach_lists(const struct check *check, const struct yaml_attach *yaml)
{
    static const char *const loopback[] = {"127.0.0.0/8", "::1/128"};
    struct pel_config *config = check->config;
    bool given = yaml->num_kernel_networks > 0; /* an empty list is read as none written */
    bool none = given && yaml->num_kernel_networks == 1 && strcmp(yaml->kernel_networks[0], "none") == 0;
    const char *const *networks = given ? (const char *const *)yaml->kernel_networks : loopback;
    unsigned num_networks = none ? 0 : given ? yaml->num_kernel_networks : 2;
    if (yaml->num_jobs_named > PEL_CONFIG_JOBS_NAMED_MAX)
        return FAIL(check, "%s: attach.jobs_named: %u users; at most %u", check->file, yaml->num_jobs_named,
                    PEL_CONFIG_JOBS_NAMED_MAX);
    if (num_networks > PEL_CONFIG_KERNEL_NETS_MAX)
        return FAIL(check, "%s: attach.kernel_networks: %u networks; at most %u", check->file, num_networks,
                    PEL_CONFIG_KERNEL_NETS_MAX);
    for (unsigned i = 0; i < yaml->num_jobs_named; i++) {
        PEL_TRY(take_text(yaml->jobs_named[i], NULL, &config->attach.jobs_named[i]));
        config->attach.num_jobs_named++;
    }
    for (unsigned i = 0; i < num_networks; i++)
        PEL_TRY(
            take_prefix(check, "attach.kernel_networks", networks[i], &config->attach.kernel_networks[i]));
    config->attach.num_kernel_networks = num_networks;
    return PEL_OK;
}

static enum pel_err check_attach(const struct check *check, const struct yaml_attach *yaml)
{
    struct yaml_attach none = {0};
    struct pel_config *config = check->config;
    yaml = yaml != NULL ? yaml : &none;
    PEL_TRY(check_attach_socket(check, yaml));
    PEL_TRY(check_attach_lists(check, yaml));
    PEL_TRY(take_number(check, "attach.max_sockets", yaml->max_sockets, 16384, 64, 32768,
                        &config->attach.max_sockets));
    PEL_TRY(take_number(check, "attach.max_sockets_per_user", yaml->max_sockets_per_user, 65536, 64, 1u << 24,
                        &config->attach.max_sockets_per_user));
    PEL_TRY(take_number(check, "attach.max_applications", yaml->max_applications, 4096, 1, 65536,
                        &config->attach.max_applications));
    return take_buffer(check, "attach.buffer_kb", yaml->buffer_kb, 1024, &config->attach.buffer_len);
}

static enum pel_err check_stop(const struct check *check, const struct yaml_stop *yaml)
{
    return take_number(check, "stop.drain_s", yaml != NULL ? yaml->drain_s : NULL, 10, 0, 3600,
                       &check->config->stop.drain_s);
}

static enum pel_err check_all(const struct check *check, const struct yaml_root *yaml)
{
    PEL_TRY(check_packet(check, yaml->packet));
    PEL_TRY(check_port(check, yaml->port));
    PEL_TRY(check_ip(check, yaml->ip));
    PEL_TRY(check_tcp(check, yaml->tcp));
    PEL_TRY(check_policy(check, yaml->policy));
    PEL_TRY(check_engine(check, yaml->engine));
    PEL_TRY(check_sockets(check, yaml->sockets));
    PEL_TRY(check_attach(check, yaml->attach));
    PEL_TRY(check_stop(check, yaml->stop));
    return take_text(yaml->control != NULL ? yaml->control->socket : NULL, NULL,
                     &check->config->control.socket);
}

enum pel_err pel_config_read(const char *file, const char *text, size_t text_len,
                             struct pel_config *ret_config, struct pel_error *reterr)
{
    struct messages messages = {0};
    const cyaml_config_t cyaml_config = cyaml_config_of(&messages);
    struct yaml_root *yaml = NULL;
    struct pel_config config = {0};
    cyaml_err_t loaded = cyaml_load_data((const uint8_t *)text, text_len, &cyaml_config, &root_schema,
                                         (cyaml_data_t **)&yaml, NULL);
    if (loaded != CYAML_OK || yaml == NULL)
        return refuse(file, loaded, &messages, reterr);
    struct check check = {.file = file, .config = &config, .reterr = reterr};
    enum pel_err err = check_all(&check, yaml);
    cyaml_free(&cyaml_config, &root_schema, yaml, 0);
    if (err != PEL_OK) {
        pel_config_free(&config);
        return err == PEL_E_NO_MEMORY ? pel_error_set(reterr, err, "%s: out of memory", file) : err;
    }
    *ret_config = config;
    return PEL_OK;
}

enum pel_err pel_config_read_file(const char *path, struct pel_config *ret_config, struct pel_error *reterr)
{
    struct stat stat_of;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &stat_of) != 0) {
        enum pel_err err = pel_error_set(reterr, PEL_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return err;
    }
    if (!S_ISREG(stat_of.st_mode) || (size_t)stat_of.st_size > FILE_LEN_MAX) {
        close(fd);
        return pel_error_set(reterr, PEL_E_IO, "%s: is no regular file of at most 1 MiB", path);
    }
    char *text = malloc((size_t)stat_of.st_size + 1);
    ssize_t len = text != NULL ? read(fd, text, (size_t)stat_of.st_size) : -1;
    enum pel_err err = len < 0 ? pel_error_set(reterr, PEL_E_IO, "%s: cannot be read", path)
                               : pel_config_read(path, text, (size_t)len, ret_config, reterr);
    free(text);
    close(fd);
    return err;
}

void pel_config_free(struct pel_config *config)
{
    for (size_t i = 0; i < config->policy.num_files; i++)
        free(config->policy.files[i]);
    free(config->policy.keyring_dir);
    free(config->policy.image);
    free(config->port.device);
    free(config->control.socket);
    free(config->attach.socket);
    free(config->attach.group);
    for (size_t i = 0; i < config->attach.num_jobs_named; i++)
        free(config->attach.jobs_named[i]);
    *config = (struct pel_config){0};
}
