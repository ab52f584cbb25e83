#include "daemon/worker/git_reference.hpp"

#include <algorithm>
#include <vector>

#include "daemon/version.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kTags = "refs/tags/";
constexpr std::size_t kShortestCommit = 4;
constexpr std::size_t kVersionsShown = 3;

struct VersionTag {
  Version version;
  std::string name;
};

/// Empty for whatever does not lead to a commit. What cannot be read may well lead to one: to pass
/// over it would choose another release than is meant.
std::optional<git_oid> commit_of(git_object* object, const std::string& name) {
  git_object* commit = nullptr;
  const int result = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
  if (result == GIT_EPEEL || result == GIT_EINVALIDSPEC) return std::nullopt;
  git_check(result, "read the commit of " + escape_path(name));
  return *git_object_id(GitObject(commit).get());
}

std::optional<git_oid> commit_of_reference(git_repository* repository, const std::string& name) {
  git_oid id{};
  const int result = git_reference_name_to_id(&id, repository, name.c_str());
  if (result == GIT_ENOTFOUND || result == GIT_EINVALIDSPEC) return std::nullopt;
  git_check(result, "read " + escape_path(name));
  git_object* object = nullptr;
  git_check(git_object_lookup(&object, repository, &id, GIT_OBJECT_ANY),
            "read what " + escape_path(name) + " leads to");
  return commit_of(GitObject(object).get(), name);
}

std::optional<git_oid> commit_by_prefix(git_repository* repository, const std::string& prefix) {
  git_oid id{};
  if (prefix.size() < kShortestCommit || prefix.size() > GIT_OID_HEXSZ) return std::nullopt;
  if (git_oid_fromstrn(&id, prefix.c_str(), prefix.size()) < 0) return std::nullopt;
  git_object* object = nullptr;
  if (git_object_lookup_prefix(&object, repository, &id, prefix.size(), GIT_OBJECT_ANY) < 0) {
    return std::nullopt;
  }
  return commit_of(GitObject(object).get(), prefix);
}

/// Every tag that names a released version, the newest first.
std::vector<VersionTag> version_tags(git_repository* repository) {
  git_reference_iterator* iterator = nullptr;
  git_check(git_reference_iterator_glob_new(&iterator, repository, "refs/tags/*"), "list the tags");
  const GitReferenceIterator owned(iterator);
  std::vector<VersionTag> tags;
  const char* name = nullptr;
  while (git_reference_next_name(&name, iterator) == 0) {
    const std::string tag = std::string(name).substr(kTags.size());
    const auto version = parse_version(tag);
    if (tag.find('.') == std::string::npos || !version || !version->pre_release.empty() ||
        version->commits_after != 0) {
      continue;
    }
    tags.push_back({*version, tag});
  }
  std::ranges::sort(tags, [](const VersionTag& a, const VersionTag& b) {
    return a.version != b.version ? a.version > b.version : a.name < b.name;
  });
  return tags;
}

std::string newest_versions_text(git_repository* repository) {
  const auto tags = version_tags(repository);
  std::string text;
  for (std::size_t i = 0; i < std::min(kVersionsShown, tags.size()); ++i) {
    text += (i == 0 ? "" : ", ") + tags[i].name;
  }
  return text.empty() ? "it has no version tags" : "the newest versions are " + text;
}

}  // namespace

ChosenCommit newest_version(git_repository* repository, const std::string& name) {
  for (const auto& tag : version_tags(repository)) {
    const auto id = commit_of_reference(repository, std::string(kTags) + tag.name);
    if (id) return {*id, tag.name};
  }
  throw Error(Code::kSource,
              name + " has no version tag such as v1.2.3; name a tag, branch or commit with --to");
}

ChosenCommit find_commit(git_repository* repository, const std::string& name,
                         const std::string& wanted) {
  const std::string bare = without_v(wanted);
  std::vector<std::string> tags{wanted};
  if (parse_version(bare)) tags.insert(tags.end(), {"v" + bare, bare});
  for (const auto& tag : tags) {
    if (const auto id = commit_of_reference(repository, std::string(kTags) + tag)) {
      return {*id, tag};
    }
  }
  // A branch that is called like a version is no release: whoever may ask for versions alone would
  // get what nobody released.
  if (!names_version(wanted)) {
    for (const char* prefix : {"refs/heads/", "refs/remotes/origin/"}) {
      if (const auto id = commit_of_reference(repository, prefix + wanted)) return {*id, ""};
    }
    if (const auto id = commit_by_prefix(repository, wanted)) return {*id, ""};
  }
  throw Error(Code::kNotFound,
              name + " has no tag, branch or commit " + escape_path(wanted) + "; " +
                  newest_versions_text(repository),
              {{"what", escape_path(wanted)}});
}

std::optional<git_oid> head_commit(git_repository* repository) {
  git_oid id{};
  const int result = git_reference_name_to_id(&id, repository, "HEAD");
  if (result == GIT_ENOTFOUND) return std::nullopt;
  git_check(result, "read HEAD");
  return id;
}

std::string describe(git_repository* repository, const git_oid& commit) {
  git_object* object = nullptr;
  git_check(git_object_lookup(&object, repository, &commit, GIT_OBJECT_COMMIT),
            "read commit " + hex_of(commit));
  const GitObject owned(object);
  git_describe_options options{};
  git_describe_options_init(&options, GIT_DESCRIBE_OPTIONS_VERSION);
  options.describe_strategy = GIT_DESCRIBE_TAGS;
  git_describe_result* result = nullptr;
  if (git_describe_commit(&result, object, &options) < 0) return {};
  const GitDescription description(result);
  git_buf text = GIT_BUF_INIT;
  if (git_describe_format(&text, result, nullptr) < 0) return {};
  std::string version = without_v({text.ptr, text.size});
  git_buf_dispose(&text);
  return version;
}

}  // namespace mcpu
