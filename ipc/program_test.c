/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of this machine, and files that the test writes: ELF headers with one thing changed, scripts,
 * rubbish.
 */
#include "ipc/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/harness/harness.h"

/* A program that is nothing but headers. */
struct image {
    Elf64_Ehdr elf;
    Elf64_Phdr headers[2];
    char loader[32];
    struct {
        Elf64_Nhdr head;
        char name[4], text[4];
    } note;
};

static const struct image good = {
    .elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
            .e_type = ET_DYN,
            .e_machine = EM_X86_64,
            .e_phoff = offsetof(struct image, headers),
            .e_phentsize = sizeof(Elf64_Phdr),
            .e_phnum = 2},
    .headers = {{.p_type = PT_INTERP,
                 .p_offset = offsetof(struct image, loader),
                 .p_filesz = sizeof "/lib64/ld-linux-x86-64.so.2"},
                {.p_type = PT_NOTE, .p_offset = offsetof(struct image, note), .p_filesz = sizeof good.note}},
    .loader = "/lib64/ld-linux-x86-64.so.2",
    .note = {.head = {.n_namesz = 4, .n_descsz = 4, .n_type = 1}, .name = "GNU"},
};

static char dir[64];

static const char *path_of(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *ret = path[turn++ % 4];
    if (dir[0] == '\0') {
        snprintf(dir, sizeof dir, "/tmp/pellucid-program-XXXXXX");
        PEL_EXPECT(mkdtemp(dir) != NULL);
    }
    snprintf(ret, 256, "%s/%s", dir, name);
    return ret;
}

static const char *write_file(const char *name, const void *bytes, size_t len)
{
    const char *path = path_of(name);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    PEL_EXPECT(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
    return path;
}

static void expect(const char *path, enum pel_program_reach reach, const char *said)
{
    char why[512];
    PEL_EXPECT_EQ(pel_program_judge(path, why, sizeof why), reach);
    PEL_EXPECT_HAS(why, said);
    PEL_EXPECT((reach == PEL_REACH_OK) == (why[0] == '\0'));
}

static void expect_image(const struct image *image, enum pel_program_reach reach, const char *said)
{
    expect(write_file("image", image, sizeof *image), reach, said);
}

static void expect_script(const char *text, enum pel_program_reach reach, const char *said)
{
    expect(write_file("script", text, strlen(text)), reach, said);
}

static void clean(void)
{
    static const char *const names[] = {"image", "script", "s0", "s1", "s2", "s3", "s4", "s5", "plain"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    rmdir(dir);
    dir[0] = '\0';
}

PEL_TEST(program, of_this_machine)
{
    expect("/bin/true", PEL_REACH_OK, "");
    expect("/bin/sh", PEL_REACH_OK, "");
    if (access("/sbin/ldconfig", X_OK) == 0)
        expect("/sbin/ldconfig", PEL_REACH_STATIC, "/sbin/ldconfig is linked statically");
    if (access("/usr/lib/go/bin/go", X_OK) == 0)
        expect("/usr/lib/go/bin/go", PEL_REACH_GO, "/usr/lib/go/bin/go is a Go program");
    expect("/nonexistent/x", PEL_REACH_UNREADABLE, "/nonexistent/x cannot be looked at");
    expect("/tmp", PEL_REACH_UNREADABLE, "/tmp cannot be read");
}

/* To open a device or a pipe may do something. */
PEL_TEST(program, what_is_no_file_is_not_opened)
{
    const char *pipe = path_of("plain");
    char event[sizeof(struct inotify_event) + 256];
    PEL_EXPECT_EQ(mkfifo(pipe, 0755), 0);
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    PEL_EXPECT(inotify_add_watch(watch, pipe, IN_OPEN) >= 0);
    expect(pipe, PEL_REACH_UNREADABLE, "plain cannot be read, so nobody can tell what it is");
    PEL_EXPECT_EQ(read(watch, event, sizeof event), -1);
    close(watch);
    clean();
}

/* A file's own words reach a terminal. */
PEL_TEST(program, what_could_steer_a_terminal_is_not_said)
{
    struct image image = good;
    image.headers[0].p_filesz = sizeof "/lib/\033[2J\r\n\177ld.so";
    memcpy(image.loader, "/lib/\033[2J\r\n\177ld.so", image.headers[0].p_filesz);
    expect_image(&image, PEL_REACH_OTHER_CLASS, "is started by /lib/?[2J???ld.so, which");
    expect_script("#!/x/\033]0;title\007\n", PEL_REACH_UNREADABLE, "/x/?]0;title? cannot be looked at");
    clean();
}

/* The kernel takes the first. */
PEL_TEST(program, two_loaders)
{
    struct image image = good;
    memcpy(image.note.name, "/x\0", 4);
    image.headers[1] = (Elf64_Phdr){
        .p_type = PT_INTERP, .p_offset = offsetof(struct image, note.name), .p_filesz = sizeof "/x"};
    expect_image(&image, PEL_REACH_OK, "");
    image.headers[1] = image.headers[0];
    image.headers[0].p_offset = offsetof(struct image, note.name);
    image.headers[0].p_filesz = sizeof "/x";
    expect_image(&image, PEL_REACH_OTHER_CLASS, "is started by /x, which");
    clean();
}

PEL_TEST(program, headers_that_tell)
{
    struct image image = good;
    expect_image(&image, PEL_REACH_OK, "");
    image.elf.e_ident[EI_CLASS] = ELFCLASS32;
    expect_image(&image, PEL_REACH_OTHER_CLASS, "is a 32-bit program");
    image = good;
    image.elf.e_machine = EM_AARCH64;
    expect_image(&image, PEL_REACH_OTHER_CLASS, "another kind of machine");
    image = good;
    image.headers[0].p_type = PT_LOAD;
    expect_image(&image, PEL_REACH_STATIC, "is linked statically");
    image = good;
    memcpy(image.loader, "/lib/ld-musl-x86_64.so.1\0\0\0", 28);
    image.headers[0].p_filesz = sizeof "/lib/ld-musl-x86_64.so.1";
    expect_image(&image, PEL_REACH_OTHER_CLASS,
                 "/lib/ld-musl-x86_64.so.1, which is not this system's loader");
    image = good;
    memcpy(image.note.name, "Go\0", 4);
    expect_image(&image, PEL_REACH_GO, "is a Go program");
    image.headers[0].p_type = PT_LOAD; /* most are static, too: what they are says more */
    expect_image(&image, PEL_REACH_GO, "is a Go program");
    clean();
}

PEL_TEST(program, go_by_its_section)
{
    struct {
        struct image image;
        Elf64_Shdr sections[2];
        char names[64];
    } file = {.image = good, .names = "\0.shstrtab\0.go.buildinfo"};
    file.image.elf.e_shoff = sizeof file.image;
    file.image.elf.e_shentsize = sizeof(Elf64_Shdr);
    file.image.elf.e_shnum = 2;
    file.image.elf.e_shstrndx = 0;
    file.sections[0] = (Elf64_Shdr){.sh_name = 1, .sh_offset = offsetof(__typeof__(file), names)};
    file.sections[1] = (Elf64_Shdr){.sh_name = sizeof "\0.shstrtab"};
    expect(write_file("image", &file, sizeof file), PEL_REACH_GO, "is a Go program");
    file.names[sizeof "\0.shstrtab" + 1] = 'f';
    expect(write_file("image", &file, sizeof file), PEL_REACH_OK, "");
    clean();
}

PEL_TEST(program, headers_that_lie)
{
    struct image image = good;
    image.elf.e_phentsize = 1;
    expect_image(&image, PEL_REACH_UNREADABLE, "program headers that cannot be read");
    image = good;
    image.elf.e_phnum = 0xffff;
    expect_image(&image, PEL_REACH_UNREADABLE, "program headers that cannot be read");
    image = good;
    image.elf.e_phoff = UINT64_MAX - 8;
    expect_image(&image, PEL_REACH_UNREADABLE, "ends within its program headers");
    image = good;
    image.headers[0].p_filesz = UINT64_MAX;
    expect_image(&image, PEL_REACH_UNREADABLE, "names its loader");
    image = good;
    image.headers[0].p_filesz = 5; /* no NUL */
    expect_image(&image, PEL_REACH_UNREADABLE, "names its loader");
    image = good;
    image.note.head.n_namesz = image.note.head.n_descsz = UINT32_MAX;
    expect_image(&image, PEL_REACH_OK, "");
    clean();
}

PEL_TEST(program, cut_anywhere_or_changed_anywhere)
{
    char why[512];
    for (size_t len = 0; len < offsetof(struct image, note); len++) {
        enum pel_program_reach reach = pel_program_judge(write_file("image", &good, len), why, sizeof why);
        /* Shorter than its magic it is a text, and the shell's. */
        PEL_EXPECT_EQ(reach, len < SELFMAG || len >= offsetof(struct image, loader) + 28
                                 ? PEL_REACH_OK
                                 : PEL_REACH_UNREADABLE);
    }
    for (size_t at = 0; at < sizeof good; at++) {
        struct image image = good;
        ((uint8_t *)&image)[at] ^= 0xff;
        PEL_EXPECT(pel_program_judge(write_file("image", &image, sizeof image), why, sizeof why) <
                   PEL_REACH_NR);
    }
    clean();
}

PEL_TEST(program, rights)
{
    static const uint32_t caps[5] = {0x02000001, 1u << 10, 0, 0, 0}; /* VFS_CAP_REVISION_2, effective */
    const char *path = write_file("image", &good, sizeof good);
    if (getuid() != 0)
        PEL_SKIP("takes root");
    PEL_REQUIRE(chmod(path, 04755) == 0);
    expect(path, PEL_REACH_OK, ""); /* it gains nothing over us */
    PEL_REQUIRE(chown(path, 65534, 65534) == 0 && chmod(path, 04755) == 0);
    expect(path, PEL_REACH_PRIVILEGED, "is setuid, setgid or has file capabilities");
    PEL_REQUIRE(chmod(path, 02755) == 0);
    expect(path, PEL_REACH_PRIVILEGED, "is setuid, setgid or has file capabilities");
    PEL_REQUIRE(chmod(path, 0755) == 0);
    if (setxattr(path, "security.capability", caps, sizeof caps, 0) == 0)
        expect(path, PEL_REACH_OK, ""); /* root has them anyway */
    expect_script("#!/bin/sh\n", PEL_REACH_OK, "");
    PEL_REQUIRE(chown(path_of("script"), 65534, 65534) == 0 && chmod(path_of("script"), 06755) == 0);
    expect(path_of("script"), PEL_REACH_OK, ""); /* the kernel ignores it on scripts */
    clean();
}

PEL_TEST(program, scripts_are_their_interpreters)
{
    char text[256];
    struct image image = good;
    image.headers[0].p_type = PT_LOAD;
    const char *fixed = write_file("image", &image, sizeof image);
    snprintf(text, sizeof text, "#! %s -x\n", fixed);
    expect_script(text, PEL_REACH_STATIC, "/image is linked statically");
    expect_script("#!/bin/sh\necho\n", PEL_REACH_OK, "");
    expect_script("#!/bin/sh", PEL_REACH_OK, "");
    expect_script("echo no first line\n", PEL_REACH_OK, "");
    expect_script("", PEL_REACH_OK, "");
    expect_script("#!\n", PEL_REACH_OK, "");
    expect_script("#!/nonexistent/interpreter\n", PEL_REACH_UNREADABLE, "/nonexistent/interpreter cannot");
    expect_script("#!/usr/bin/env sh\n", PEL_REACH_OK, "");
    PEL_REQUIRE(setenv("PATH", dir, 1) == 0);
    expect_script("#!/usr/bin/env image\n", PEL_REACH_STATIC, "/image is linked statically");
    expect_script("#!/usr/bin/env -S A=b image -u\n", PEL_REACH_STATIC, "/image is linked statically");
    clean();
}

PEL_TEST(program, scripts_of_scripts_end)
{
    char name[8], text[256];
    write_file("s0", "#!/bin/sh\n", 10);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof text, "#!%s\n", path_of((snprintf(name, sizeof name, "s%d", i - 1), name)));
        snprintf(name, sizeof name, "s%d", i);
        write_file(name, text, strlen(text));
    }
    expect(path_of("s3"), PEL_REACH_OK, "");
    expect(path_of("s4"), PEL_REACH_UNREADABLE, "leads to scripts without end");
    clean();
}

PEL_TEST(program, found_as_the_shell_does)
{
    char path[128];
    const char *plain = write_file("plain", "x", 1);
    PEL_REQUIRE(chmod(plain, 0644) == 0);
    PEL_REQUIRE(setenv("PATH", "/nonexistent:/bin", 1) == 0);
    PEL_EXPECT_EQ(pel_program_find("true", path, sizeof path), 0);
    PEL_EXPECT_STR(path, "/bin/true");
    PEL_EXPECT_EQ(pel_program_find("/bin/true", path, sizeof path), 0);
    PEL_EXPECT_EQ(pel_program_find("no-such-program", path, sizeof path), ENOENT);
    PEL_EXPECT_EQ(pel_program_find("", path, sizeof path), ENOENT);
    PEL_EXPECT_EQ(pel_program_find("/bin/true", path, 5), ENAMETOOLONG);
    PEL_EXPECT_EQ(pel_program_find("/bin/true/x", path, sizeof path), ENOENT);
    PEL_REQUIRE(setenv("PATH", dir, 1) == 0);
    PEL_EXPECT_EQ(pel_program_find("plain", path, sizeof path), EACCES);
    PEL_REQUIRE(chdir("/bin") == 0 && setenv("PATH", ":/nonexistent", 1) == 0);
    PEL_EXPECT_EQ(pel_program_find("true", path, sizeof path), 0);
    PEL_EXPECT_STR(path, "true");
    clean();
}

PEL_TEST(program, a_short_buffer_cuts_the_reason)
{
    char why[8] = "1234567", none[1] = "";
    PEL_EXPECT_EQ(pel_program_judge("/nonexistent", why, sizeof why), PEL_REACH_UNREADABLE);
    PEL_EXPECT_STR(why, "/nonexi");
    PEL_EXPECT_EQ(pel_program_judge("/nonexistent", none, 0), PEL_REACH_UNREADABLE);
}
