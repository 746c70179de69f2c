/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/doctor.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/harness/harness.h"

/* A directory that stands for a machine's root. */
struct tree {
    char root[64];
};

__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char command[512];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    return system(command);
}

static bool tree_make(struct tree *tree)
{
    strcpy(tree->root, "/tmp/pel-doctor-XXXXXX");
    return mkdtemp(tree->root) != NULL;
}

static void tree_remove(const struct tree *tree)
{
    if (run("rm -rf '%s'", tree->root) != 0)
        pel_test_fail(__FILE__, __LINE__, "%s cannot be removed", tree->root);
}

static void tree_put(const struct tree *tree, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", tree->root, path);
    FILE *file = run("mkdir -p \"$(dirname '%s')\"", full) == 0 ? fopen(full, "we") : NULL;
    if (file == NULL || fputs(text, file) < 0)
        pel_test_fail(__FILE__, __LINE__, "%s cannot be written", full);
    if (file != NULL)
        fclose(file);
}

static const struct pel_doctor_check *find(const struct pel_doctor_report *report, const char *name)
{
    static const struct pel_doctor_check none = {
        .name = "", .severity = (enum pel_doctor_severity) - 1, .remedy = ""};
    for (uint32_t i = 0; i < report->num_checks; i++)
        if (strcmp(report->checks[i].name, name) == 0)
            return &report->checks[i];
    pel_test_fail(__FILE__, __LINE__, "no check %s", name);
    return &none;
}

static void expect(const struct pel_doctor_report *report, const char *name,
                   enum pel_doctor_severity severity, const char *in_found)
{
    const struct pel_doctor_check *check = find(report, name);
    if (check->severity != severity || strstr(check->found, in_found) == NULL)
        pel_test_fail(__FILE__, __LINE__, "%s is %s (%s), expected %s (%s)", name,
                      pel_doctor_severity_name(check->severity), check->found,
                      pel_doctor_severity_name(severity), in_found);
}

PEL_TEST(doctor, a_machine_that_lacks_everything)
{
    struct pel_doctor_report report;
    struct tree tree;
    PEL_REQUIRE(tree_make(&tree));
    PEL_REQUIRE_OK(pel_doctor_run(tree.root, &report));
    expect(&report, "kernel", PEL_DOCTOR_WARN, "unknown");
    expect(&report, "cores", PEL_DOCTOR_WARN, "0");
    expect(&report, "cpu-sse4.2", PEL_DOCTOR_BAD, "no");
    expect(&report, "cpu-aes", PEL_DOCTOR_WARN, "no");
    expect(&report, "cpu-avx2", PEL_DOCTOR_INFO, "no");
    expect(&report, "cpu-vaes", PEL_DOCTOR_INFO, "no");
    expect(&report, "cpu-avx512", PEL_DOCTOR_INFO, "no");
    expect(&report, "memory", PEL_DOCTOR_BAD, "0 MB");
    expect(&report, "hugepages-2M", PEL_DOCTOR_INFO, "none of this size");
    expect(&report, "hugepages-1G", PEL_DOCTOR_OK, "none of this size");
    expect(&report, "tun", PEL_DOCTOR_WARN, "missing");
    expect(&report, "cap-net-admin", PEL_DOCTOR_WARN, "no");
    expect(&report, "cap-net-raw", PEL_DOCTOR_WARN, "no");
    expect(&report, "cap-sys-admin", PEL_DOCTOR_INFO, "no");
    expect(&report, "memlock", PEL_DOCTOR_INFO, "0 KB");
    expect(&report, "ports", PEL_DOCTOR_BAD, "none");
    expect(&report, "nic-drivers", PEL_DOCTOR_INFO, "vfio-pci no, uio no, IOMMU no");
    PEL_EXPECT_EQ(report.num_checks, 17);
    PEL_EXPECT_EQ(pel_doctor_worst(&report), PEL_DOCTOR_BAD);
    tree_remove(&tree);
}

static void make_good_machine(const struct tree *tree)
{
    tree_put(tree, "/proc/sys/kernel/osrelease", "6.1.0-test\n");
    tree_put(
        tree, "/proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu sse4_2 popcnt aes pclmulqdq avx2 vaes vpclmulqdq avx512f avx512bw\n\n"
        "processor\t: 1\nflags\t\t: fpu\n");
    tree_put(tree, "/proc/meminfo", "MemTotal:  4000000 kB\nMemAvailable:    1048576 kB\n");
    tree_put(tree, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "64\n");
    tree_put(tree, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "60\n");
    tree_put(tree, "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n");
    tree_put(tree, "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
    tree_put(tree, "/dev/net/tun", "");
    tree_put(tree, "/proc/self/status", "Name:\tpel\nCapEff:\t0000000000203000\n");
    tree_put(tree, "/proc/self/limits",
             "Limit   Soft Limit\nMax locked memory         unlimited   unlimited   bytes\n");
    tree_put(tree, "/sys/module/vfio_pci/version", "");
    tree_put(tree, "/sys/kernel/iommu_groups/0/type", "");
}

PEL_TEST(doctor, a_machine_that_has_everything)
{
    struct pel_doctor_report report;
    struct tree tree;
    PEL_REQUIRE(tree_make(&tree));
    make_good_machine(&tree);
    PEL_REQUIRE_OK(pel_doctor_run(tree.root, &report));
    for (uint32_t i = 0; i < report.num_checks; i++) {
        expect(&report, report.checks[i].name, PEL_DOCTOR_OK, "");
        PEL_EXPECT_STR(report.checks[i].remedy, "");
    }
    expect(&report, "hugepages-2M", PEL_DOCTOR_OK, "60 of 64 free");
    expect(&report, "memory", PEL_DOCTOR_OK, "1024 MB available");
    expect(&report, "ports", PEL_DOCTOR_OK, "tap, af_packet");
    PEL_EXPECT_EQ(pel_doctor_worst(&report), PEL_DOCTOR_OK);
    tree_remove(&tree);
}

PEL_TEST(doctor, each_lack_is_named_with_its_remedy)
{
    struct pel_doctor_report report;
    struct tree tree;
    PEL_REQUIRE(tree_make(&tree));
    make_good_machine(&tree);
    tree_put(&tree, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0\n");
    tree_put(&tree, "/proc/self/status", "CapEff:\t0000000000002000\n"); /* CAP_NET_RAW alone */
    tree_put(&tree, "/proc/self/limits", "Max locked memory         8388608    8388608    bytes\n");
    tree_put(&tree, "/proc/sys/kernel/osrelease", "5.9.12\n");
    /* A flag that only begins or ends like the wanted one is not it. */
    tree_put(&tree, "/proc/cpuinfo",
             "processor : 0\nflags : xsse4_2 sse4_2 popcnt aes_x xaes pclmulqdq avx2\n");
    PEL_REQUIRE_OK(pel_doctor_run(tree.root, &report));
    expect(&report, "kernel", PEL_DOCTOR_WARN, "5.9.12");
    expect(&report, "cores", PEL_DOCTOR_WARN, "1");
    expect(&report, "cpu-sse4.2", PEL_DOCTOR_OK, "yes");
    expect(&report, "cpu-aes", PEL_DOCTOR_WARN, "no");
    expect(&report, "hugepages-2M", PEL_DOCTOR_INFO, "0 of 64 free");
    expect(&report, "cap-net-admin", PEL_DOCTOR_WARN, "no");
    expect(&report, "cap-net-raw", PEL_DOCTOR_OK, "yes");
    expect(&report, "memlock", PEL_DOCTOR_INFO, "8192 KB");
    expect(&report, "ports", PEL_DOCTOR_OK, "af_packet");
    PEL_EXPECT_HAS(find(&report, "cap-net-admin")->remedy, "setcap");
    PEL_EXPECT_HAS(find(&report, "hugepages-2M")->remedy, "vm.nr_hugepages");
    PEL_EXPECT_EQ(pel_doctor_worst(&report), PEL_DOCTOR_WARN);
    tree_remove(&tree);
}

PEL_TEST(doctor, this_machine_and_bad_arguments)
{
    struct pel_doctor_report report;
    char long_root[2000];
    PEL_REQUIRE_OK(pel_doctor_run("", &report));
    PEL_EXPECT_EQ(report.num_checks, 17);
    expect(&report, "cpu-sse4.2", PEL_DOCTOR_OK, "yes");
    memset(long_root, '/', sizeof long_root);
    long_root[sizeof long_root - 1] = 0;
    PEL_EXPECT_ERR(pel_doctor_run(long_root, &report), PEL_E_ARG);
    PEL_EXPECT_STR(pel_doctor_severity_name((enum pel_doctor_severity)9), "?");
}
