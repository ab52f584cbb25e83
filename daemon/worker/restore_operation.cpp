#include "daemon/worker/restore_operation.hpp"

#include <cerrno>

#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

/// A home's directories hold secrets and nobody else's business.
constexpr std::uint32_t kDirectoryMode = 0700;

std::string temporary_path(const std::string& path) {
  return parent_path(path) + "/." + base_name(path) + ".mcp-upgraded.tmp";
}

RestoreResult left_alone(const FileState& wanted, const std::string& why) {
  return {wanted.path, false, why};
}

RestoreResult done(const FileState& wanted) { return {wanted.path, true, {}}; }

RestoreResult changed_meanwhile(const FileState& wanted) {
  return left_alone(wanted, "it was changed by somebody since, and is left as it is");
}

/// One restoring of one file.
class Restoration {
 public:
  Restoration(const HomeView& view, const FileState& wanted, std::string_view content)
      : view_(view), wanted_(wanted), content_(content), path_(view.full(wanted.path)) {}

  RestoreResult run(const std::optional<FileState>& expected) {
    present_ = examine(view_, wanted_.path);
    if (!present_.problem.empty()) return left_alone(wanted_, present_.problem);
    if (present_.same(wanted_)) return done(wanted_);
    if (expected && !present_.same_content(*expected)) return changed_meanwhile(wanted_);
    if (!wanted_.exists) return remove();
    if (!wanted_.link.empty() && wanted_.link != present_.link && link_still_leads_to_wanted()) {
      return put_link_back();
    }
    return write();
  }

 private:
  /// Where the content belongs. A link that was not there before is not written through: what it
  /// points to was never ours to change.
  std::string target() const {
    return present_.link == wanted_.link ? locate(view_.fs, path_).path : path_;
  }

  bool still_as_seen() const {
    const auto now = examine(view_, wanted_.path);
    return now.problem.empty() && now.same_content(present_) && now.link == present_.link;
  }

  RestoreResult remove() {
    const auto path = target();
    if (!still_as_seen()) return changed_meanwhile(wanted_);
    view_.fs.remove_file(path);
    view_.fs.sync_directory(parent_path(path));
    return done(wanted_);
  }

  /// The usual way in which a tool loses a dotfile link: it renames its new file over the link.
  /// What the link pointed to is then still the old content.
  bool link_still_leads_to_wanted() const {
    const auto link =
        wanted_.link.starts_with('/') ? wanted_.link : parent_path(path_) + "/" + wanted_.link;
    const auto located = locate(view_.fs, link);
    if (!located.info || located.info->type != FileType::kFile) return false;
    return hash_file(*view_.fs.open(located.path)) == wanted_.content;
  }

  RestoreResult put_link_back() {
    const auto temporary = temporary_path(path_);
    remove_tree(view_.fs, temporary);
    view_.fs.make_link(wanted_.link, temporary);
    return replace(temporary, path_);
  }

  RestoreResult write() {
    const auto path = target();
    make_directories(view_.fs, parent_path(path), kDirectoryMode);
    const auto temporary = temporary_path(path);
    remove_tree(view_.fs, temporary);
    try {
      fill(temporary);
      return replace(temporary, path);
    } catch (const Error&) {
      discard(temporary);
      throw;
    }
  }

  void fill(const std::string& temporary) {
    // Nobody else can read it before it has its owner and mode.
    const auto file = view_.fs.create(temporary, 0600);
    for (std::size_t offset = 0; offset < content_.size(); offset += kPieceBytes) {
      file->write_at(offset, content_.substr(offset, kPieceBytes));
    }
    if (view_.privileged) view_.fs.set_owner(temporary, wanted_.uid, wanted_.gid);
    view_.fs.set_mode(temporary, wanted_.mode);
    file->sync();
  }

  RestoreResult replace(const std::string& temporary, const std::string& path) {
    if (!still_as_seen()) {
      discard(temporary);
      return changed_meanwhile(wanted_);
    }
    const bool nothing_there = !present_.exists && present_.link.empty();
    try {
      view_.fs.rename(temporary, path, nothing_there ? IfExists::kFail : IfExists::kReplace);
    } catch (const Error& error) {
      discard(temporary);
      if (nothing_there && error.sys() == EEXIST) return changed_meanwhile(wanted_);
      throw;
    }
    view_.fs.sync_directory(parent_path(path));
    return done(wanted_);
  }

  void discard(const std::string& temporary) {
    try {
      remove_tree(view_.fs, temporary);
    } catch (const Error&) {
      // The failure before this one is the one to report; clean_file() removes the rest later.
    }
  }

  const HomeView& view_;
  const FileState& wanted_;
  std::string_view content_;
  std::string path_;
  FileState present_;
};

void remove_temporary(FileSystem& fs, const std::string& temporary) {
  if (!fs.info(temporary)) return;
  remove_durably(fs, temporary);
}

}  // namespace

RestoreResult restore_file(const HomeView& view, const FileState& wanted, std::string_view content,
                           const std::optional<FileState>& expected) {
  return Restoration(view, wanted, content).run(expected);
}

void clean_file(const HomeView& view, const std::string& path) {
  const auto full = view.full(path);
  try {
    remove_temporary(view.fs, temporary_path(full));
    remove_temporary(view.fs, temporary_path(locate(view.fs, full).path));
  } catch (const Error& error) {
    // Where this user may not even look, nothing of ours was ever put.
    if (error.sys() != EACCES && error.sys() != ELOOP && error.sys() != ENOTDIR) throw;
  }
}

}  // namespace mcpu
