#include "wire.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sparccl::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "packets are little-endian");

struct Identity {
  std::uint64_t magic;
  std::uint32_t version;
  std::int32_t world_size;
  std::uint64_t count;
  std::uint64_t k;
  std::int32_t type;
  std::int32_t wire;
  std::uint64_t options;  // hash of mu, distortion and exactness
  std::uint64_t call;
  std::uint64_t bytes;  // of the packet
};

struct Header {
  Identity identity;
  std::uint64_t entries;
  std::uint32_t flags;
  std::uint32_t reserved[13];
};
static_assert(sizeof(Header) == 128 && std::is_trivially_copyable_v<Header>);

constexpr std::uint64_t magic = 0x3130307463637073;  // "spcct001"
constexpr std::uint32_t version = 1;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::uint64_t hash_options(const Plan& plan) {
  const std::uint64_t options[] = {std::bit_cast<std::uint64_t>(plan.mu),
                                   static_cast<std::uint64_t>(plan.distortion),
                                   static_cast<std::uint64_t>(plan.exact)};
  return XXH64(options, sizeof(options), 0);
}

Identity identity(const Plan& plan, std::uint64_t call) {
  return {magic,
          version,
          plan.world_size,
          plan.count,
          plan.k,
          static_cast<std::int32_t>(plan.type),
          static_cast<std::int32_t>(plan.wire),
          hash_options(plan),
          call,
          layout(plan).bytes};
}

}  // namespace

Layout layout(const Plan& plan) {
  Layout parts;
  parts.per_block = sizeof(Header);
  parts.offsets = round_up(parts.per_block + plan.blocks() * sizeof(std::uint32_t), 8);
  parts.values = round_up(parts.offsets + plan.k * sizeof(std::uint16_t), 8);
  parts.bytes = round_up(parts.values + plan.k * size_of(plan.wire), 64);
  if (parts.bytes >
      std::numeric_limits<std::size_t>::max() / 2 / static_cast<std::size_t>(plan.world_size)) {
    throw Error(Result::invalid_argument,
                "the packets of " + std::to_string(plan.world_size) + " ranks do not fit 64 bits");
  }
  return parts;
}

Packet view(const Plan& plan, void* bytes) {
  const Layout parts = layout(plan);
  auto* base = static_cast<std::byte*>(bytes);
  auto* header = static_cast<Header*>(bytes);
  Packet packet;
  packet.identity = bytes;
  packet.identity_bytes = sizeof(Identity);
  packet.call = &header->identity.call;
  packet.flags = &header->flags;
  packet.entries = &header->entries;
  packet.per_block = reinterpret_cast<std::uint32_t*>(base + parts.per_block);
  packet.offsets = reinterpret_cast<std::uint16_t*>(base + parts.offsets);
  packet.values = base + parts.values;
  return packet;
}

std::size_t identity_bytes() noexcept { return sizeof(Identity); }

void write_identity(const Plan& plan, std::uint64_t call, void* bytes) {
  const Identity written = identity(plan, call);
  std::memcpy(bytes, &written, sizeof(written));
}

std::string describe_identity(const void* sound, const void* bytes) {
  Identity expected;
  std::memcpy(&expected, sound, sizeof(expected));
  Identity found;
  std::memcpy(&found, bytes, sizeof(found));
  const auto differ = [](const char* field, auto wanted, auto seen) -> std::string {
    if (wanted == seen) return {};
    return std::string(field) + ": expected " + std::to_string(wanted) + ", found " +
           std::to_string(seen);
  };
  for (const std::string& difference :
       {differ("magic", expected.magic, found.magic),
        differ("version", expected.version, found.version),
        differ("world size", expected.world_size, found.world_size),
        differ("count", expected.count, found.count), differ("k", expected.k, found.k),
        differ("type", expected.type, found.type), differ("wire type", expected.wire, found.wire),
        differ("hash of the options", expected.options, found.options),
        differ("call", expected.call, found.call), differ("bytes", expected.bytes, found.bytes)}) {
    if (!difference.empty()) return difference;
  }
  return {};
}

}  // namespace sparccl::wire
