#include "daemon/worker/known_hosts.hpp"

#include <fnmatch.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>

#include <algorithm>

#include "daemon/digest.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::string_view kHashedMark = "|1|";

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::string to_base64(std::string_view bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), bytes_of(bytes));
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

/// Empty: it is none.
std::string from_base64(std::string_view text) {
  if (text.size() > 1024) return {};
  std::string bytes(BASE64_DECODE_LENGTH(text.size()), '\0');
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::size_t length = bytes.size();
  const bool decoded =
      base64_decode_update(&context, &length, reinterpret_cast<std::uint8_t*>(bytes.data()),
                           text.size(), text.data()) == 1 &&
      base64_decode_final(&context) == 1;
  bytes.resize(decoded ? length : 0);
  return bytes;
}

/// `|1|SALT|HASH`: the HMAC-SHA1 of the name, so that the file does not tell where one goes.
bool hashed_name_matches(std::string_view field, const std::string& name) {
  field.remove_prefix(kHashedMark.size());
  const std::size_t bar = field.find('|');
  if (bar == std::string_view::npos) return false;
  const std::string salt = from_base64(field.substr(0, bar));
  const std::string expected = from_base64(field.substr(bar + 1));
  hmac_sha1_ctx context;
  hmac_sha1_set_key(&context, salt.size(), bytes_of(salt));
  hmac_sha1_update(&context, name.size(), bytes_of(name));
  std::string hash(SHA1_DIGEST_SIZE, '\0');
  hmac_sha1_digest(&context, hash.size(), reinterpret_cast<std::uint8_t*>(hash.data()));
  return hash == expected;
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
