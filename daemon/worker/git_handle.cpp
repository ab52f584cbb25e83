#include "daemon/worker/git_handle.hpp"

#include <mutex>

#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kWindowBytes = 256 << 10;
constexpr std::size_t kMappedBytes = 2 << 20;
constexpr ssize_t kCacheBytes = 1 << 20;

}  // namespace

void start_git() {
  static std::once_flag once;
  std::call_once(once, [] {
    git_libgit2_init();
    for (const int level : {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                            GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
    git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, kWindowBytes);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, kMappedBytes);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, kCacheBytes);
  });
}

Error git_error_of(const std::string& action) {
  const git_error* const last = git_error_last();
  const std::string reason =
      last != nullptr && last->message != nullptr ? to_utf8(last->message) : "no reason given";
  return Error(Code::kSource, "cannot " + action + ": " + reason,
               {{"git_class", last != nullptr ? last->klass : 0}});
}

void git_check(int result, const std::string& action) {
  if (result < 0) throw git_error_of(action);
}

GitRepository open_repository(const std::string& directory) {
  start_git();
  git_repository* repository = nullptr;
  git_check(git_repository_open_ext(&repository, directory.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH,
                                    nullptr),
            "open the git repository " + escape_path(directory));
  return GitRepository(repository);
}

bool is_repository(const std::string& directory) {
  start_git();
  return git_repository_open_ext(nullptr, directory.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH,
                                 nullptr) == 0;
}

std::string hex_of(const git_oid& id) {
  std::string hex(GIT_OID_HEXSZ, '0');
  git_oid_fmt(hex.data(), &id);
  return hex;
}

}  // namespace mcpu
