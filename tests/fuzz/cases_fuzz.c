/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as cases of `pel policy test`: no crash, no leak; a case that fails says what came. */
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/cases.h"
#include "apps/pel/policy/out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char policy_text[] =
    "TTLSRule web\n{\n  LocalPortRange 443\n  Direction Inbound\n  Userid www*\n"
    "  TTLSGroupAction\n  {\n    TTLSEnabled On\n  }\n  TTLSEnvironmentAction\n  {\n"
    "    HandshakeRole Server\n    TTLSKeyringParms\n    {\n      Keyring web\n    }\n"
    "  }\n}\nTTLSRule clear\n{\n  RemoteAddr 10.0.0.0/8\n  Direction Both\n"
    "  TTLSGroupAction\n  {\n    TTLSEnabled Off\n  }\n}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct yaml_report report = {.file = "fuzz", .diagnostics = json_array()};
    struct pel_policy *policy = NULL;
    struct pel_error error;
    struct cases_file file;
    char *text = malloc(len > 0 ? len : 1);
    if (text == NULL ||
        policy_open_text(policy_text, sizeof policy_text - 1, NULL, NULL, &policy, &error) != PEL_OK)
        abort();
    memcpy(text, data, len);
    bool fine = cases_read_text(&file, text, len, &report);
    free(text);
    if (fine != (report.num_errors == 0))
        abort();
    for (unsigned i = 0; fine && i < file.list->num_cases && i < 16; i++) {
        struct case_result result;
        if (case_run(&file, i, policy, &result) != PEL_OK || result.got[0] == '\0' ||
            result.expected[0] == '\0' || (!result.passed && result.why[0] == '\0'))
            abort();
        case_result_free(&result);
    }
    cases_free(&file);
    pel_policy_close(policy);
    json_decref(report.diagnostics);
    return 0;
}
