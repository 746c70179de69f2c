/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an agent's file: what it names lies in the text, there are at most 8 images of different
 * names, and one that is there is found by its name. No file is opened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_word(const struct pel_policy_source *source, const struct pel_word *word)
{
    require(word->len == 0 ||
            (word->text >= source->text && word->text + word->len <= source->text + source->text_len));
    require(word->len == 0 || word->pos.line > 0);
}

static void check_path(const struct pel_policy_source *source, const struct pel_agent_path *path)
{
    check_word(source, &path->path);
    require(path->is_coded == (path->statement != NULL));
    require(path->is_coded || (path->path.len == 0 && path->flush == PEL_AGENT_UNCODED));
}

static void check_images(struct pel_diags *diags, const struct pel_policy_source *source,
                         const struct pel_agent_file *file)
{
    char name[64];
    require(file->num_images <= PEL_AGENT_MAX_IMAGES);
    for (size_t i = 0; i < file->num_images; i++) {
        const struct pel_agent_image *image = &file->images[i];
        check_word(source, &image->name);
        check_path(source, &image->file);
        require(image->name.len > 0 && image->name.len <= 32 && image->refresh_s > 0);
        snprintf(name, sizeof name, "%.*s", (int)image->name.len, image->name.text);
        require(pel_agent_choose(diags, file, name) == image);
    }
    require(pel_agent_choose(diags, file, NULL) == (file->num_images > 0 ? &file->images[0] : NULL));
    require(pel_agent_choose(diags, file, "no such image at all, with a long name") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len > 0 ? len : 1); /* of its exact size, for the sanitizer */
    if (text == NULL)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    struct pel_policy_source source = {.file = "fuzz", .text = text, .text_len = len};
    (void)pel_agent_recognise(text, len);
    for (int is_image = 0; is_image < 2; is_image++) {
        struct pel_arena arena = {0};
        struct pel_diags diags = {.arena = &arena, .sources = &source};
        struct pel_agent_file file;
        pel_agent_parse(&diags, 0, is_image != 0, &file);
        check_path(&source, &file.common);
        check_path(&source, &file.ttls);
        require(!is_image || (file.num_images == 0 && !file.common.is_coded));
        check_images(&diags, &source, &file);
        pel_arena_free(&arena);
    }
    free(text);
    return 0;
}
