#include "daemon/source_wire.hpp"

#include <algorithm>
#include <set>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxNotices = 100;
constexpr std::size_t kMaxLocationBytes = 8192;
constexpr std::size_t kPartBytes = 256 * 1024;

[[noreturn]] void lie(const std::string& what) {
  throw Error(Code::kWorker, "the source worker sent something unreadable: " + what);
}

/// Turns what the JSON library throws for a missing or wrongly typed field into a worker's fault.
template <typename Read>
auto read_fields(Read read) {
  try {
    return read();
  } catch (const json::exception& error) {
    lie(to_utf8(error.what()));
  }
}

json escaped(const std::vector<std::string>& paths) {
  json out = json::array();
  for (const auto& path : paths) out.push_back(escape_path(path));
  return out;
}

std::vector<std::string> unescaped(const json& paths) {
  std::vector<std::string> out;
  for (const auto& path : paths) out.push_back(unescape_path(path.get<std::string>()));
  return out;
}

json limits_to_json(const TreeLimits& limits) {
  return {{"entries", limits.max_entries},
          {"total_bytes", limits.max_total_bytes},
          {"file_bytes", limits.max_file_bytes},
          {"path_bytes", limits.max_path_bytes}};
}

TreeLimits limits_from_json(const json& from) {
  TreeLimits limits;
  from.at("entries").get_to(limits.max_entries);
  from.at("total_bytes").get_to(limits.max_total_bytes);
  from.at("file_bytes").get_to(limits.max_file_bytes);
  from.at("path_bytes").get_to(limits.max_path_bytes);
  return limits;
}

bool is_commit(std::string_view text) {
  return text.empty() || (text.size() == 40 && std::ranges::all_of(text, [](char c) {
                            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                          }));
}

void check_description(const ResolvedSource& resolved) {
  const std::set<std::string> kinds{"checkout", "repository", "directory"};
  if (!kinds.contains(resolved.kind)) lie("a kind of source that does not exist");
  if (!is_release_version(resolved.version)) lie("a version with characters that cannot be");
  if (!is_commit(resolved.commit)) lie("a commit that is not one");
  if (resolved.location.size() > kMaxLocationBytes) lie("an endless location");
}

}  // namespace

bool is_release_version(std::string_view text) {
  return !text.empty() && text.size() <= kMaxVersionBytes && text[0] != '.' && text[0] != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '-' || c == '_' || c == '+';
         });
}

json to_json(const SourceRequest& request) {
  json out{{"location", escape_path(request.location)},
           {"worktree", request.worktree},
           {"closed", request.closed},
           {"cache_directory", escape_path(request.cache_directory)},
           {"known_hosts", escape_path(request.known_hosts)},
           {"ca_file", escape_path(request.ca_file)},
           {"exclude", escaped(request.exclude)},
           {"entry_paths", escaped(request.entry_paths)},
           {"changelog_path", escape_path(request.changelog_path)},
           {"limits", limits_to_json(request.limits)},
           {"max_clone_bytes", request.max_clone_bytes}};
  if (request.to) out["to"] = escape_path(*request.to);
  return out;
}

SourceRequest source_request_from_json(const json& from) {
  return read_fields([&] {
    const auto path = [&](const char* key) {
      return unescape_path(from.at(key).get<std::string>());
    };
    SourceRequest request;
    request.location = path("location");
    if (from.contains("to")) request.to = path("to");
    request.worktree = from.at("worktree").get<bool>();
    request.closed = from.at("closed").get<bool>();
    request.cache_directory = path("cache_directory");
    request.known_hosts = path("known_hosts");
    request.ca_file = path("ca_file");
    request.exclude = unescaped(from.at("exclude"));
    request.entry_paths = unescaped(from.at("entry_paths"));
    request.changelog_path = path("changelog_path");
    request.limits = limits_from_json(from.at("limits"));
    from.at("max_clone_bytes").get_to(request.max_clone_bytes);
    return request;
  });
}

json to_json(const Notice& notice) {
  return {{"tier", tier_name(notice.tier)}, {"id", notice.id}, {"fields", notice.fields}};
}

Notice source_notice_from_json(const json& from) {
  return read_fields([&] {
    const auto tier = tier_from(from.at("tier").get<std::string>());
    Notice notice{tier.value_or(Tier::kInfo), from.at("id").get<std::string>(), from.at("fields")};
    if (!tier || !notice.id.starts_with("source.") || !notice.fields.is_object()) {
      lie("a notice that is none of a source's");
    }
    return notice;
  });
}

json description_to_json(const ResolvedSource& resolved) {
  json notices = json::array();
  for (const auto& notice : resolved.notices) notices.push_back(to_json(notice));
  return {{"location", escape_path(resolved.location)},
          {"kind", resolved.kind},
          {"version", resolved.version},
          {"commit", resolved.commit},
          {"modified", resolved.modified},
          {"notices", notices},
          {"entries", resolved.listing.entries().size()}};
}

ResolvedSource description_from_json(const json& from) {
  return read_fields([&] {
    ResolvedSource resolved;
    resolved.location = from.at("location").get<std::string>();
    from.at("kind").get_to(resolved.kind);
    from.at("version").get_to(resolved.version);
    from.at("commit").get_to(resolved.commit);
    from.at("modified").get_to(resolved.modified);
    const json& notices = from.at("notices");
    if (!notices.is_array() || notices.size() > kMaxNotices) lie("too many notices");
    for (const auto& notice : notices) resolved.notices.push_back(source_notice_from_json(notice));
    check_description(resolved);
    return resolved;
  });
}

std::vector<std::string> listing_parts(const Listing& listing) {
  std::vector<std::string> parts;
  std::vector<ListingEntry> part;
  std::size_t bytes = 0;
  for (const auto& entry : listing.entries()) {
    // An escaped byte takes four; digest, size and separators stay below 200.
    const std::size_t needed = 4 * (entry.path.size() + entry.target.size()) + 200;
    if (bytes + needed > kPartBytes) {
      parts.push_back(Listing(std::exchange(part, {})).to_text());
      bytes = 0;
    }
    part.push_back(entry);
    bytes += needed;
  }
  if (!part.empty()) parts.push_back(Listing(std::move(part)).to_text());
  return parts;
}

}  // namespace mcpu
