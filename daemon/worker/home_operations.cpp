#include "daemon/worker/home_operations.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <vector>

#include "daemon/durable.hpp"
#include "daemon/lock_holder.hpp"
#include "daemon/stale.hpp"
#include "daemon/worker/managed_file.hpp"
#include "daemon/worker/restore_operation.hpp"
#include "daemon/worker/syntax.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

using nlohmann::json;

std::string path_in(const json& object, const char* key) {
  return unescape_path(object.at(key).get<std::string>());
}

struct Request {
  HomeView view;
  std::vector<ManagedFile> files;
  json message;
};

Request read_request(json message, FileSystem& fs, bool privileged) {
  Request request{{fs, path_in(message, "home"), message.at("uid").get<std::uint32_t>(),
                   message.at("user").get<std::string>(), privileged},
                  {},
                  {}};
  for (const auto& file : message.at("files")) {
    request.files.push_back({path_in(file, "path"), file.at("format").get<std::string>(), {}});
  }
  request.message = std::move(message);
  return request;
}

/// A home that is missing (not mounted, perhaps) is an error: its files are not "gone".
void require_home(const HomeView& view) {
  const auto info = view.fs.info(view.home + "/.");
  if (!info) throw io_error("open the home directory", view.home, ENOENT);
  if (info->type != FileType::kDirectory) {
    throw io_error("open the home directory", view.home, ENOTDIR);
  }
}

std::string prepare_lock_file(const HomeView& view) {
  make_directories(view.fs, view.full(".local/state"), 0700);
  auto path = view.full(".local/state/mcp-upgraded.lock");
  if (view.fs.info(path)) return path;
  try {
    view.fs.create(path, 0600);
  } catch (const Error& error) {
    if (error.sys() != EEXIST) throw;  // another instance was quicker: it is the same lock
  }
  return path;
}

void lock(const Request& request, WorkerLink& link) {
  const auto path = prepare_lock_file(request.view);
  const std::chrono::milliseconds wait(request.message.at("wait_ms").get<std::int64_t>());
  const auto held = request.view.fs.lock(path, LockKind::kWrite, wait);
  if (!held) {
    const auto holder = find_lock_holder(path);
    throw Error(Code::kBusy, (holder ? holder->shown() : "another process") + " holds " +
                                 escape_path(path) + ", the lock on " + request.view.home +
                                 ": wait until it lets go ('mcpctl status' tells of a job there)");
  }
  link.send({{"locked", true}});
  link.await_frame();  // held until the daemon lets go
}

void send_content(std::string_view content, WorkerLink& link) {
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kPieceBytes))) {
    link.send_bytes(content.substr(0, kPieceBytes));
  }
}

void save(const Request& request, WorkerLink& link) {
  for (const auto& file : request.files) {
    std::string content;
    const auto state = examine(request.view, file.path, &content);
    link.send({{"state", to_json(state)}});
    if (state.exists && state.problem.empty()) send_content(content, link);
  }
}

void inspect(const Request& request, WorkerLink& link) {
  for (const auto& file : request.files) {
    link.send({{"state", to_json(examine(request.view, file.path))}});
  }
}

/// The application that wrote them may not have, and the journal is about to vouch for them.
void sync(const Request& request, WorkerLink& link) {
  FileSystem& fs = request.view.fs;
  std::vector<std::string> paths;
  for (const auto& file : request.files) {
    const auto located = locate(fs, request.view.full(file.path));
    const bool regular = located.info && located.info->type == FileType::kFile;
    if (regular) paths.push_back(located.path);
    std::string directory = parent_path(located.path);
    while (!fs.info(directory + "/.") && directory != "/") directory = parent_path(directory);
    paths.push_back(directory + "/.");
  }
  fs.sync_all(paths);
  link.send(json::object());
}

void parse(const Request& request, WorkerLink& link) {
  json problems = json::array();
  for (const auto& file : request.files) {
    std::string content;
    const auto state = examine(request.view, file.path, &content);
    const auto name = escape_path(file.path);
    if (!state.problem.empty()) {
      problems.push_back(to_utf8(name + ": " + state.problem));
    } else if (state.exists) {
      const auto problem = find_syntax_problem(content, file.format);
      if (problem) problems.push_back(to_utf8(name + ": " + *problem));
    }
  }
  link.send({{"problems", problems}});
}

void restore(const Request& request, WorkerLink& link) {
  const auto wanted = file_state_from_json(request.message.at("wanted"));
  std::optional<FileState> expected;
  if (request.message.contains("expected")) {
    expected = file_state_from_json(request.message.at("expected"));
  }
  std::string content;
  while (wanted.exists && content.size() < wanted.size_bytes) content += link.receive_bytes();
  const auto result = restore_file(request.view, wanted, content, expected);
  link.send({{"restored", result.restored}, {"problem", to_utf8(result.problem)}});
}

void clean(const Request& request, WorkerLink& link) {
  for (const auto& file : request.files) clean_file(request.view, file.path);
  link.send(json::object());
}

void fill_scratch(const Request& request, WorkerLink& link) {
  auto& fs = request.view.fs;
  const auto directory = path_in(request.message, "directory");
  for (const auto& file : request.files) {
    std::string content;
    const auto state = examine(request.view, file.path, &content);
    // What is unfit to be saved was reported by then; the checks see a home without it.
    if (!state.exists || !state.problem.empty()) continue;
    const auto copy = directory + "/" + file.path;
    make_passing_directories(fs, parent_path(copy), 0700);
    remove_tree(fs, copy);
    fs.create(copy, 0600)->write_at(0, content);
    fs.set_mode(copy, state.mode & 0777);
  }
  link.send(json::object());
}

void find_stale(const Request& request, WorkerLink& link) {
  const auto query = stale_query_from_json(request.message.at("query"));
  link.send({{"found", to_json(mcpu::find_stale(request.view.fs, query))}});
}

StaleLink link_in(const Request& request) {
  return stale_link_from_json(request.message.at("link"));
}

void remove_stale(const Request& request, WorkerLink& link) {
  link.send({{"removed", remove_stale_link(request.view.fs, link_in(request))}});
}

void put_back_stale(const Request& request, WorkerLink& link) {
  put_back_stale_link(request.view.fs, link_in(request));
  link.send(json::object());
}

/// A scratch home is emptied by its user: nobody else may walk what the user can rearrange.
void empty_directory(const Request& request, WorkerLink& link) {
  const auto directory = path_in(request.message, "directory");
  for (const auto& name : request.view.fs.list(directory)) {
    remove_tree(request.view.fs, directory + "/" + name);
  }
  link.send(json::object());
}

void dispatch(const Request& request, WorkerLink& link) {
  struct Operation {
    std::string_view name;
    void (*run)(const Request&, WorkerLink&);
  };
  static constexpr std::array kOperations{Operation{"lock", lock},
                                          Operation{"save", save},
                                          Operation{"inspect", inspect},
                                          Operation{"sync", sync},
                                          Operation{"parse", parse},
                                          Operation{"restore", restore},
                                          Operation{"clean", clean},
                                          Operation{"fill_scratch", fill_scratch},
                                          Operation{"find_stale", find_stale},
                                          Operation{"remove_stale", remove_stale},
                                          Operation{"put_back_stale", put_back_stale},
                                          Operation{"empty_directory", empty_directory}};
  const auto name = request.message.at("operation").get<std::string>();
  if (name != "empty_directory") require_home(request.view);
  for (const auto& operation : kOperations) {
    if (operation.name == name) return operation.run(request, link);
  }
  throw Error(Code::kWorker, "the worker knows no operation \"" + name +
                                 "\": daemon and worker are of different versions");
}

void serve_one(WorkerLink& link, FileSystem& fs, bool privileged) {
  auto message = link.receive();
  try {
    const auto request = read_request(std::move(message), fs, privileged);
    dispatch(request, link);
  } catch (const Error& error) {
    link.send_error(error);
  } catch (const json::exception& error) {
    link.send_error(Error(Code::kWorker, std::string("the worker was asked something it does not "
                                                     "understand: ") +
                                             error.what()));
  }
}

}  // namespace

void serve_home(WorkerLink& link, FileSystem& fs, bool privileged) {
  while (link.await_frame()) serve_one(link, fs, privileged);
}

}  // namespace mcpu
