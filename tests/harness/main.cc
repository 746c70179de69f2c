// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/harness.h"

#include <gtest/gtest.h>

#include <cstdarg>
#include <cstdio>
#include <string>

namespace
{

class CTest : public ::testing::Test
{
  public:
    explicit CTest(pel_test_fn *fn) : fn_(fn)
    {
    }
    void TestBody() override
    {
        fn_();
    }

  private:
    pel_test_fn *fn_;
};

std::string format_text(const char *format, va_list args)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    return text;
}

} // namespace

extern "C" void pel_test_register(const char *suite, const char *name, const char *file, int line,
                                  pel_test_fn *fn)
{
    ::testing::RegisterTest(suite, name, nullptr, nullptr, file, line,
                            [fn]() -> CTest * { return new CTest(fn); });
}

extern "C" void pel_test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ADD_FAILURE_AT(file, line) << format_text(format, args);
    va_end(args);
}

extern "C" void pel_test_skip(const char *file, int line, const char *reason)
{
    GTEST_MESSAGE_AT_(file, line, reason, ::testing::TestPartResult::kSkip);
}

extern "C" int pel_test_has_failed(void)
{
    return ::testing::Test::HasFailure() ? 1 : 0;
}

extern "C" void pel_test_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("    %s\n", format_text(format, args).c_str());
    va_end(args);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
