#include "daemon/home.hpp"

#include <algorithm>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxTextBytes = 4096;
/// What starting and answering may take beyond a wait that was asked for.
constexpr std::chrono::seconds kAnswer{5};

Error lie(const Identity& who, const std::string& what) {
  return Error(Code::kWorker,
               "the worker of " + who.name + " " + what + ": its answer is not to be trusted");
}

/// A worker's text, as long as a person may be expected to read.
std::string bounded(std::string text) {
  return text.size() <= kMaxTextBytes ? text : to_utf8(text.substr(0, kMaxTextBytes)) + "...";
}

/// Runs `read`, which looks into a worker's message, and names whose it was if it is malformed.
template <typename Read>
auto reading(const Identity& who, Read read) {
  try {
    return read();
  } catch (const json::exception& error) {
    throw lie(who, std::string("sent something unreadable (") + error.what() + ")");
  }
}

json to_request(const char* operation, const Identity& who, const std::vector<ManagedFile>& files) {
  json list = json::array();
  for (const auto& file : files) {
    list.push_back({{"path", escape_path(file.path)}, {"format", file.format}});
  }
  return {{"operation", operation},
          {"home", escape_path(who.home)},
          {"uid", who.uid},
          {"user", to_utf8(who.name)},
          {"files", list}};
}

/// Receives the content of one file, `state.size_bytes` long, and checks it against the state
/// before the last piece is passed on.
void receive_content(WorkerLink& link, const Identity& who, const FileState& state,
                     const Home::Sink& sink) {
  Sha256Stream digest;
  std::uint64_t received = 0;
  std::string piece;
  while (received < state.size_bytes) {
    if (received > 0) sink(state, piece, false);
    piece = link.receive_bytes();
    received += piece.size();
    if (piece.empty() || received > state.size_bytes) {
      throw lie(who, "sent more or less of " + escape_path(state.path) + " than it said");
    }
    digest.update(piece);
  }
  if (digest.finish() != state.content) {
    throw lie(who, "sent a content of " + escape_path(state.path) + " that is not what it said");
  }
  sink(state, piece, true);
}

}  // namespace

Home::Home(ProcessPort& processes, Identity who, std::vector<ManagedFile> files)
    : processes_(processes),
      worker_(processes, WorkerKind::kConfig, std::move(who)),
      files_(std::move(files)) {}

void Home::limit(Deadline deadline, const Cancellation* cancellation) {
  deadline_ = deadline;
  cancellation_ = cancellation;
}

template <typename Talk>
auto Home::ask(WorkerLink& link, const json& request, Deadline deadline, Talk talk) {
  try {
    link.limit(deadline, cancellation_);
    link.send(request);
    return talk(link);
  } catch (const Error& error) {
    if (error.code() != Code::kTimeout) throw;
    throw Error(Code::kTimeout,
                "the home of " + who().name + ", " + escape_path(who().home) +
                    ", does not answer: see whether its file system is mounted and alive",
                error.context());
  }
}

template <typename Talk>
auto Home::converse(const json& request, Deadline deadline, Talk talk) {
  return worker_.converse([&](WorkerLink& link) { return ask(link, request, deadline, talk); });
}

HomeLock Home::lock(std::chrono::milliseconds wait) {
  auto request = to_request("lock", who(), {});
  request["wait_ms"] = wait.count();
  const auto deadline = std::min(deadline_, std::chrono::steady_clock::now() + wait + kAnswer);
  HomeLock holder = processes_.start(WorkerKind::kLock, who());
  ask(holder->link(), request, deadline, [](WorkerLink& link) { return link.receive(); });
  return holder;
}

FileState Home::receive_state(WorkerLink& link, const ManagedFile& file) {
  const auto message = link.receive();
  auto state = reading(who(), [&] {
    try {
      return file_state_from_json(message.at("state"));
    } catch (const Error& error) {
      throw lie(who(), error.what());
    }
  });
  if (state.path != file.path) throw lie(who(), "spoke of a file it was not asked for");
  if (state.mode > 07777) throw lie(who(), "sent an impossible mode of " + escape_path(file.path));
  state.problem = bounded(std::move(state.problem));
  if (state.problem.empty() && state.size_bytes > kMaxManagedFileBytes) {
    throw lie(who(), "announced an impossible size of " + escape_path(file.path));
  }
  return state;
}

std::vector<FileState> Home::save(const Sink& sink) {
  return converse(to_request("save", who(), files_), deadline_, [&](WorkerLink& link) {
    std::vector<FileState> states;
    for (const auto& file : files_) {
      states.push_back(receive_state(link, file));
      const auto& state = states.back();
      if (state.exists && state.problem.empty()) receive_content(link, who(), state, sink);
    }
    return states;
  });
}

std::vector<FileState> Home::inspect() {
  return converse(to_request("inspect", who(), files_), deadline_, [&](WorkerLink& link) {
    std::vector<FileState> states;
    for (const auto& file : files_) states.push_back(receive_state(link, file));
    return states;
  });
}

std::vector<std::string> Home::parse() {
  return converse(to_request("parse", who(), files_), deadline_, [&](WorkerLink& link) {
    const auto answer = link.receive();
    auto problems =
        reading(who(), [&] { return answer.at("problems").get<std::vector<std::string>>(); });
    if (problems.size() > files_.size())
      throw lie(who(), "sent more problems than there are files");
    for (auto& problem : problems) problem = bounded(std::move(problem));
    return problems;
  });
}

RestoreResult Home::restore(const FileState& wanted, const std::string& content,
                            const std::optional<FileState>& expected) {
  if (wanted.exists &&
      (content.size() != wanted.size_bytes || Sha256::of(content) != wanted.content)) {
    throw Error(Code::kCorrupt, "the saved content of " + escape_path(wanted.path) +
                                    " is not the one that was saved: it is not put back");
  }
  auto request = to_request("restore", who(), {});
  request["wanted"] = to_json(wanted);
  if (expected) request["expected"] = to_json(*expected);
  return converse(request, deadline_, [&](WorkerLink& link) {
    for (std::size_t at = 0; wanted.exists && at < content.size(); at += kPieceBytes) {
      link.send_bytes(std::string_view(content).substr(at, kPieceBytes));
    }
    const auto answer = link.receive();
    return reading(who(), [&] {
      return RestoreResult{wanted.path, answer.at("restored").get<bool>(),
                           bounded(answer.at("problem").get<std::string>())};
    });
  });
}

void Home::clean() {
  converse(to_request("clean", who(), files_), deadline_,
           [](WorkerLink& link) { return link.receive(); });
}

void Home::empty_directory(const std::string& directory) {
  auto request = to_request("empty_directory", who(), {});
  request["directory"] = escape_path(directory);
  converse(request, deadline_, [](WorkerLink& link) { return link.receive(); });
}

void Home::fill_scratch(const std::string& directory) {
  auto request = to_request("fill_scratch", who(), files_);
  request["directory"] = escape_path(directory);
  converse(request, deadline_, [](WorkerLink& link) { return link.receive(); });
}

StaleFound Home::find_stale(const StaleQuery& query) {
  auto request = to_request("find_stale", who(), {});
  request["query"] = to_json(query);
  return converse(request, deadline_, [&](WorkerLink& link) {
    const auto answer = link.receive();
    return reading(who(), [&] { return stale_found_from_json(answer.at("found"), query); });
  });
}

void Home::sync(const std::vector<std::string>& paths) {
  std::vector<ManagedFile> files;
  for (const std::string& path : paths) files.push_back({path, "other", ""});
  converse(to_request("sync", who(), files), deadline_,
           [](WorkerLink& worker) { return worker.receive(); });
}

bool Home::remove_stale(const StaleLink& link) {
  auto request = to_request("remove_stale", who(), {});
  request["link"] = to_json(link);
  return converse(request, deadline_, [&](WorkerLink& worker) {
    const auto answer = worker.receive();
    return reading(who(), [&] { return answer.at("removed").get<bool>(); });
  });
}

void Home::put_back_stale(const StaleLink& link) {
  auto request = to_request("put_back_stale", who(), {});
  request["link"] = to_json(link);
  converse(request, deadline_, [](WorkerLink& worker) { return worker.receive(); });
}

}  // namespace mcpu
