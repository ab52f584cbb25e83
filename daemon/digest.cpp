#include "daemon/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

/// Fetched once: EVP_sha256() looks the implementation up again for every digest. Lives as long as
/// the process.
const EVP_MD* algorithm() {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kAlgorithm;
}

void require(bool success) {
  if (!success) throw Error(Code::kInternal, "libcrypto cannot compute SHA-256");
}

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

struct Sha256Stream::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
};

std::string Sha256::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

Sha256 Sha256::from_hex(std::string_view hex) {
  Sha256 value;
  bool valid = hex.size() == 2 * value.bytes.size();
  for (std::size_t i = 0; valid && i < value.bytes.size(); ++i) {
    const int high = digit_value(hex[2 * i]);
    const int low = digit_value(hex[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    if (valid) value.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  if (!valid) {
    throw Error(Code::kCorrupt,
                "not a SHA-256 of 64 hexadecimal digits: " + escape_path(hex.substr(0, 80)));
  }
  return value;
}

Sha256 Sha256::of(std::string_view bytes) {
  Sha256 value;
  require(EVP_Digest(bytes.data(), bytes.size(), value.bytes.data(), nullptr, algorithm(),
                     nullptr) == 1);
  return value;
}

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  require(context_->evp != nullptr && EVP_DigestInit_ex(context_->evp, algorithm(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(std::string_view bytes) {
  require(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Stream::finish() {
  Sha256 value;
  require(EVP_DigestFinal_ex(context_->evp, value.bytes.data(), nullptr) == 1);
  return value;
}

Sha256 hash_file(const InputFile& file) {
  // Below the size from which malloc maps fresh pages for each call.
  constexpr std::uint64_t kMaxBufferBytes = 64 * 1024;
  // One byte more than the file, so that a small one needs one read to see its end.
  const std::uint64_t wanted = std::min(kMaxBufferBytes, file.info().size_bytes + 1);
  const auto size = static_cast<std::size_t>(wanted);
  const auto buffer = std::make_unique_for_overwrite<char[]>(size);
  Sha256Stream stream;
  std::uint64_t offset = 0;
  std::size_t count = size;
  while (count == size) {
    count = file.read_at(offset, buffer.get(), size);
    stream.update({buffer.get(), count});
    offset += count;
  }
  return stream.finish();
}

}  // namespace mcpu
