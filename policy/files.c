/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/agent.h"
#include "policy/view/image.h"

/* Reads until the end of the file, or until `cap` bytes are there. */
static ssize_t read_all(int fd, char *text, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t got = read(fd, text + len, cap - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Whether the file is still the one that `before` tells of, in place and content. What is written in the same
 * tick of the kernel's clock with the same length is not seen. */
static bool is_unchanged(int fd, const char *path, const struct stat *before)
{
    struct stat after, in_place;
    return fstat(fd, &after) == 0 && stat(path, &in_place) == 0 && after.st_size == before->st_size &&
           after.st_mtim.tv_sec == before->st_mtim.tv_sec &&
           after.st_mtim.tv_nsec == before->st_mtim.tv_nsec && in_place.st_dev == before->st_dev &&
           in_place.st_ino == before->st_ino;
}

static enum pel_err read_open_file(int fd, const char *path, char **ret_text, size_t *ret_text_len,
                                   struct pel_error *reterr)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return pel_error_set(reterr, PEL_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return pel_error_set(reterr, PEL_E_ARG, "%s: %s, not a policy file", path,
                             S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
    if (status.st_size > (off_t)PEL_POLICY_FILE_MAX_BYTES)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%s: %lld bytes; a policy file has at most %u", path,
                             (long long)status.st_size, PEL_POLICY_FILE_MAX_BYTES);
    size_t cap = (size_t)status.st_size;
    char *text = malloc(cap + 2);
    if (text == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "%s: out of memory", path);
    ssize_t len = read_all(fd, text, cap + 1); /* one more than there should be */
    enum pel_err err = PEL_OK;
    if (len < 0)
        err = pel_error_set(reterr, PEL_E_IO, "%s: %s", path, strerror(errno));
    else if (len != status.st_size || !is_unchanged(fd, path, &status))
        err = pel_error_set(reterr, PEL_E_IO, "%s: changed while it was read; try again", path);
    if (err != PEL_OK) {
        free(text);
        return err;
    }
    text[len] = '\0';
    *ret_text = text;
    *ret_text_len = (size_t)len;
    return PEL_OK;
}

enum pel_err pel_policy_read_file(const char *path, char **ret_text, size_t *ret_text_len,
                                  struct pel_error *reterr)
{
    /* Without O_NONBLOCK, opening a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return pel_error_set(reterr, errno == ENOENT ? PEL_E_NOT_FOUND : PEL_E_IO, "%s: %s", path,
                             strerror(errno));
    enum pel_err err = read_open_file(fd, path, ret_text, ret_text_len, reterr);
    close(fd);
    return err;
}

/* ---- what is read, one file after the other ---- */

struct entry {
    char *path;
    char *text;
    size_t text_len;
    bool is_policy; /* an agent's file is not */
};

struct loader {
    struct entry *entries;
    size_t num_entries;
    const struct pel_policy_source *more; /* texts beside the files' */
    size_t num_more;
    const struct pel_policy_options *options;
    pel_policy_diag_fn *diag;
    void *diag_arg;
    struct pel_agent_settings agent;
    size_t num_errors, num_warnings; /* of agent files */
};

/* Reads the file as one more entry; it has one, with its path, also when it cannot be read. */
static enum pel_err read_entry(struct loader *loader, const char *path, size_t path_len, struct entry **ret,
                               struct pel_error *reterr)
{
    struct entry *entries = realloc(loader->entries, (loader->num_entries + 1) * sizeof *entries);
    char *copy = strndup(path, path_len);
    if (entries != NULL)
        loader->entries = entries;
    if (entries == NULL || copy == NULL) {
        free(copy);
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    }
    struct entry *entry = &entries[loader->num_entries++];
    *entry = (struct entry){.path = copy, .is_policy = true};
    *ret = entry;
    return pel_policy_read_file(copy, &entry->text, &entry->text_len, reterr);
}

/* ---- an agent's files ---- */

/* The files of one agent: its main file, and perhaps an image file. */
struct agent {
    struct loader *loader;
    struct pel_arena arena;
    struct pel_diags diags;
    struct pel_policy_source sources[2];
    struct pel_agent_file main, image;
};

static enum pel_err count_and_forward(struct agent *agent)
{
    struct loader *loader = agent->loader;
    loader->num_errors += agent->diags.num_errors;
    loader->num_warnings += agent->diags.num_warnings;
    return pel_diag_flush(&agent->diags, loader->diag, loader->diag_arg);
}

/* Reads what a statement names; a relative path begins where the naming file is. What is wrong with the file
 * is an error of that statement. `ret` is NULL then. */
static enum pel_err read_named(struct agent *agent, const struct pel_agent_path *named, struct entry **ret)
{
    const char *from = agent->sources[named->pos.file].file, *slash = strrchr(from, '/');
    size_t dir_len = named->path.text[0] == '/' || slash == NULL ? 0 : (size_t)(slash - from) + 1;
    struct pel_error error = {0};
    char path[PATH_MAX];
    *ret = NULL;
    if (dir_len + named->path.len >= sizeof path) {
        pel_diag_error(&agent->diags, named->path.pos, "%s: the path is too long", named->statement);
        return PEL_OK;
    }
    snprintf(path, sizeof path, "%.*s%.*s", (int)dir_len, from, (int)named->path.len, named->path.text);
    enum pel_err err = read_entry(agent->loader, path, strlen(path), ret, &error);
    if (err == PEL_E_NO_MEMORY)
        return err;
    if (err != PEL_OK) {
        pel_diag_error(&agent->diags, named->path.pos, "%s: %s", named->statement, error.text);
        agent->loader->entries[agent->loader->num_entries - 1].is_policy = false;
        *ret = NULL;
    }
    return PEL_OK;
}

static enum pel_err read_policy(struct agent *agent, const struct pel_agent_path *named)
{
    struct entry *entry = NULL;
    if (!named->is_coded || named->path.len == 0)
        return PEL_OK;
    PEL_TRY(read_named(agent, named, &entry));
    if (entry != NULL && pel_agent_recognise(entry->text, entry->text_len)) {
        pel_diag_error(&agent->diags, named->path.pos, "%s: %s is an agent file, not a policy file",
                       named->statement, entry->path);
        entry->is_policy = false;
    }
    return PEL_OK;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat status_a, status_b;
    return stat(a, &status_a) == 0 && stat(b, &status_b) == 0 && status_a.st_dev == status_b.st_dev &&
           status_a.st_ino == status_b.st_ino;
}

/* Reads the image's file, or takes the main file for it, when it names none or itself. `ret_file` is NULL
 * after an error. */
static enum pel_err read_image(struct agent *agent, const struct pel_agent_image *image,
                               const struct pel_agent_file **ret_file)
{
    struct entry *entry = NULL;
    *ret_file = &agent->main;
    if (image == NULL || image->file.path.len == 0)
        return PEL_OK;
    *ret_file = NULL;
    PEL_TRY(read_named(agent, &image->file, &entry));
    if (entry == NULL)
        return PEL_OK;
    entry->is_policy = false;
    if (is_same_file(entry->path, agent->sources[0].file)) {
        *ret_file = &agent->main;
        return PEL_OK;
    }
    agent->sources[1] =
        (struct pel_policy_source){.file = entry->path, .text = entry->text, .text_len = entry->text_len};
    pel_agent_parse(&agent->diags, 1, true, &agent->image);
    *ret_file = &agent->image;
    if (agent->main.ttls.is_coded)
        pel_diag_warning(&agent->diags, agent->main.ttls.pos,
                         "TTLSConfig is ignored here, since the image has a file of its own: %s",
                         entry->path);
    return PEL_OK;
}

static bool choose(enum pel_agent_choice near, enum pel_agent_choice far, bool otherwise)
{
    enum pel_agent_choice choice = near != PEL_AGENT_UNCODED ? near : far;
    return choice == PEL_AGENT_UNCODED ? otherwise : choice == PEL_AGENT_YES;
}

static void settle(struct agent *agent, const struct pel_agent_image *image,
                   const struct pel_agent_path *ttls)
{
    struct pel_agent_settings *settings = &agent->loader->agent;
    *settings = (struct pel_agent_settings){
        .is_agent = true,
        .flush = choose(ttls->flush, image != NULL ? image->file.flush : PEL_AGENT_UNCODED, true),
        .purge = choose(ttls->purge, image != NULL ? image->file.purge : PEL_AGENT_UNCODED, false),
        .refresh_s = image != NULL ? image->refresh_s : PEL_AGENT_REFRESH_S};
    if (image != NULL)
        snprintf(settings->image, sizeof settings->image, "%.*s", (int)image->name.len, image->name.text);
}

static enum pel_err follow(struct agent *agent)
{
    const char *name = agent->loader->options != NULL ? agent->loader->options->image : NULL;
    const struct pel_agent_file *file = NULL;
    pel_agent_parse(&agent->diags, 0, false, &agent->main);
    const struct pel_agent_image *image = pel_agent_choose(&agent->diags, &agent->main, name);
    if (image == NULL && agent->main.num_images > 0)
        return PEL_OK; /* none of that name, which was said */
    PEL_TRY(read_policy(agent, &agent->main.common));
    PEL_TRY(read_image(agent, image, &file));
    if (file == NULL)
        return PEL_OK;
    struct pel_pos start = {.file = file == &agent->image ? 1 : 0, .line = 1, .column = 1};
    settle(agent, image, &file->ttls);
    if (!file->ttls.is_coded)
        pel_diag_error(&agent->diags, start, "no TTLSConfig: there is no AT-TLS policy%s%s",
                       image != NULL ? " for the image " : "", agent->loader->agent.image);
    else if (file->ttls.path.len == 0 && !file->ttls.bad && !agent->main.common.is_coded)
        pel_diag_error(&agent->diags, file->ttls.pos,
                       "TTLSConfig names no file, and there is no CommonTTLSConfig that does");
    return read_policy(agent, &file->ttls);
}

static enum pel_err follow_agent(struct loader *loader, struct entry *main)
{
    struct agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return PEL_E_NO_MEMORY;
    main->is_policy = false;
    agent->loader = loader;
    agent->sources[0] =
        (struct pel_policy_source){.file = main->path, .text = main->text, .text_len = main->text_len};
    agent->diags = (struct pel_diags){.arena = &agent->arena, .sources = agent->sources};
    enum pel_err err = follow(agent);
    if (err == PEL_OK)
        err = count_and_forward(agent);
    pel_arena_free(&agent->arena);
    free(agent);
    return err;
}

/* ---- all of it as one policy ---- */

static enum pel_err read_path(struct loader *loader, const char *path, struct pel_error *reterr)
{
    struct entry *entry = NULL;
    PEL_TRY(read_entry(loader, path, strlen(path), &entry, reterr));
    if (!pel_agent_recognise(entry->text, entry->text_len))
        return PEL_OK;
    enum pel_err err = follow_agent(loader, entry);
    return err == PEL_OK ? PEL_OK : pel_error_set(reterr, err, "%s", pel_err_text(err));
}

/* What was said of an image's text is not said again, but it is not kept secret either. */
static void say_there_was(const struct loader *loader, const char *path, const struct pel_model *model,
                          size_t *num_warnings)
{
    char text[160];
    bool has_warnings = model->num_warnings > 0;
    if (loader->diag == NULL || (!has_warnings && model->num_notes == 0))
        return;
    snprintf(text, sizeof text,
             "the text of this image had %zu warning%s and %zu note%s when it was compiled; "
             "`pel policy check` of the text says them",
             model->num_warnings, model->num_warnings == 1 ? "" : "s", model->num_notes,
             model->num_notes == 1 ? "" : "s");
    const struct pel_policy_diag diag = {.severity = has_warnings ? PEL_SEV_WARNING : PEL_SEV_NOTE,
                                         .file = path,
                                         .line = 1,
                                         .column = 1,
                                         .message = text};
    *num_warnings += has_warnings;
    loader->diag(loader->diag_arg, &diag);
}

static enum pel_err read_as_image(const struct loader *loader, const struct pel_policy_source *source,
                                  struct pel_policy **ret_policy, size_t *num_warnings,
                                  struct pel_error *reterr)
{
    PEL_TRY(pel_image_read_beside(source->file, source->text, source->text_len, loader->more,
                                  loader->num_more, loader->options, ret_policy, reterr));
    say_there_was(loader, source->file, (*ret_policy)->model, num_warnings);
    return PEL_OK;
}

/* Texts, or one image; texts that are apart come last, and go with either. */
static enum pel_err parse_sources(const struct loader *loader, const struct pel_policy_source *sources,
                                  size_t num, struct pel_policy **ret_policy, size_t *num_warnings,
                                  struct pel_error *reterr)
{
    size_t num_files = num - loader->num_more;
    for (size_t i = 0; i < num_files; i++) {
        if (!pel_image_recognise(sources[i].text, sources[i].text_len))
            continue;
        if (num_files > 1)
            return pel_error_set(reterr, PEL_E_ARG, "%s: a compiled policy stands alone, without other files",
                                 sources[i].file);
        return read_as_image(loader, &sources[i], ret_policy, num_warnings, reterr);
    }
    enum pel_err err = pel_policy_parse(sources, num, loader->options, loader->diag, loader->diag_arg,
                                        ret_policy, num_warnings);
    return err == PEL_OK ? PEL_OK : pel_error_set(reterr, err, "%s", pel_err_text(err));
}

static enum pel_err parse(const struct loader *loader, struct pel_policy **ret_policy, size_t *num_warnings,
                          struct pel_error *reterr)
{
    struct pel_policy_source *sources = calloc(loader->num_entries + loader->num_more + 1, sizeof *sources);
    struct pel_policy *policy = NULL;
    size_t num = 0;
    if (sources == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < loader->num_entries; i++) {
        const struct entry *entry = &loader->entries[i];
        if (entry->is_policy)
            sources[num++] = (struct pel_policy_source){
                .file = entry->path, .text = entry->text, .text_len = entry->text_len};
    }
    for (size_t i = 0; i < loader->num_more; i++)
        sources[num++] = loader->more[i];
    enum pel_err err = parse_sources(loader, sources, num, &policy, num_warnings, reterr);
    free(sources);
    if (err == PEL_OK && loader->num_errors > 0)
        err = pel_error_set(reterr, PEL_E_POLICY_SYNTAX, "%s", pel_err_text(PEL_E_POLICY_SYNTAX));
    if (err != PEL_OK) {
        pel_policy_unref(policy);
        return err;
    }
    *num_warnings += loader->num_warnings;
    policy->model->num_warnings += loader->num_warnings;
    *ret_policy = policy;
    return PEL_OK;
}

/* Hands the paths over, and frees the texts. */
static enum pel_err finish(struct loader *loader, struct pel_policy_files *ret_files)
{
    char **paths = ret_files != NULL ? calloc(loader->num_entries + 1, sizeof *paths) : NULL;
    for (size_t i = 0; i < loader->num_entries; i++) {
        if (paths != NULL)
            paths[i] = loader->entries[i].path;
        else
            free(loader->entries[i].path);
        free(loader->entries[i].text);
    }
    if (ret_files != NULL)
        *ret_files = (struct pel_policy_files){
            .paths = paths, .num_paths = paths != NULL ? loader->num_entries : 0, .agent = loader->agent};
    free(loader->entries);
    return ret_files != NULL && paths == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

enum pel_err pel_policy_load_files_beside(const char *const *paths, size_t num_paths,
                                          const struct pel_policy_source *more, size_t num_more,
                                          const struct pel_policy_options *options, pel_policy_diag_fn *diag,
                                          void *diag_arg, struct pel_policy **ret_policy,
                                          size_t *ret_num_warnings, struct pel_policy_files *ret_files,
                                          struct pel_error *reterr)
{
    struct loader loader = {
        .more = more, .num_more = num_more, .options = options, .diag = diag, .diag_arg = diag_arg};
    struct pel_policy *policy = NULL;
    size_t num_warnings = 0;
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < num_paths && err == PEL_OK; i++)
        err = read_path(&loader, paths[i], reterr);
    if (err == PEL_OK)
        err = parse(&loader, &policy, &num_warnings, reterr);
    enum pel_err kept = finish(&loader, ret_files);
    if (kept != PEL_OK)
        err = pel_error_set(reterr, kept, "out of memory");
    if (err != PEL_OK) {
        pel_policy_unref(policy);
        return err;
    }
    *ret_policy = policy;
    if (ret_num_warnings != NULL)
        *ret_num_warnings = num_warnings;
    return PEL_OK;
}

enum pel_err pel_policy_load_files(const char *const *paths, size_t num_paths,
                                   const struct pel_policy_options *options, pel_policy_diag_fn *diag,
                                   void *diag_arg, struct pel_policy **ret_policy, size_t *ret_num_warnings,
                                   struct pel_policy_files *ret_files, struct pel_error *reterr)
{
    return pel_policy_load_files_beside(paths, num_paths, NULL, 0, options, diag, diag_arg, ret_policy,
                                        ret_num_warnings, ret_files, reterr);
}

void pel_policy_files_free(struct pel_policy_files *files)
{
    for (size_t i = 0; i < files->num_paths; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct pel_policy_files){0};
}
