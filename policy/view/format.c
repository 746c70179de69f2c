/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/policy.h>
#include <stdlib.h>
#include <string.h>

#include "policy/files.h"
#include "policy/view/image.h"
#include "policy/view/out.h"
#include "policy/view/write.h"

struct forward {
    pel_policy_message_fn *fn;
    void *arg;
};

static void forward_message(void *arg, const struct pel_policy_diag *diag)
{
    const struct forward *forward = arg;
    struct pel_policy_message message = pel_policy_message_of(diag, false);
    if (forward->fn != NULL)
        forward->fn(forward->arg, &message);
}

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    struct pel_out *out = arg;
    pel_out_add(out, text, text_len);
    return out->failed ? PEL_E_NO_MEMORY : PEL_OK;
}

static enum pel_err format(const struct pel_policy_source *source, struct forward *forward,
                           struct pel_out *out)
{
    struct pel_policy *policy = NULL;
    struct pel_arena scratch = {0};
    struct pel_comments comments;
    PEL_TRY(pel_policy_parse(source, 1, NULL, forward_message, forward, &policy, NULL));
    enum pel_err err = pel_comments_find(&scratch, source, 1, &comments);
    if (err == PEL_OK)
        err = pel_write_model(policy->model, &comments, add_text, out);
    if (err == PEL_OK)
        pel_out_text(out, ""); /* also of nothing it is a text */
    pel_arena_free(&scratch);
    pel_policy_unref(policy);
    return err == PEL_OK && out->failed ? PEL_E_NO_MEMORY : err;
}

enum pel_err pel_policy_format(const char *path, pel_policy_message_fn *fn, void *arg, char **ret_text,
                               size_t *ret_text_len, int *ret_is_same, struct pel_error *reterr)
{
    struct pel_policy_source source = {.file = path};
    struct forward forward = {.fn = fn, .arg = arg};
    struct pel_out out = {0};
    char *text = NULL;
    PEL_TRY(pel_policy_read_file(path, &text, &source.text_len, reterr));
    source.text = text;
    if (pel_image_recognise(text, source.text_len)) {
        free(text);
        return pel_error_set(reterr, PEL_E_ARG, "%s: a compiled policy has no text to format", path);
    }
    enum pel_err err = format(&source, &forward, &out);
    if (err == PEL_OK) {
        *ret_is_same = out.len == source.text_len && memcmp(out.text, text, out.len) == 0;
        *ret_text = out.text;
        *ret_text_len = out.len;
    } else {
        (void)pel_error_set(reterr, err, "%s: %s", path, pel_err_text(err));
        pel_out_free(&out);
    }
    free(text);
    return err;
}
