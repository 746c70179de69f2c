/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image is taken for hostile: no length is believed before it was compared with what is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/view/image.h"
#include "policy/view/image_inside.h"

struct reader {
    const unsigned char *at, *end;
    uint32_t num_warnings, num_notes;
    uint32_t file; /* of the statement being read */
    size_t num_files;
};

static uint64_t fixed(const unsigned char *from, size_t len)
{
    uint64_t number = 0;
    for (size_t i = len; i-- > 0;)
        number = number << 8 | from[i];
    return number;
}

static bool read_number(struct reader *reader, uint32_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (reader->at == reader->end)
            return false;
        unsigned char byte = *reader->at++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret_number = (uint32_t)number;
            return number <= UINT32_MAX;
        }
    }
    return false;
}

static bool read_text(struct reader *reader, const char **ret_text, size_t *ret_text_len)
{
    uint32_t len;
    if (!read_number(reader, &len) || len > (size_t)(reader->end - reader->at))
        return false;
    *ret_text = (const char *)reader->at;
    *ret_text_len = len;
    reader->at += len;
    return true;
}

/* What messages count from is never 0. */
static bool read_place(struct reader *reader, uint32_t *ret_place)
{
    return read_number(reader, ret_place) && *ret_place > 0;
}

static bool next_fact(void *arg, struct pel_fact_read *ret_fact)
{
    struct reader *reader = arg;
    struct pel_fact_read fact = {.text = ""};
    uint32_t kind;
    if (!read_number(reader, &kind) || kind > PEL_FACT_CLOSE)
        return false;
    fact.fact = (enum pel_fact)kind;
    bool opens = kind == PEL_FACT_TOP || kind == PEL_FACT_PARAM || kind == PEL_FACT_BLOCK;
    if (opens && !read_number(reader, &fact.number))
        return false;
    if (kind == PEL_FACT_TOP && (!read_number(reader, &reader->file) || reader->file >= reader->num_files))
        return false;
    if (kind != PEL_FACT_END && !read_place(reader, &fact.pos.line))
        return false;
    if (opens && !(read_place(reader, &fact.pos.column) && read_text(reader, &fact.text, &fact.text_len)))
        return false;
    fact.pos.file = reader->file;
    *ret_fact = fact;
    return true;
}

bool pel_image_recognise(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t num_same = 0;
    for (size_t i = 0; i < PEL_IMAGE_MAGIC_LEN && i < len; i++)
        num_same += at[i] == pel_image_magic[i];
    return num_same >= PEL_IMAGE_MAGIC_LEN - 2;
}

static enum pel_err check_header(const char *name, const unsigned char *bytes, size_t len,
                                 struct pel_error *reterr)
{
    if (len < PEL_IMAGE_HEADER)
        return pel_error_set(reterr, PEL_E_POLICY_IMAGE, "%s: the image is cut short: %zu bytes", name, len);
    uint64_t said = fixed(bytes + PEL_IMAGE_AT_LENGTH, 8);
    uint32_t version = (uint32_t)fixed(bytes + PEL_IMAGE_AT_VERSION, 4);
    if (len < said)
        return pel_error_set(reterr, PEL_E_POLICY_IMAGE, "%s: the image is cut short: %zu bytes of %llu",
                             name, len, (unsigned long long)said);
    if (len > said || memcmp(bytes, pel_image_magic, PEL_IMAGE_MAGIC_LEN) != 0 ||
        fixed(bytes + PEL_IMAGE_AT_CHECKSUM, 4) != pel_image_checksum(bytes, len))
        return pel_error_set(reterr, PEL_E_POLICY_IMAGE,
                             "%s: the image is damaged: its checksum is wrong; compile the policy again",
                             name);
    if (version != PEL_IMAGE_VERSION)
        return pel_error_set(
            reterr, PEL_E_POLICY_IMAGE,
            "%s: the image is of version %u, and here version %d is read; compile the policy "
            "again",
            name, version, PEL_IMAGE_VERSION);
    if (fixed(bytes + PEL_IMAGE_AT_SCHEMA, 4) != pel_image_schema_mark())
        return pel_error_set(reterr, PEL_E_POLICY_IMAGE,
                             "%s: the image was compiled by another release, whose language differs; compile "
                             "the policy again",
                             name);
    return PEL_OK;
}

/* How much was said of the text, and the files whose names places in the policy bear. */
static enum pel_err read_head(struct reader *reader, const struct pel_policy_source *more, size_t num_more,
                              struct pel_policy_source **ret_sources, char **ret_names)
{
    uint32_t num;
    *ret_sources = NULL;
    *ret_names = NULL;
    if (!read_number(reader, &reader->num_warnings) || !read_number(reader, &reader->num_notes))
        return PEL_E_POLICY_IMAGE;
    const unsigned char *first = reader->at;
    /* Each takes at least a byte. */
    if (!read_number(reader, &num) || num > (size_t)(reader->end - reader->at))
        return PEL_E_POLICY_IMAGE;
    struct pel_policy_source *sources = calloc((size_t)num + num_more + 1, sizeof *sources);
    char *names = malloc((size_t)(reader->end - first) + num + 1), *at = names;
    *ret_sources = sources;
    *ret_names = names;
    if (sources == NULL || names == NULL)
        return PEL_E_NO_MEMORY;
    for (uint32_t i = 0; i < num; i++) {
        const char *name;
        size_t name_len;
        if (!read_text(reader, &name, &name_len) || memchr(name, '\0', name_len) != NULL)
            return PEL_E_POLICY_IMAGE;
        memcpy(at, name, name_len);
        at[name_len] = '\0';
        sources[i].file = at;
        at += name_len + 1;
    }
    for (size_t i = 0; i < num_more; i++)
        sources[num + i] = more[i];
    reader->num_files = num;
    return PEL_OK;
}

struct first_error {
    char text[300];
};

static void keep_first(void *arg, const struct pel_policy_diag *diag)
{
    struct first_error *first = arg;
    if (diag->severity == PEL_SEV_ERROR && first->text[0] == '\0')
        snprintf(first->text, sizeof first->text, "%s:%u: %s", diag->file, diag->line, diag->message);
}

static enum pel_err read_facts(void *arg, struct pel_parse *parse)
{
    const struct reader *reader = arg;
    PEL_TRY(pel_parse_facts(parse, next_fact, arg));
    for (size_t i = reader->num_files; i < parse->num_sources && !parse->cut; i++)
        PEL_TRY(pel_parse_text(parse, i));
    return PEL_OK;
}

enum pel_err pel_image_read_beside(const char *name, const void *bytes, size_t len,
                                   const struct pel_policy_source *more, size_t num_more,
                                   const struct pel_policy_options *options, struct pel_policy **ret_policy,
                                   struct pel_error *reterr)
{
    const unsigned char *first_byte = bytes;
    struct pel_policy_source *sources = NULL;
    char *names = NULL;
    struct first_error first = {""};
    PEL_TRY(check_header(name, first_byte, len, reterr));
    struct reader reader = {.at = first_byte + PEL_IMAGE_HEADER, .end = first_byte + len};
    enum pel_err err = read_head(&reader, more, num_more, &sources, &names);
    if (err == PEL_OK) {
        struct pel_compile_job job = {.sources = sources,
                                      .num_sources = reader.num_files + num_more,
                                      .options = options,
                                      .read = read_facts,
                                      .read_arg = &reader,
                                      .quiet = true};
        err = pel_compile_policy(&job, keep_first, &first, ret_policy, NULL);
    }
    if (err == PEL_OK) {
        (*ret_policy)->model->num_warnings = reader.num_warnings;
        (*ret_policy)->model->num_notes = reader.num_notes;
    }
    free(sources);
    free(names);
    if (err == PEL_E_POLICY_SYNTAX || err == PEL_E_POLICY_IMAGE)
        return pel_error_set(reterr, PEL_E_POLICY_IMAGE, "%s: the image holds no policy: %s", name,
                             first.text[0] != '\0' ? first.text : "it ends too early");
    return err == PEL_OK ? PEL_OK : pel_error_set(reterr, err, "%s: %s", name, pel_err_text(err));
}

enum pel_err pel_image_read(const char *name, const void *bytes, size_t len,
                            const struct pel_policy_options *options, struct pel_policy **ret_policy,
                            struct pel_error *reterr)
{
    return pel_image_read_beside(name, bytes, len, NULL, 0, options, ret_policy, reterr);
}
