#include "daemon/worker/fetch_advice.hpp"

#include <algorithm>
#include <array>

namespace mcpu {

namespace {

struct Advice {
  std::array<std::string_view, 4> signs;  ///< parts of a reason, any of which will do
  std::string_view advice;
};

constexpr auto kAdvice = std::to_array<Advice>({
    {{"status code: 404", "status code: 410", "not found", "does not exist"},
     "check the URL: the server has no git repository there, or hides it from those without "
     "credentials"},
    {{"status code: 401", "status code: 403"},
     "the server does not let us in: check the URL and the credentials in it"},
    {{"status code: 429", "status code: 5"},
     "the server cannot serve now: try again later, or ask who runs it"},
    {{"resolve address"}, "check the host's name in the URL, and that the network is up"},
    {{"refused"},
     "nothing listens there: check host and port in the URL, and that the server runs"},
    {{"timed out", "unreachable", "No route"},
     "the server cannot be reached: check the network, or try again later"},
    {{"No space left"}, "free some space there"},
    {{"unexpected time", "EOF", "reset by peer", "Broken pipe"},
     "the connection broke off: try again, and ask who runs the server if it happens again"},
});

bool shows(std::string_view reason, const Advice& one) {
  return std::ranges::any_of(one.signs, [&](std::string_view sign) {
    return !sign.empty() && reason.find(sign) != reason.npos;
  });
}

}  // namespace

std::string fetch_advice(std::string_view reason, bool of_network) {
  const auto found =
      std::ranges::find_if(kAdvice, [&](const Advice& one) { return shows(reason, one); });
  if (found != kAdvice.end()) return std::string(found->advice);
  return of_network ? "check the URL and that its server is well, or try again later" : "";
}

}  // namespace mcpu
