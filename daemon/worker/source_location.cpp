#include "daemon/worker/source_location.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

#include "proto/error.hpp"
#include "proto/text.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

using Kind = SourceLocation::Kind;

[[noreturn]] void refuse(const std::string& shown, const std::string& why) {
  throw Error(Code::kSource, "the source " + escape_path(shown) + " " + why);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    out += low < 0 ? text[i] : static_cast<char>(high * 16 + low);
    if (low >= 0) i += 2;
  }
  return out;
}

/// user:password@ in front of a host.
void take_user(std::string_view& authority, SourceLocation& location) {
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return;
  const std::string_view user = authority.substr(0, at);
  const std::size_t colon = user.find(':');
  location.user = percent_decoded(user.substr(0, colon));
  if (colon != std::string_view::npos) {
    location.password = percent_decoded(user.substr(colon + 1));
  }
  authority.remove_prefix(at + 1);
}

void take_port(std::string_view& authority, SourceLocation& location) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos) {
    return;
  }
  const std::string_view digits = authority.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), location.port);
  if (error != std::errc() || end != digits.data() + digits.size() || location.port == 0) {
    refuse(location.shown, "has a port that is not a number from 1 to 65535");
  }
  authority = authority.substr(0, colon);
}

/// By the address itself: "127.example.org" is anybody's name.
bool is_loopback(const std::string& host) {
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24U == 127;
  return host == "localhost" || host == "::1";
}

std::uint16_t default_port(Kind kind) {
  return kind == Kind::kHttps ? 443 : kind == Kind::kHttp ? 80 : 22;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

SourceLocation parse_network_url(Kind kind, const std::string& scheme, std::string_view rest) {
  SourceLocation location;
  location.kind = kind;
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  const std::string path(rest.substr(slash));
  take_user(authority, location);
  location.shown = scheme + "://" + std::string(authority) + path;
  const std::string host_and_port(authority);
  take_port(authority, location);
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  location.host = lower(authority);
  if (location.host.empty() || location.host.starts_with('-') || path.size() < 2) {
    refuse(location.shown, "is not a complete URL: give host and path");
  }
  if (location.port == 0) location.port = default_port(kind);
  const bool with_user = kind == Kind::kSsh && !location.user.empty();
  location.url = scheme + "://" + (with_user ? location.user + "@" : "") + host_and_port + path;
  if (kind == Kind::kHttp && !is_loopback(location.host)) {
    refuse(location.shown,
           "would come over plain http, where anyone on the way can change it; "
           "use https or ssh (http is for servers on this machine alone)");
  }
  return location;
}

SourceLocation parse_file_url(const std::string& text, std::string_view rest) {
  const std::string_view host = rest.substr(0, std::min(rest.find('/'), rest.size()));
  if (!host.empty() && host != "localhost") {
    refuse(text, "names another machine; file URLs are for this one: file:///path");
  }
  SourceLocation location;
  location.kind = Kind::kFileUrl;
  location.path = percent_decoded(rest.substr(host.size()));
  location.shown = text;
  return location;
}

/// git@host:path/of/repository, as ssh and git read it.
bool is_scp_like(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::size_t slash = text.find('/');
  return colon != std::string::npos && colon > 0 && colon + 1 < text.size() && colon < slash &&
         text[colon + 1] != ':';
}

SourceLocation parse_scp_like(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string path = text.substr(colon + 1);
  SourceLocation location = parse_network_url(
      Kind::kSsh, "ssh", text.substr(0, colon) + (path.starts_with('/') ? "" : "/~/") + path);
  // A path without a slash at its start is below the user's home, which a URL cannot say to every
  // server: libgit2 passes this form on as it is.
  location.url = text;
  location.shown = text.substr(text.substr(0, colon).rfind('@') + 1);
  if (!location.user.empty()) location.shown = location.user + "@" + location.shown;
  return location;
}

}  // namespace

SourceLocation parse_location(const std::string& text) {
  if (text.find('\0') != std::string::npos || text.find('\n') != std::string::npos) {
    refuse("with a newline or zero byte", "cannot be opened; correct `source` or --from");
  }
  const std::size_t end = text.find("://");
  if (end != std::string::npos) {
    const std::string scheme = lower(text.substr(0, end));
    const std::string_view rest = std::string_view(text).substr(end + 3);
    if (scheme == "file") return parse_file_url(text, rest);
    if (scheme == "https") return parse_network_url(Kind::kHttps, scheme, rest);
    if (scheme == "http") return parse_network_url(Kind::kHttp, scheme, rest);
    if (scheme == "ssh" || scheme == "git+ssh") return parse_network_url(Kind::kSsh, "ssh", rest);
    refuse(scheme + "://...",
           std::string("is of a kind that cannot be fetched safely; use ") + kSourceSchemes);
  }
  if (!text.starts_with('/') && is_scp_like(text)) return parse_scp_like(text);
  if (!text.starts_with('/')) {
    refuse(text, "is neither a URL nor an absolute path; give the path from / on");
  }
  SourceLocation location;
  location.path = location.shown = text;
  return location;
}

}  // namespace mcpu
