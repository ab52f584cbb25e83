#include "daemon/home.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

using nlohmann::json;

json to_json(const FileState& state) {
  json object{{"path", escape_path(state.path)}, {"exists", state.exists}};
  if (!state.link.empty()) object["link"] = escape_path(state.link);
  if (!state.problem.empty()) object["problem"] = to_utf8(state.problem);
  if (!state.exists) return object;
  object["mode"] = state.mode;
  object["uid"] = state.uid;
  object["gid"] = state.gid;
  object["size_bytes"] = state.size_bytes;
  object["mtime_ns"] = state.mtime_ns;
  object["content"] = state.content.hex();
  return object;
}

FileState file_state_from_json(const json& object) {
  try {
    FileState state;
    state.path = unescape_path(object.at("path").get<std::string>());
    state.exists = object.at("exists").get<bool>();
    state.link = unescape_path(object.value("link", std::string()));
    state.problem = object.value("problem", std::string());
    if (!state.exists) return state;
    state.mode = object.at("mode").get<std::uint32_t>();
    state.uid = object.at("uid").get<std::uint32_t>();
    state.gid = object.at("gid").get<std::uint32_t>();
    state.size_bytes = object.at("size_bytes").get<std::uint64_t>();
    state.mtime_ns = object.at("mtime_ns").get<std::int64_t>();
    state.content = Sha256::from_hex(object.at("content").get<std::string>());
    return state;
  } catch (const std::exception& error) {
    throw Error(Code::kCorrupt,
                std::string("the record of a configuration file is damaged: ") + error.what());
  }
}

}  // namespace mcpu
