#include "state.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <span>
#include <sstream>
#include <system_error>
#include <type_traits>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "plan.hpp"
#include "visit.hpp"

namespace sparccl {
namespace {

/// The file is this, the name, the residual, the history's three lists, the ranges, and a checksum
/// of it all.
struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t name_bytes;
  std::uint64_t count;
  std::uint64_t step;
  std::uint64_t entries;  // of the history
  std::int32_t type;
  std::int32_t distortion;
  std::int32_t rank;
  std::int32_t world_size;
  std::uint16_t path;
  std::uint16_t at_rest;  // 0 or 1
  std::uint32_t ranges;   // numbers: 2 P + 1 or none
};
static_assert(sizeof(Header) == 64 && std::is_trivially_copyable_v<Header>);

constexpr std::uint64_t state_magic = 0x4554415453435053;  // "SPCSTATE"
constexpr std::uint32_t state_version = 2;

std::size_t accumulator_bytes(const Plan& plan) { return size_of(plan.accumulator()); }

std::size_t range_numbers(const Plan& plan) {
  return 2 * static_cast<std::size_t>(plan.world_size) + 1;
}

/// Room for the state of a tensor with so many entries in its history.
StateCopy make_copy(const Plan& plan, std::size_t entries, std::size_t ranges) {
  StateCopy state;
  state.residual.resize(plan.count * accumulator_bytes(plan));
  state.per_block.resize(plan.blocks());
  state.offsets.resize(entries);
  state.ratios.resize(entries * accumulator_bytes(plan));
  state.ranges.resize(ranges);
  return state;
}

/// The parts of the file behind the header and the name, in order.
template <class State>
auto parts_of(State& state) {
  return std::array{std::as_writable_bytes(std::span(state.residual)),
                    std::as_writable_bytes(std::span(state.per_block)),
                    std::as_writable_bytes(std::span(state.offsets)),
                    std::as_writable_bytes(std::span(state.ratios)),
                    std::as_writable_bytes(std::span(state.ranges))};
}
std::array<std::span<const std::byte>, 5> parts_of(const StateCopy& state) {
  return {std::as_bytes(std::span(state.residual)), std::as_bytes(std::span(state.per_block)),
          std::as_bytes(std::span(state.offsets)), std::as_bytes(std::span(state.ratios)),
          std::as_bytes(std::span(state.ranges))};
}

class Checksum {
 public:
  Checksum() { XXH3_64bits_reset(&state_); }
  void add(const void* data, std::size_t bytes) { XXH3_64bits_update(&state_, data, bytes); }
  [[nodiscard]] std::uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

std::string system_reason() { return std::generic_category().message(errno); }

template <class A, class B>
[[noreturn]] void reject(const std::filesystem::path& path, const char* what, const A& expected,
                         const B& found) {
  std::ostringstream message;
  message << "state file " << path << ": " << what << ": expected " << expected << ", found "
          << found;
  throw Error(Result::bad_state, message.str());
}

template <class T>
void require_same(const std::filesystem::path& path, const char* what, const T& expected,
                  const T& found) {
  if (expected != found) reject(path, what, expected, found);
}

/// Reads exactly what it is asked for and sums it up as it goes.
class Reader {
 public:
  Reader(std::istream& in, std::uint64_t bytes, const std::filesystem::path& path)
      : path_(path), in_(in), bytes_(bytes) {}
  void read(void* data, std::size_t bytes) {
    in_.read(static_cast<char*>(data), static_cast<std::streamsize>(bytes));
    if (static_cast<std::size_t>(in_.gcount()) != bytes) {
      reject(path_, "bytes of a part", bytes, in_.gcount());
    }
    checksum_.add(data, bytes);
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t checksum() const { return checksum_.value(); }

 private:
  const std::filesystem::path& path_;
  std::istream& in_;
  std::uint64_t bytes_;
  Checksum checksum_;
};

void require_owner(const std::filesystem::path& path, const StateOwner& owner, const Header& found,
                   const std::string& name) {
  const Plan& plan = owner.plan;
  require_same(path, "tensor", owner.name, name);
  require_same(path, "count", std::uint64_t{plan.count}, found.count);
  require_same<std::string>(path, "type", name_of(plan.type),
                            name_of(static_cast<DataType>(found.type)));
  require_same(path, "distortion", static_cast<std::int32_t>(plan.distortion), found.distortion);
  require_same(path, "world size", plan.world_size, found.world_size);
  require_same(path, "rank", plan.rank, found.rank);
}

/// The checksum tells accidents; this tells a file that was made to mislead.
void require_sound(const std::filesystem::path& path, const Plan& plan, const StateCopy& state) {
  const std::size_t entries = state.offsets.size();
  std::size_t sum = 0;
  for (std::size_t block = 0; block < plan.blocks(); ++block) {
    const std::size_t length = std::min(block_size, plan.count - block * block_size);
    const std::size_t in_block = state.per_block[block];
    if (in_block > length || in_block > entries - sum) {
      reject(path, "history", "as many entries as its block table counts", "more in the table");
    }
    const std::uint16_t* offsets = state.offsets.data() + sum;
    for (std::size_t i = 0; i < in_block; ++i) {
      if (offsets[i] >= length || (i > 0 && offsets[i] <= offsets[i - 1])) {
        reject(path, "history", "ascending positions inside the tensor", "others");
      }
    }
    sum += in_block;
  }
  if (sum != entries) reject(path, "entries of the history", entries, sum);
  if (!state.ranges.empty()) {
    const auto bounds =
        std::span(state.ranges).first(static_cast<std::size_t>(plan.world_size) + 1);
    if (bounds.front() != 0 || bounds.back() != plan.count || !std::ranges::is_sorted(bounds)) {
      reject(path, "ranges", "bounds that ascend from 0 to the count", "others");
    }
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t demand : std::span(state.ranges).subspan(bounds.size())) {
      if (demand > most) reject(path, "ranges", "demand that adds up in 64 bits", "more");
      most -= demand;
    }
  }
  if (state.at_rest && state.path != Path::dense) {
    reject(path, "residual at rest", "only on path dense", name_of(state.path));
  }
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const std::span<const A> residual(reinterpret_cast<const A*>(state.residual.data()),
                                      plan.count);
    if (!std::ranges::all_of(residual, [](A a) { return is_finite(a); })) {
      reject(path, "residual", "finite values", "NaN or Inf");
    }
    const bool nothing_left = plan.type == plan.accumulator();
    if (state.at_rest && nothing_left &&
        !std::ranges::all_of(residual, [](A a) { return a == A(0); })) {
      reject(path, "residual at rest", "zeros", "others");
    }
  });
}

}  // namespace

History make_history(Backend& backend, const Plan& plan, std::size_t capacity, Memory& memory) {
  const std::size_t ratios = capacity * accumulator_bytes(plan);  // first: the strictest alignment
  const std::size_t table = plan.blocks() * sizeof(std::uint32_t);
  History history;
  history.capacity = capacity;
  history.bytes = ratios + table + capacity * sizeof(std::uint16_t);
  history.buffer = backend.allocate(history.bytes);
  auto* base = static_cast<std::byte*>(history.buffer.get());
  memory.sent_ratios = base;
  memory.sent_per_block = reinterpret_cast<std::uint32_t*>(base + ratios);
  memory.sent_offsets = reinterpret_cast<std::uint16_t*>(base + ratios + table);
  return history;
}

std::size_t history_entries(const Backend& backend, const Plan& plan, const Memory& memory) {
  std::vector<std::uint32_t> per_block(plan.blocks());
  backend.download(per_block.data(), memory.sent_per_block, plan.blocks() * sizeof(std::uint32_t));
  return std::accumulate(per_block.begin(), per_block.end(), std::size_t{0});
}

void copy_history(Backend& backend, const Plan& plan, const Memory& from, const Memory& to) {
  const std::size_t entries = history_entries(backend, plan, from);
  const auto copy = [&](void* target, const void* source, std::size_t bytes) {
    std::vector<std::byte> between(bytes);
    backend.download(between.data(), source, bytes);
    backend.upload(target, between.data(), bytes);
  };
  copy(to.sent_per_block, from.sent_per_block, plan.blocks() * sizeof(std::uint32_t));
  copy(to.sent_offsets, from.sent_offsets, entries * sizeof(std::uint16_t));
  copy(to.sent_ratios, from.sent_ratios, entries * accumulator_bytes(plan));
}

StateCopy copy_state(const Backend& backend, const Plan& plan, const Memory& from) {
  StateCopy state = make_copy(plan, history_entries(backend, plan, from),
                              from.bounds != nullptr ? range_numbers(plan) : 0);
  const void* const sources[] = {from.residual, from.sent_per_block, from.sent_offsets,
                                 from.sent_ratios, from.bounds};
  const auto parts = parts_of(state);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    backend.download(parts[i].data(), sources[i], parts[i].size());
  }
  backend.download(&state.step, from.step, sizeof(state.step));
  return state;
}

void put_state(Backend& backend, const StateCopy& state, const Memory& to) {
  void* const targets[] = {to.residual, to.sent_per_block, to.sent_offsets, to.sent_ratios,
                           to.bounds};
  const auto parts = parts_of(state);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    backend.upload(targets[i], parts[i].data(), parts[i].size());
  }
  backend.upload(to.step, &state.step, sizeof(state.step));
}

void forget_path(StateCopy& state) {
  std::ranges::fill(state.per_block, 0u);
  state.offsets.clear();
  state.ratios.clear();
  state.ranges.clear();
}

std::uint32_t hash_of_ranges(const StateCopy& state) noexcept {
  const std::size_t bytes = state.ranges.size() * sizeof(state.ranges[0]);
  return static_cast<std::uint32_t>(XXH3_64bits(state.ranges.data(), bytes) >> 33);
}

void write_state(std::ostream& out, const StateOwner& owner, const StateCopy& state) {
  const Plan& plan = owner.plan;
  const Header header = {state_magic,
                         state_version,
                         static_cast<std::uint32_t>(owner.name.size()),
                         plan.count,
                         state.step,
                         state.offsets.size(),
                         static_cast<std::int32_t>(plan.type),
                         static_cast<std::int32_t>(plan.distortion),
                         plan.rank,
                         plan.world_size,
                         static_cast<std::uint16_t>(state.path),
                         static_cast<std::uint16_t>(state.at_rest ? 1 : 0),
                         static_cast<std::uint32_t>(state.ranges.size())};
  Checksum checksum;
  const auto write = [&](const void* data, std::size_t bytes) {
    checksum.add(data, bytes);
    out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  };
  write(&header, sizeof(header));
  write(owner.name.data(), owner.name.size());
  for (const auto& part : parts_of(state)) write(part.data(), part.size());
  const std::uint64_t sum = checksum.value();
  out.write(reinterpret_cast<const char*>(&sum), sizeof(sum));
}

void replace_file(const std::filesystem::path& path, const std::string& whose,
                  const std::function<void(std::ostream&)>& write) {
  std::filesystem::path unfinished = path;
  unfinished += ".unfinished";
  std::ofstream file(unfinished, std::ios::binary | std::ios::trunc);
  write(file);
  file.close();
  std::error_code error;
  if (!file) {
    error = std::error_code(errno, std::generic_category());
  } else {
    std::filesystem::rename(unfinished, path, error);
    if (!error) return;
  }
  const std::string reason = error.message();
  std::filesystem::remove(unfinished, error);
  throw Error(Result::system_error,
              whose + "state file " + path.string() + ": expected to write it, found: " + reason);
}

void save_state(const std::filesystem::path& path, const StateOwner& owner,
                const StateCopy& state) {
  replace_file(path, about(owner.name), [&](std::ostream& out) { write_state(out, owner, state); });
}

StateCopy load_state(const std::filesystem::path& path, const StateOwner& owner) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    reject(path, "opening it", "a regular file", error ? error.message() : "something else");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) reject(path, "opening it", "a readable file", system_reason());
  const std::uint64_t bytes = std::filesystem::file_size(path, error);
  if (error) reject(path, "its size", "a regular file", error.message());
  return read_state(file, bytes, path, owner);
}

StateCopy read_state(std::istream& in, std::uint64_t bytes, const std::filesystem::path& path,
                     const StateOwner& owner) {
  const Plan& plan = owner.plan;
  Reader reader(in, bytes, path);
  constexpr std::uint64_t least = sizeof(Header) + sizeof(std::uint64_t);
  if (reader.bytes() < least) reject(path, "bytes", "at least 72", reader.bytes());
  Header header;
  reader.read(&header, sizeof(header));
  require_same(path, "magic number", state_magic, header.magic);
  require_same(path, "format version", state_version, header.version);
  if (header.name_bytes > reader.bytes() - least) {
    reject(path, "bytes of the name", "fewer than the file has", header.name_bytes);
  }
  std::string name(header.name_bytes, '\0');
  reader.read(name.data(), name.size());
  require_owner(path, owner, header, name);
  if (header.entries > plan.count) {
    reject(path, "entries of the history", "at most the count", header.entries);
  }
  if (header.path > static_cast<std::uint16_t>(Path::hierarchical)) {
    reject(path, "path", "0 to 4", header.path);
  }
  if (header.at_rest > 1) reject(path, "residual at rest", "0 or 1", header.at_rest);
  if (header.ranges != 0 && header.ranges != range_numbers(plan)) {
    reject(path, "numbers of the ranges", range_numbers(plan), header.ranges);
  }
  const auto entries = static_cast<std::size_t>(header.entries);
  std::uint64_t expected = least + name.size();
  expected += plan.blocks() * sizeof(std::uint32_t) + entries * sizeof(std::uint16_t);
  expected += (plan.count + entries) * accumulator_bytes(plan);
  expected += header.ranges * sizeof(std::uint64_t);
  require_same(path, "bytes", expected, reader.bytes());

  StateCopy state = make_copy(plan, entries, header.ranges);
  state.step = header.step;
  state.path = static_cast<Path>(header.path);
  state.at_rest = header.at_rest == 1;
  for (const auto& part : parts_of(state)) reader.read(part.data(), part.size());
  const std::uint64_t computed = reader.checksum();
  std::uint64_t stored = 0;
  reader.read(&stored, sizeof(stored));
  require_same(path, "checksum", stored, computed);
  require_sound(path, plan, state);
  return state;
}

}  // namespace sparccl
