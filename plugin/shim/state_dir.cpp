#include "shim/state_dir.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "state.hpp"

// The file: the states, one after the other, a JSON text that says what they are, and a footer.

namespace sparccl::shim {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uint64_t footer_magic = 0x3150455453435053;  // "SPCSTEP1"
constexpr std::uint64_t most_text = 1 << 24;

struct Footer {
  std::uint64_t text_bytes;
  std::uint64_t text_hash;
  std::uint64_t magic;
};

[[noreturn]] void reject(const fs::path& path, const std::string& what) {
  throw Error(Result::bad_state, "state file " + path.string() + ": " + what);
}

json text_of(const SavedStep& step) {
  json slots = json::array();
  for (const SavedStep::Slot& slot : step.slots) {
    slots.push_back({{"count", slot.key.count},
                     {"type", static_cast<int>(slot.key.type)},
                     {"reduction", static_cast<int>(slot.key.reduction)},
                     {"uses", slot.uses},
                     {"bytes", slot.bytes}});
  }
  return {{"world_size", step.world_size}, {"rank", step.rank}, {"slots", std::move(slots)}};
}

/// states: bytes of the file before the text.
SavedStep parse(const std::string& text, std::uint64_t states) {
  std::uint64_t begin = 0;
  const json read = json::parse(text);
  SavedStep step;
  step.world_size = read.at("world_size").get<int>();
  step.rank = read.at("rank").get<int>();
  for (const json& slot : read.at("slots")) {
    SavedStep::Slot one;
    one.key.count = slot.at("count").get<std::uint64_t>();
    one.key.type = static_cast<DataType>(slot.at("type").get<int>());
    one.key.reduction = static_cast<Reduction>(slot.at("reduction").get<int>());
    one.uses = slot.at("uses").get<std::uint64_t>();
    one.bytes = slot.at("bytes").get<std::uint64_t>();
    one.begin = begin;
    if (one.bytes > states - begin) throw std::length_error("states");
    begin += one.bytes;
    step.slots.push_back(one);
  }
  if (begin != states) throw std::length_error("states");
  return step;
}

void require_same(const fs::path& path, const char* what, int expected, int found) {
  if (expected == found) return;
  reject(path, std::string(what) + ": expected " + std::to_string(expected) + ", found " +
                   std::to_string(found));
}

}  // namespace

std::vector<Key> SavedStep::keys() const {
  std::vector<Key> keys;
  for (const Slot& slot : slots) keys.push_back(slot.key);
  return keys;
}

std::string SavedStep::fingerprint() const {
  std::string text;
  for (const Slot& slot : slots) {
    text += (text.empty() ? "" : ", ") + show(slot.key) + " after " + std::to_string(slot.uses);
  }
  return text.size() < 400 ? text : text.substr(0, 400) + "...";  // greetings are short
}

void require_writable(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  std::string probe = (directory / ".writable.XXXXXX").string();
  const int file = error ? -1 : mkstemp(probe.data());
  if (file < 0) {
    const std::string why = error ? error.message() : std::strerror(errno);
    throw Error(Result::system_error,
                "SPARCCL_STATE_DIR: expected a directory that can be written, found " +
                    directory.string() + ": " + why);
  }
  close(file);
  fs::remove(probe, error);
}

void save_step(const fs::path& path, const SavedStep& step, const WriteSlot& write) {
  SavedStep sized = step;
  replace_file(path, "", [&](std::ostream& out) {
    for (std::size_t slot = 0; slot < sized.slots.size(); ++slot) {
      const std::streamoff begin = out.tellp();
      write(slot, out);
      sized.slots[slot].bytes = static_cast<std::uint64_t>(out.tellp() - begin);
    }
    const std::string text = text_of(sized).dump();
    const Footer footer = {text.size(), XXH64(text.data(), text.size(), 0), footer_magic};
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.write(reinterpret_cast<const char*>(&footer), sizeof(footer));
  });
}

std::optional<SavedStep> load_step(const fs::path& path, int rank, int world_size) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  if (!fs::is_regular_file(path, error)) reject(path, "expected a file, found something else");
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::uint64_t>(std::max<std::streamoff>(in.tellg(), 0));
  Footer footer{};
  in.seekg(-static_cast<std::streamoff>(sizeof(footer)), std::ios::end);
  in.read(reinterpret_cast<char*>(&footer), sizeof(footer));
  if (!in || footer.magic != footer_magic || footer.text_bytes > most_text ||
      footer.text_bytes > size - sizeof(footer)) {
    reject(path, "expected one that this shim wrote, found something else, or a part of one");
  }
  std::string text(footer.text_bytes, '\0');
  in.seekg(static_cast<std::streamoff>(size - sizeof(footer) - text.size()));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in || XXH64(text.data(), text.size(), 0) != footer.text_hash) {
    reject(path, "expected the text that its checksum is of, found another");
  }
  SavedStep step;
  try {
    step = parse(text, size - sizeof(footer) - text.size());
  } catch (const json::exception& why) {
    reject(path, std::string("expected the text of a step, found: ") + why.what());
  } catch (const std::length_error&) {
    reject(path, "expected states that fill the file, found other lengths");
  }
  require_same(path, "world size", world_size, step.world_size);
  require_same(path, "rank", rank, step.rank);
  return step;
}

}  // namespace sparccl::shim
