#include "shim/greeting.hpp"

#include <algorithm>
#include <cstring>

#include <sparccl/types.hpp>

namespace sparccl::shim {
namespace {

constexpr const char* magic = "sparccl greeting 1";

std::string quoted(const std::string& value) {
  return value.empty() ? "nothing" : "\"" + value + "\"";
}

void require_version(const Greeting& first, const Greeting& other, std::size_t rank) {
  if (other.settings.size() == first.settings.size()) return;
  throw Error(Result::mismatch, "rank " + std::to_string(rank) +
                                    " has another version of this shim than rank 0, or sent "
                                    "something else");
}

void require_same(const Greeting& first, const Greeting& other, std::size_t rank) {
  const std::string who = "rank " + std::to_string(rank);
  for (std::size_t i = 0; i < first.settings.size(); ++i) {
    const auto& [name, value] = first.settings[i];
    const auto& [other_name, other_value] = other.settings[i];
    if (name == other_name && value == other_value) continue;
    throw Error(Result::mismatch, "the ranks' environments differ: rank 0 has " + name + " = " +
                                      quoted(value) + ", " + who + " has " + other_name + " = " +
                                      quoted(other_value));
  }
}

}  // namespace

std::vector<std::byte> Greeting::packed() const {
  std::string text = std::string(magic) + '\n';
  for (const auto& [name, value] : settings) text += name + '=' + value + '\n';
  text += '\n' + problem;
  std::vector<std::byte> packed(bytes);
  std::memcpy(packed.data(), text.data(), std::min(text.size(), bytes - 1));
  return packed;
}

Greeting Greeting::unpacked(std::span<const std::byte> bytes) {
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  std::string_view text(begin, strnlen(begin, bytes.size()));
  const auto line = [&] {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view found = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return found;
  };
  Greeting greeting;
  if (line() != magic) return greeting;
  for (std::string_view setting = line(); !setting.empty(); setting = line()) {
    const std::size_t equals = std::min(setting.find('='), setting.size());
    greeting.settings.emplace_back(setting.substr(0, equals),
                                   setting.substr(std::min(equals + 1, setting.size())));
  }
  greeting.problem = text;
  return greeting;
}

void require_agreement(std::span<const std::byte> packed) {
  const std::size_t ranks = packed.size() / Greeting::bytes;
  std::vector<Greeting> greetings;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    greetings.push_back(
        Greeting::unpacked(packed.subspan(rank * Greeting::bytes, Greeting::bytes)));
  }
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    require_version(greetings[0], greetings[rank], rank);
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (greetings[rank].problem.empty()) continue;
    throw Error(Result::invalid_usage,
                "rank " + std::to_string(rank) + ": " + greetings[rank].problem);
  }
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    require_same(greetings[0], greetings[rank], rank);
  }
}

}  // namespace sparccl::shim
