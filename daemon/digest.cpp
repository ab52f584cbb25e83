#include "daemon/digest.hpp"

#include <nettle/sha2.h>

#include <algorithm>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

struct Sha256Stream::Context {
  sha256_ctx state;
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
  Sha256Stream stream;
  stream.update(bytes);
  return stream.finish();
}

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  sha256_init(&context_->state);
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(std::string_view bytes) {
  sha256_update(&context_->state, bytes.size(), bytes_of(bytes));
}

Sha256 Sha256Stream::finish() {
  Sha256 value;
  sha256_digest(&context_->state, value.bytes.size(), value.bytes.data());
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
