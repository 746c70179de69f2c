/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/doctor.h>

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define MAX_ROOT_LEN    1023u
#define PATH_LEN        (MAX_ROOT_LEN + 256)
#define LINE_LEN        4096
#define MIN_MEMORY_MB   256u
#define GOOD_MEMLOCK_MB 64u

/* Bits of CapEff (capabilities(7)). */
enum { CAP_NET_ADMIN_BIT = 12, CAP_NET_RAW_BIT = 13, CAP_IPC_LOCK_BIT = 14, CAP_SYS_ADMIN_BIT = 21 };

struct doctor {
    const char *root;
    struct pel_doctor_report *report;
};

/* A verdict's severity, meaning and remedy. */
struct verdict {
    enum pel_doctor_severity severity;
    const char *meaning;
    const char *remedy;
};

__attribute__((format(printf, 4, 5))) static void note(struct doctor *d, const char *name,
                                                       const struct verdict *verdict, const char *format, ...)
{
    va_list list;
    struct pel_doctor_check *check = &d->report->checks[d->report->num_checks];
    if (d->report->num_checks == PEL_DOCTOR_CHECKS_MAX)
        return;
    d->report->num_checks++;
    check->name = name;
    check->severity = verdict->severity;
    check->meaning = verdict->meaning;
    check->remedy = verdict->remedy;
    va_start(list, format);
    vsnprintf(check->found, sizeof check->found, format, list);
    va_end(list);
}

static const char *path_of(const struct doctor *d, char ret_path[PATH_LEN], const char *path)
{
    snprintf(ret_path, PATH_LEN, "%s%s", d->root, path);
    return ret_path;
}

static FILE *open_file(const struct doctor *d, const char *path)
{
    char full[PATH_LEN];
    return fopen(path_of(d, full, path), "re");
}

static bool exists(const struct doctor *d, const char *path)
{
    char full[PATH_LEN];
    return access(path_of(d, full, path), F_OK) == 0;
}

/* The file's first line, without its end. */
static bool read_line(const struct doctor *d, const char *path, char *ret_line, int cap)
{
    FILE *file = open_file(d, path);
    if (file == NULL)
        return false;
    bool ok = fgets(ret_line, cap, file) != NULL;
    fclose(file);
    if (ok)
        ret_line[strcspn(ret_line, "\n")] = 0;
    return ok;
}

/* The number in a file that has only that; -1 when there is none. */
static long long read_number(const struct doctor *d, const char *path)
{
    char line[64];
    return read_line(d, path, line, sizeof line) ? strtoll(line, NULL, 10) : -1;
}

/* What follows `key` on the first line that begins with it. */
static bool read_value(const struct doctor *d, const char *path, const char *key, char *ret_value, size_t cap)
{
    char line[LINE_LEN];
    bool found = false;
    FILE *file = open_file(d, path);
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, key, strlen(key)) == 0;
    fclose(file);
    if (!found)
        return false;
    const char *value = line + strlen(key);
    value += strspn(value, " \t:");
    snprintf(ret_value, cap, "%.*s", (int)strcspn(value, "\n"), value);
    return true;
}

static bool directory_has_entries(const struct doctor *d, const char *path)
{
    char full[PATH_LEN];
    bool has = false;
    DIR *dir = opendir(path_of(d, full, path));
    if (dir == NULL)
        return false;
    for (struct dirent *entry; !has && (entry = readdir(dir)) != NULL;)
        has = entry->d_name[0] != '.';
    closedir(dir);
    return has;
}

static const struct verdict kernel_ok = {PEL_DOCTOR_OK, "recent enough", ""};
static const struct verdict kernel_old = {PEL_DOCTOR_WARN, "the stack is tested with Linux 5.10 and later",
                                          "install a newer kernel"};

static void check_kernel(struct doctor *d)
{
    char release[128] = "unknown";
    int major = 0, minor = 0;
    (void)read_line(d, "/proc/sys/kernel/osrelease", release, sizeof release);
    (void)sscanf(release, "%d.%d", &major, &minor);
    bool recent = major > 5 || (major == 5 && minor >= 10);
    note(d, "kernel", recent ? &kernel_ok : &kernel_old, "Linux %.100s", release);
}

static const struct verdict memory_ok = {PEL_DOCTOR_OK, "enough for the packet buffers", ""};
static const struct verdict memory_bad = {PEL_DOCTOR_BAD, "the packet buffers alone take 256 MB by default",
                                          "free memory, or set packet.memory_mb lower"};

static void check_memory(struct doctor *d)
{
    char value[64] = "0";
    (void)read_value(d, "/proc/meminfo", "MemAvailable", value, sizeof value);
    unsigned long long mb = strtoull(value, NULL, 10) / 1024;
    note(d, "memory", mb >= MIN_MEMORY_MB ? &memory_ok : &memory_bad, "%llu MB available", mb);
}

static const struct verdict huge_ok = {PEL_DOCTOR_OK, "used for packet buffers by themselves", ""};
static const struct verdict huge_none = {PEL_DOCTOR_INFO, "the stack runs without hugepages, somewhat slower",
                                         "sysctl -w vm.nr_hugepages=256"};
static const struct verdict huge_taken = {PEL_DOCTOR_INFO,
                                          "others hold them: the stack runs without, somewhat slower",
                                          "sysctl -w vm.nr_hugepages=N, with a larger N than now"};
static const struct verdict giant_none = {PEL_DOCTOR_OK, "not needed: 2 MB pages serve as well", ""};

static void check_hugepages(struct doctor *d, const char *name, const char *dir, const struct verdict *none)
{
    char path[128];
    snprintf(path, sizeof path, "%s/nr_hugepages", dir);
    long long total = read_number(d, path);
    snprintf(path, sizeof path, "%s/free_hugepages", dir);
    long long num_free = read_number(d, path);
    const struct verdict *verdict = total <= 0 ? none : num_free <= 0 ? &huge_taken : &huge_ok;
    if (total < 0)
        note(d, name, verdict, "the kernel has none of this size");
    else
        note(d, name, verdict, "%lld of %lld free", num_free < 0 ? 0 : num_free, total);
}

static const struct verdict tun_ok = {PEL_DOCTOR_OK, "tap ports can be made", ""};
static const struct verdict tun_none = {PEL_DOCTOR_WARN, "no tap ports (net_tap) without it",
                                        "modprobe tun; in a container: docker run --device /dev/net/tun"};
static const struct verdict admin_ok = {PEL_DOCTOR_OK, "may make and set up network interfaces", ""};
static const struct verdict admin_none = {
    PEL_DOCTOR_WARN, "no tap ports, no change of an interface's MTU",
    "run as root, or: setcap cap_net_admin,cap_net_raw+ep $(command -v pel)"};
static const struct verdict raw_ok = {PEL_DOCTOR_OK, "may use packet sockets (net_af_packet)", ""};
static const struct verdict raw_none = {
    PEL_DOCTOR_WARN, "no af_packet ports without it",
    "run as root, or: setcap cap_net_admin,cap_net_raw+ep $(command -v pel)"};
static const struct verdict sys_ok = {PEL_DOCTOR_OK, "af_xdp ports and physical addresses for NICs", ""};
static const struct verdict sys_none = {PEL_DOCTOR_INFO, "no af_xdp ports; NICs need vfio-pci with an IOMMU",
                                        "run as root where you need these"};
static const struct verdict lock_ok = {PEL_DOCTOR_OK, "enough for vfio-pci and af_xdp", ""};
static const struct verdict lock_low = {PEL_DOCTOR_INFO,
                                        "vfio-pci and af_xdp ports lock their memory and may fail",
                                        "ulimit -l unlimited, or LimitMEMLOCK=infinity in the service"};
static const struct verdict ports_ok = {PEL_DOCTOR_OK, "the stack can have a port to the network", ""};
static const struct verdict ports_none = {
    PEL_DOCTOR_BAD, "no port to the network can be opened: neither tap, nor af_packet, nor vfio-pci",
    "run as root, or: setcap cap_net_admin,cap_net_raw+ep $(command -v pel)"};

static void check_memlock(struct doctor *d, bool may_lock)
{
    char value[128] = "0";
    (void)read_value(d, "/proc/self/limits", "Max locked memory", value, sizeof value);
    value[strcspn(value, " ")] = 0;
    bool enough =
        may_lock || strcmp(value, "unlimited") == 0 || strtoull(value, NULL, 10) >> 20 >= GOOD_MEMLOCK_MB;
    if (strcmp(value, "unlimited") == 0)
        note(d, "memlock", &lock_ok, "unlimited");
    else
        note(d, "memlock", enough ? &lock_ok : &lock_low, "%llu KB%s", strtoull(value, NULL, 10) / 1024,
             may_lock ? ", but CAP_IPC_LOCK lifts it" : "");
}

/* The rights, and what ports they allow together. */
static void check_rights(struct doctor *d)
{
    char value[64] = "0";
    (void)read_value(d, "/proc/self/status", "CapEff", value, sizeof value);
    unsigned long long caps = strtoull(value, NULL, 16);
    bool has_tun = exists(d, "/dev/net/tun"), has_vfio = exists(d, "/dev/vfio/vfio");
    bool admin = (caps >> CAP_NET_ADMIN_BIT & 1) != 0, raw = (caps >> CAP_NET_RAW_BIT & 1) != 0;
    bool sys = (caps >> CAP_SYS_ADMIN_BIT & 1) != 0, lock = (caps >> CAP_IPC_LOCK_BIT & 1) != 0;
    note(d, "tun", has_tun ? &tun_ok : &tun_none, "/dev/net/tun %s", has_tun ? "exists" : "is missing");
    note(d, "cap-net-admin", admin ? &admin_ok : &admin_none, "%s", admin ? "yes" : "no");
    note(d, "cap-net-raw", raw ? &raw_ok : &raw_none, "%s", raw ? "yes" : "no");
    note(d, "cap-sys-admin", sys ? &sys_ok : &sys_none, "%s", sys ? "yes" : "no");
    check_memlock(d, lock);
    bool tap = has_tun && admin;
    bool any = tap || raw || has_vfio;
    char names[64];
    snprintf(names, sizeof names, "%s%s%s", tap ? ", tap" : "", raw ? ", af_packet" : "",
             has_vfio ? ", vfio-pci" : "");
    note(d, "ports", any ? &ports_ok : &ports_none, "%s", any ? names + 2 : "none");
}

static const struct verdict nic_ok = {PEL_DOCTOR_OK, "NICs can be taken over (pci addresses as ports)", ""};
static const struct verdict nic_no_iommu = {PEL_DOCTOR_INFO, "NICs only without the protection of an IOMMU",
                                            "intel_iommu=on or amd_iommu=on on the kernel's command line"};
static const struct verdict nic_none = {PEL_DOCTOR_INFO,
                                        "no real NIC can be taken over; kernel interfaces can be used",
                                        "modprobe vfio-pci, then dpdk-devbind.py -b vfio-pci ADDRESS"};

static void check_nic_drivers(struct doctor *d)
{
    bool vfio = exists(d, "/sys/module/vfio_pci") || exists(d, "/sys/bus/pci/drivers/vfio-pci");
    bool uio = exists(d, "/sys/module/uio_pci_generic") || exists(d, "/sys/module/igb_uio");
    bool iommu = directory_has_entries(d, "/sys/kernel/iommu_groups");
    const struct verdict *verdict = vfio && iommu ? &nic_ok : vfio || uio ? &nic_no_iommu : &nic_none;
    note(d, "nic-drivers", verdict, "vfio-pci %s, uio %s, IOMMU %s", vfio ? "yes" : "no", uio ? "yes" : "no",
         iommu ? "yes" : "no");
}

static const struct verdict cores_ok = {PEL_DOCTOR_OK, "one for the engine, and some for the programs", ""};
static const struct verdict cores_one = {PEL_DOCTOR_WARN, "the engine and the programs take turns on one",
                                         "give the machine two or more cores"};

static void check_cores(struct doctor *d)
{
    char line[LINE_LEN];
    uint32_t num = 0;
    FILE *file = open_file(d, "/proc/cpuinfo");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        num += strncmp(line, "processor", 9) == 0;
    if (file != NULL)
        fclose(file);
    note(d, "cores", num >= 2 ? &cores_ok : &cores_one, "%u", num);
}

/* What the processor can do, from /proc/cpuinfo's flags. */
static const struct {
    const char *name;
    const char *flags[2]; /* all are needed; the second may be NULL */
    struct verdict has, lacks;
} cpu_rows[] = {
    {"cpu-sse4.2",
     {"sse4_2", "popcnt"},
     {PEL_DOCTOR_OK, "the least that the stack is built for (x86-64-v2)", ""},
     {PEL_DOCTOR_BAD, "the stack is built for x86-64-v2: it would stop with an illegal instruction",
      "in a virtual machine, pass the host's processor through (cpu host)"}},
    {"cpu-aes",
     {"aes", "pclmulqdq"},
     {PEL_DOCTOR_OK, "AES-GCM in hardware", ""},
     {PEL_DOCTOR_WARN, "AES-GCM is many times slower without AES-NI and PCLMULQDQ: prefer ChaCha20-Poly1305",
      "in a virtual machine, pass the host's processor through (cpu host)"}},
    {"cpu-avx2",
     {"avx2", NULL},
     {PEL_DOCTOR_OK, "fast ciphers and hashes", ""},
     {PEL_DOCTOR_INFO, "ciphers and hashes run at about half of what AVX2 gives",
      "in a virtual machine, pass the host's processor through (cpu host)"}},
    {"cpu-vaes",
     {"vaes", "vpclmulqdq"},
     {PEL_DOCTOR_OK, "AES-GCM two to four blocks at a time", ""},
     {PEL_DOCTOR_INFO, "AES-GCM one block at a time", "a processor since Ice Lake or Zen 3 has it"}},
    {"cpu-avx512",
     {"avx512f", "avx512bw"},
     {PEL_DOCTOR_OK, "the widest cipher code can be used", ""},
     {PEL_DOCTOR_INFO, "the 512-bit cipher code cannot be used", "a processor with AVX-512 has it"}},
};

static bool has_flag(const char *flags, const char *flag)
{
    size_t len = strlen(flag);
    for (const char *at = flags; (at = strstr(at, flag)) != NULL; at += len)
        if ((at == flags || at[-1] == ' ') && (at[len] == ' ' || at[len] == 0))
            return true;
    return false;
}

static void check_cpu(struct doctor *d)
{
    static const char none[] = "";
    char flags[LINE_LEN] = "";
    (void)read_value(d, "/proc/cpuinfo", "flags", flags, sizeof flags);
    for (size_t i = 0; i < sizeof cpu_rows / sizeof *cpu_rows; i++) {
        const char *second = cpu_rows[i].flags[1];
        bool has = has_flag(flags, cpu_rows[i].flags[0]) && (second == NULL || has_flag(flags, second));
        note(d, cpu_rows[i].name, has ? &cpu_rows[i].has : &cpu_rows[i].lacks, "%s%s%s %s",
             cpu_rows[i].flags[0], second != NULL ? " and " : none, second != NULL ? second : none,
             has ? "yes" : "no");
    }
}

enum pel_err pel_doctor_run(const char *root, struct pel_doctor_report *ret_report)
{
    struct doctor d = {.root = root, .report = ret_report};
    if (strlen(root) > MAX_ROOT_LEN)
        return PEL_E_ARG;
    ret_report->num_checks = 0;
    check_kernel(&d);
    check_cores(&d);
    check_cpu(&d);
    check_memory(&d);
    check_hugepages(&d, "hugepages-2M", "/sys/kernel/mm/hugepages/hugepages-2048kB", &huge_none);
    check_hugepages(&d, "hugepages-1G", "/sys/kernel/mm/hugepages/hugepages-1048576kB", &giant_none);
    check_rights(&d);
    check_nic_drivers(&d);
    return PEL_OK;
}

enum pel_doctor_severity pel_doctor_worst(const struct pel_doctor_report *report)
{
    enum pel_doctor_severity worst = PEL_DOCTOR_OK;
    for (uint32_t i = 0; i < report->num_checks; i++)
        if (report->checks[i].severity > worst)
            worst = report->checks[i].severity;
    return worst;
}

const char *pel_doctor_severity_name(enum pel_doctor_severity severity)
{
    static const char *const names[] = {"ok", "info", "warn", "bad"};
    return severity <= PEL_DOCTOR_BAD ? names[severity] : "?";
}
