#include "daemon/worker/git_source.hpp"

#include <vector>

#include "daemon/version.hpp"
#include "daemon/worker/closed_tree.hpp"
#include "daemon/worker/directory_source.hpp"
#include "daemon/worker/exclusion.hpp"
#include "daemon/worker/git_tree.hpp"
#include "daemon/worker/tree_collector.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kFilesShown = 20;

/// What differs between HEAD and the files on disk.
struct Differences {
  std::vector<std::string> files;  ///< the first few
  std::size_t count = 0;
};

GitDiff diff_to_files(git_repository* repository, const git_oid& head, bool untracked) {
  git_object* object = nullptr;
  git_check(git_object_lookup(&object, repository, &head, GIT_OBJECT_COMMIT), "read HEAD");
  const GitObject commit(object);
  git_object* tree = nullptr;
  git_check(git_object_peel(&tree, object, GIT_OBJECT_TREE), "read the tree of HEAD");
  const GitObject owned(tree);
  git_diff_options options{};
  git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
  options.flags = GIT_DIFF_IGNORE_SUBMODULES | GIT_DIFF_DISABLE_PATHSPEC_MATCH;
  if (untracked) options.flags |= GIT_DIFF_INCLUDE_UNTRACKED;
  git_diff* diff = nullptr;
  git_check(git_diff_tree_to_workdir_with_index(&diff, repository,
                                                reinterpret_cast<git_tree*>(tree), &options),
            "compare the files with HEAD");
  return GitDiff(diff);
}

Differences differences(git_repository* repository, const git_oid& head, bool untracked,
                        const Exclusion& exclusion) {
  const GitDiff diff = diff_to_files(repository, head, untracked);
  Differences found;
  for (std::size_t i = 0; i < git_diff_num_deltas(diff.get()); ++i) {
    const git_diff_delta* const delta = git_diff_get_delta(diff.get(), i);
    const char* const path =
        delta->new_file.path != nullptr ? delta->new_file.path : delta->old_file.path;
    if (exclusion.covers_file(path)) continue;
    ++found.count;
    if (found.files.size() < kFilesShown) found.files.push_back(escape_path(path));
  }
  return found;
}

/// A checkout that cannot be compared is still a good source: HEAD is what counts.
void warn_of_differences(git_repository* repository, const git_oid& head,
                         const SourceRequest& request, ResolvedSource& resolved) {
  try {
    const auto found =
        differences(repository, head, true, Exclusion(with_built_in_exclusions(request.exclude)));
    if (found.count == 0) return;
    resolved.notices.push_back(
        {Tier::kWarning, "source.differs", {{"files", found.files}, {"count", found.count}}});
  } catch (const Error& error) {
    resolved.notices.push_back({Tier::kWarning, "source.not_compared", {{"reason", error.what()}}});
  }
}

std::vector<std::string> tracked_files(git_repository* repository, const std::string& name,
                                       const Exclusion& exclusion) {
  git_index* index = nullptr;
  git_check(git_repository_index(&index, repository), "read the index of " + name);
  const GitIndex owned(index);
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < git_index_entrycount(index); ++i) {
    const git_index_entry* const entry = git_index_get_byindex(index, i);
    if (exclusion.covers_file(entry->path)) continue;
    if (git_index_entry_is_conflict(entry) != 0) {
      refuse_path(name, entry->path, "has an unfinished merge; finish it first");
    }
    if (entry->mode == GIT_FILEMODE_COMMIT) {
      refuse_path(name, entry->path, "is a git submodule, which is not followed; exclude it");
    }
    paths.emplace_back(entry->path);
  }
  return paths;
}

std::unique_ptr<OpenedSource> open_worktree(FileSystem& fs, git_repository* repository,
                                            const std::string& directory,
                                            const SourceRequest& request) {
  const Exclusion exclusion(with_built_in_exclusions(request.exclude));
  const auto paths = tracked_files(repository, escape_path(directory), exclusion);
  auto source = open_files(fs, directory, paths, request);
  const auto head = head_commit(repository);
  ResolvedSource& resolved = source->resolved;
  resolved.modified = true;
  if (head) {
    resolved.commit = hex_of(*head);
    resolved.version = describe(repository, *head);
    const auto found = differences(repository, *head, false, exclusion);
    resolved.modified = found.count != 0;
    if (resolved.modified) {
      resolved.notices.push_back(
          {Tier::kInfo, "source.worktree", {{"files", found.files}, {"count", found.count}}});
    }
  }
  return source;
}

GitRepository open_own(const std::string& directory) {
  try {
    return open_repository(directory);
  } catch (const Error& error) {
    throw Error(error.code(),
                error.what() + std::string("; clone it anew, or move its .git away to have the "
                                           "directory taken as it is"));
  }
}

GitRepository open_closed(FileSystem& fs, const std::string& directory,
                          const SourceRequest& request) {
  GitRepository repository = open_own(directory);
  if (!request.closed) return repository;
  const std::string name = escape_path(directory);
  const std::string own = git_repository_path(repository.get());
  const std::string common = git_repository_commondir(repository.get());
  require_closed_repository(fs, name, own);
  if (common != own) require_closed_repository(fs, name, common);
  return repository;
}

std::unique_ptr<OpenedSource> open_head(FileSystem& fs, GitRepository repository,
                                        const std::string& name, const SourceRequest& request) {
  const auto head = head_commit(repository.get());
  if (!head) {
    throw Error(Code::kSource,
                name + " has no commit yet; commit something, or take the files with --worktree");
  }
  ResolvedSource compared;
  warn_of_differences(repository.get(), *head, request, compared);
  auto source = open_chosen(fs, std::move(repository), {*head, ""}, name, request);
  source->resolved.notices = std::move(compared.notices);
  return source;
}

}  // namespace

std::unique_ptr<OpenedSource> open_checkout(FileSystem& fs, const std::string& directory,
                                            const SourceRequest& request) {
  const std::string name = escape_path(directory);
  GitRepository repository = open_closed(fs, directory, request);
  std::unique_ptr<OpenedSource> source;
  if (request.worktree) {
    source = open_worktree(fs, repository.get(), directory, request);
  } else if (request.to) {
    const ChosenCommit chosen = find_commit(repository.get(), name, *request.to);
    source = open_chosen(fs, std::move(repository), chosen, name, request);
  } else {
    source = open_head(fs, std::move(repository), name, request);
  }
  source->resolved.kind = "checkout";
  return source;
}

std::unique_ptr<OpenedSource> open_chosen(FileSystem& fs, GitRepository repository,
                                          const ChosenCommit& chosen, const std::string& name,
                                          const SourceRequest& request) {
  std::string version =
      chosen.tag.empty() ? describe(repository.get(), chosen.id) : without_v(chosen.tag);
  auto source = open_commit(fs, std::move(repository), chosen.id, name, request);
  source->resolved.version = std::move(version);
  source->resolved.kind = "repository";
  return source;
}

std::unique_ptr<OpenedSource> open_local_repository(FileSystem& fs, const std::string& directory,
                                                    const SourceRequest& request) {
  const std::string name = escape_path(directory);
  GitRepository repository = open_closed(fs, directory, request);
  const ChosenCommit chosen = request.to ? find_commit(repository.get(), name, *request.to)
                                         : newest_version(repository.get(), name);
  return open_chosen(fs, std::move(repository), chosen, name, request);
}

}  // namespace mcpu
