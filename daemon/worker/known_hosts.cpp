#include "daemon/worker/known_hosts.hpp"

#include <fnmatch.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "daemon/digest.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::string_view kHashedMark = "|1|";

std::string to_base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

/// The name of the key's type, which opens the key itself.
std::string key_type(std::string_view key) {
  if (key.size() < kLengthBytes) return "unknown";
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(key[i]);
  }
  if (length > key.size() - kLengthBytes || length > 64) return "unknown";
  return escape_path(key.substr(kLengthBytes, length));
}

std::string name_of(const std::string& host, std::uint16_t port) {
  return port == 22 ? host : "[" + host + "]:" + std::to_string(port);
}

std::string_view take_word(std::string_view& line) {
  const std::size_t start = std::min(line.find_first_not_of(" \t\r"), line.size());
  line.remove_prefix(start);
  const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::string from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 1024) return {};
  std::string bytes(text.size(), '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return {};
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

/// `|1|SALT|HASH`: the HMAC-SHA1 of the name, so that the file does not tell where one goes.
bool hashed_name_matches(std::string_view field, const std::string& name) {
  field.remove_prefix(kHashedMark.size());
  const std::size_t bar = field.find('|');
  if (bar == std::string_view::npos) return false;
  const std::string salt = from_base64(field.substr(0, bar));
  const std::string expected = from_base64(field.substr(bar + 1));
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (HMAC(EVP_sha1(), salt.data(), static_cast<int>(salt.size()),
           reinterpret_cast<const unsigned char*>(name.data()), name.size(), hash,
           &length) == nullptr) {
    return false;
  }
  return std::string_view(reinterpret_cast<char*>(hash), length) == expected;
}

/// fnmatch would take the brackets of `[host]:port` for a set.
std::string without_sets(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == '[' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// A comma-separated list of patterns, where one with a `!` before it takes the host out again.
bool names_match(std::string_view field, const std::string& name) {
  if (field.starts_with(kHashedMark)) return hashed_name_matches(field, name);
  bool found = false;
  while (!field.empty()) {
    const std::size_t comma = std::min(field.find(','), field.size());
    std::string_view pattern = field.substr(0, comma);
    field.remove_prefix(std::min(comma + 1, field.size()));
    const bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (fnmatch(without_sets(pattern).c_str(), name.c_str(), FNM_CASEFOLD) != 0) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

}  // namespace

HostKey judge_host_key(std::string_view known_hosts, const std::string& host, std::uint16_t port,
                       std::string_view key) {
  const std::string name = name_of(host, port), type = key_type(key), encoded = to_base64(key);
  HostKey answer = HostKey::kUnknown;
  while (!known_hosts.empty()) {
    const std::size_t end = std::min(known_hosts.find('\n'), known_hosts.size());
    std::string_view line = known_hosts.substr(0, end);
    known_hosts.remove_prefix(std::min(end + 1, known_hosts.size()));
    std::string_view names = take_word(line);
    const bool revoked = names == "@revoked";
    if (names.empty() || names.starts_with('#') || names == "@cert-authority") continue;
    if (revoked) names = take_word(line);
    const std::string_view line_type = take_word(line), line_key = take_word(line);
    if (!names_match(names, name) || line_type != type) continue;
    if (revoked && line_key == encoded) return HostKey::kRevoked;
    if (revoked) continue;
    if (line_key == encoded) {
      answer = HostKey::kKnown;
    } else if (answer == HostKey::kUnknown) {
      answer = HostKey::kDifferent;
    }
  }
  return answer;
}

std::string known_hosts_line(const std::string& host, std::uint16_t port, std::string_view key) {
  return name_of(host, port) + " " + key_type(key) + " " + to_base64(key);
}

std::string key_fingerprint(std::string_view key) {
  const Sha256 digest = Sha256::of(key);
  std::string text =
      to_base64({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
  while (text.ends_with('=')) text.pop_back();
  return key_type(key) + ", SHA256:" + text;
}

}  // namespace mcpu
