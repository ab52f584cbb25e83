// What the sanitizers' runtimes ask each program for; linked into every program of a build with
// -Db_sanitize, and into no other. Not environment variables, since workers get an environment of
// their own, and no standard error: reports go to files, one for each process; ./check looks there.
//
// The variables (ASAN_OPTIONS ...) still go before this where a program inherits them.

#define COMMON_OPTIONS                                     \
  "log_path=" MCPU_REPORT_DIRECTORY                        \
  "/report:log_exe_name=1:exitcode=99:print_stacktrace=1:" \
  "allocator_may_return_null=1:external_symbolizer_path=" MCPU_SYMBOLIZER

namespace {
constexpr const char* kOptions = COMMON_OPTIONS ":halt_on_error=1:detect_leaks=1";
constexpr const char* kThreadOptions = COMMON_OPTIONS ":halt_on_error=0:second_deadlock_stack=1";
}  // namespace

// The runtimes prescribe these names.
extern "C" {
const char* __asan_default_options();
const char* __ubsan_default_options();
const char* __tsan_default_options();

const char* __asan_default_options() { return kOptions; }
const char* __ubsan_default_options() { return kOptions; }
const char* __tsan_default_options() { return kThreadOptions; }
}
