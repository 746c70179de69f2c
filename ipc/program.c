/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATH_LEN        4096
#define SCRIPT_LEVELS   4   /* as many interpreters of interpreters as the kernel follows */
#define SCRIPT_LINE_LEN 256 /* of which the kernel reads no more either */
#define HEADERS_MAX     512
#define NOTES_LEN       4096
#define OUR_LOADER      "ld-linux-x86-64.so.2"
#define ON_PATH         "/usr/local/bin:/usr/bin:/bin"

/* The sentence, written piece by piece: snprintf may allocate, so it is not for a signal handler. Names come
 * out of files: what could steer a terminal becomes "?". */
struct why {
    char *text;
    size_t cap, len;
};

static void say(struct why *why, const char *piece)
{
    for (; *piece != '\0' && why->len + 1 < why->cap; piece++)
        why->text[why->len++] = (unsigned char)*piece < 0x20 || *piece == 0x7f ? '?' : *piece;
    if (why->cap > 0)
        why->text[why->len] = '\0';
}

static enum pel_program_reach refuse(struct why *why, const char *path, const char *reason,
                                     enum pel_program_reach reach)
{
    say(why, path);
    say(why, " ");
    say(why, reason);
    return reach;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* ---- PATH ---- */

static int try_path(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return errno == ENOTDIR ? ENOENT : errno;
    return S_ISREG(stat_of.st_mode) && access(path, X_OK) == 0 ? 0 : EACCES;
}

/* "DIR/NAME"; an empty DIR is the current one. */
static bool join(const char *dir, size_t dir_len, const char *name, char *ret_path, size_t path_len)
{
    size_t name_len = strlen(name), slash_len = dir_len > 0 ? 1 : 0;
    if (dir_len + slash_len + name_len >= path_len)
        return false;
    memcpy(ret_path, dir, dir_len);
    memcpy(ret_path + dir_len, "/", slash_len);
    memcpy(ret_path + dir_len + slash_len, name, name_len + 1);
    return true;
}

int pel_program_find(const char *name, char *ret_path, size_t path_len)
{
    const char *dir = getenv("PATH");
    int worst = ENOENT;
    if (name[0] == '\0')
        return ENOENT;
    if (strchr(name, '/') != NULL)
        return join("", 0, name, ret_path, path_len) ? try_path(name) : ENAMETOOLONG;
    for (dir = dir != NULL ? dir : ON_PATH;; dir += strcspn(dir, ":") + 1) {
        size_t dir_len = strcspn(dir, ":");
        int error = join(dir, dir_len, name, ret_path, path_len) ? try_path(ret_path) : ENAMETOOLONG;
        if (error == 0)
            return 0;
        worst = error == EACCES ? EACCES : worst;
        if (dir[dir_len] == '\0')
            return worst;
    }
}

/* ---- ELF ---- */

static bool read_at(int fd, void *to, size_t len, uint64_t offset)
{
    return offset <= INT64_MAX && pread(fd, to, len, (off_t)offset) == (ssize_t)len;
}

/* The linker of Go writes a note of its own, also into programs that are otherwise linked as C is. */
static bool is_go_note(int fd, const Elf64_Phdr *header)
{
    uint8_t notes[NOTES_LEN];
    size_t len = header->p_filesz < sizeof notes ? (size_t)header->p_filesz : sizeof notes;
    if (!read_at(fd, notes, len, header->p_offset))
        return false;
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) + 4 <= len;) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        if (note.n_namesz == 4 && memcmp(notes + at + sizeof note, "Go\0", 4) == 0)
            return true;
        uint64_t next = at + sizeof note + (((uint64_t)note.n_namesz + 3) & ~3ull) +
                        (((uint64_t)note.n_descsz + 3) & ~3ull);
        if (next <= at || next > len)
            return false;
        at = (size_t)next;
    }
    return false;
}

/* The note can be left out at build time; these sections cannot, but they go when a program is stripped of
 * its section headers. */
static bool has_go_section(int fd, const Elf64_Ehdr *elf)
{
    Elf64_Shdr names, section;
    char name[sizeof ".go.buildinfo"];
    if (elf->e_shentsize != sizeof section || elf->e_shnum > HEADERS_MAX || elf->e_shstrndx >= elf->e_shnum ||
        !read_at(fd, &names, sizeof names, elf->e_shoff + (uint64_t)elf->e_shstrndx * sizeof names))
        return false;
    for (unsigned i = 0; i < elf->e_shnum; i++) {
        if (!read_at(fd, &section, sizeof section, elf->e_shoff + (uint64_t)i * sizeof section))
            return false;
        if (read_at(fd, name, sizeof name, names.sh_offset + section.sh_name) &&
            memcmp(name, ".go.buildinfo", sizeof name) == 0)
            return true;
    }
    return false;
}

static enum pel_program_reach judge_loader(int fd, const Elf64_Phdr *header, const char *path,
                                           struct why *why)
{
    char loader[PATH_LEN];
    size_t len = header->p_filesz < sizeof loader ? (size_t)header->p_filesz : 0;
    if (len == 0 || !read_at(fd, loader, len, header->p_offset) || loader[len - 1] != '\0')
        return refuse(why, path, "names its loader in a way that cannot be read", PEL_REACH_UNREADABLE);
    if (strcmp(base_name(loader), OUR_LOADER) == 0)
        return PEL_REACH_OK;
    say(why, path);
    say(why, " is started by ");
    say(why, loader);
    say(why, ", which is not this system's loader (" OUR_LOADER ")");
    return PEL_REACH_OTHER_CLASS;
}

static enum pel_program_reach judge_headers(int fd, const Elf64_Ehdr *elf, const char *path, struct why *why)
{
    Elf64_Phdr header, interp = {.p_type = PT_NULL};
    bool is_go = false;
    if (elf->e_phentsize != sizeof header || elf->e_phnum > HEADERS_MAX)
        return refuse(why, path, "has program headers that cannot be read", PEL_REACH_UNREADABLE);
    for (unsigned i = 0; i < elf->e_phnum; i++) {
        if (!read_at(fd, &header, sizeof header, elf->e_phoff + (uint64_t)i * sizeof header))
            return refuse(why, path, "ends within its program headers", PEL_REACH_UNREADABLE);
        if (header.p_type == PT_INTERP && interp.p_type == PT_NULL) /* the kernel takes the first, too */
            interp = header;
        is_go |= header.p_type == PT_NOTE && is_go_note(fd, &header);
    }
    if (is_go || has_go_section(fd, elf))
        return refuse(why, path, "is a Go program: it makes its system calls itself, not through libc",
                      PEL_REACH_GO);
    if (interp.p_type == PT_NULL)
        return refuse(why, path, "is linked statically: no loader runs that could bring in a library",
                      PEL_REACH_STATIC);
    return judge_loader(fd, &interp, path, why);
}

static enum pel_program_reach judge_elf(int fd, const Elf64_Ehdr *elf, const char *path, struct why *why)
{
    if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_ident[EI_DATA] != ELFDATA2LSB ||
        elf->e_machine != EM_X86_64)
        return refuse(why, path,
                      elf->e_ident[EI_CLASS] == ELFCLASS32
                          ? "is a 32-bit program; only 64-bit x86 is followed"
                          : "is a program of another kind of machine",
                      PEL_REACH_OTHER_CLASS);
    return judge_headers(fd, elf, path, why);
}

/* ---- rights ---- */

/* Rights that the program would gain over those of who starts it; the kernel then has the loader ignore
 * LD_PRELOAD. */
static bool gains_rights(int fd, const struct stat *stat_of)
{
    if ((stat_of->st_mode & S_ISUID) != 0 && stat_of->st_uid != getuid())
        return true;
    if ((stat_of->st_mode & S_ISGID) != 0 && (stat_of->st_mode & S_IXGRP) != 0 && stat_of->st_gid != getgid())
        return true;
    return getuid() != 0 && fd >= 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* ---- scripts ---- */

/* The next word of a line that ends with NUL, and ends the word there. */
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " \t");
    size_t len = strcspn(word, " \t");
    *line = word + len;
    if (**line != '\0')
        *(*line)++ = '\0';
    return *word != '\0' ? word : NULL;
}

/* Of "#!/usr/bin/env -S A=b python3 -u" it is python3 that runs. */
static bool follow_env(char *arguments, char ret_path[PATH_LEN])
{
    char *word;
    while ((word = next_word(&arguments)) != NULL)
        if (word[0] != '-' && strchr(word, '=') == NULL)
            return pel_program_find(word, ret_path, PATH_LEN) == 0;
    return false;
}

/* What executes the script that begins with `line`; a text without "#!" is the shell's. */
static void take_interpreter(char *line, char ret_path[PATH_LEN])
{
    char *rest = line + 2, *interpreter = NULL;
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '#' && line[1] == '!')
        interpreter = next_word(&rest);
    if (interpreter == NULL)
        interpreter = "/bin/sh";
    else if (strcmp(base_name(interpreter), "env") == 0 && follow_env(rest, ret_path))
        return;
    memcpy(ret_path, interpreter, strlen(interpreter) + 1); /* shorter than a line, so than a path */
}

/* ---- all of it ---- */

/* Opens what is a file; -1: it is none, or may not be read. A device is not opened: that may do something. */
static int open_file(const char *path, struct stat *ret_stat)
{
    if (!S_ISREG(ret_stat->st_mode))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, ret_stat) == 0 && S_ISREG(ret_stat->st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Of a file as its beginning says. What is not ELF is a script, whose line is then in `line`. */
static enum pel_program_reach judge_open(int fd, const struct stat *stat_of, const char *path,
                                         char line[SCRIPT_LINE_LEN], struct why *why)
{
    union {
        Elf64_Ehdr elf;
        char text[SCRIPT_LINE_LEN];
    } head = {.text = ""};
    ssize_t len = fd >= 0 ? pread(fd, head.text, sizeof head.text - 1, 0) : -1;
    bool is_elf = len >= SELFMAG && memcmp(head.text, ELFMAG, SELFMAG) == 0;
    if ((len < 0 || is_elf) && gains_rights(fd, stat_of))
        return refuse(why, path,
                      "is setuid, setgid or has file capabilities: the loader lets nothing into it",
                      PEL_REACH_PRIVILEGED);
    if (len < 0)
        return refuse(why, path, "cannot be read, so nobody can tell what it is", PEL_REACH_UNREADABLE);
    if (is_elf && len < (ssize_t)sizeof head.elf)
        return refuse(why, path, "ends within its ELF header", PEL_REACH_UNREADABLE);
    if (is_elf)
        return judge_elf(fd, &head.elf, path, why);
    memcpy(line, len > 0 ? head.text : "\n", len > 0 ? SCRIPT_LINE_LEN : 2);
    return PEL_REACH_OK;
}

static enum pel_program_reach judge_file(const char *path, char line[SCRIPT_LINE_LEN], struct why *why)
{
    struct stat stat_of;
    line[0] = '\0';
    if (stat(path, &stat_of) != 0)
        return refuse(why, path, "cannot be looked at", PEL_REACH_UNREADABLE);
    int fd = open_file(path, &stat_of);
    enum pel_program_reach reach = judge_open(fd, &stat_of, path, line, why);
    if (fd >= 0)
        close(fd);
    return reach;
}

enum pel_program_reach pel_program_judge(const char *path, char *ret_why, size_t why_len)
{
    struct why why = {.text = ret_why, .cap = why_len};
    char line[SCRIPT_LINE_LEN], interpreter[PATH_LEN];
    say(&why, "");
    for (int level = 0; level <= SCRIPT_LEVELS; level++) {
        enum pel_program_reach reach = judge_file(path, line, &why);
        if (reach != PEL_REACH_OK || line[0] == '\0')
            return reach;
        take_interpreter(line, interpreter);
        path = interpreter;
    }
    return refuse(&why, path, "is a script that leads to scripts without end", PEL_REACH_UNREADABLE);
}
