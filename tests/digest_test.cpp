#include "daemon/digest.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::digest_test {

TEST_CASE("digests are those that the standard publishes") {
  CHECK(Sha256::of("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256::of("abc").hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a digest computed in pieces is that of the whole") {
  Sha256Stream stream;
  stream.update("a");
  stream.update("");
  stream.update("bc");
  CHECK(stream.finish() == Sha256::of("abc"));
}

TEST_CASE("a file's digest is that of its content, whatever its size") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  for (const std::size_t size : {0U, 1U, 65535U, 65536U, 65537U, 300000U}) {
    std::string content(size, 'x');
    if (size > 0) content.back() = 'y';
    write_durably(*fs, scratch / "file", content, 0600);
    CHECK(hash_file(*fs->open(scratch / "file")) == Sha256::of(content));
  }
}

TEST_CASE("a digest survives being written as text") {
  const Sha256 value = Sha256::of("text");
  CHECK(Sha256::from_hex(value.hex()) == value);
}

TEST_CASE("text that is no digest is refused") {
  const std::string good = Sha256::of("").hex();
  for (const std::string& text :
       {std::string(), good.substr(1), good + "0", "g" + good.substr(1)}) {
    CHECK_THROWS_AS(Sha256::from_hex(text), Error);
  }
}

}  // namespace mcpu::digest_test
