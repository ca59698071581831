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

struct RangeIdentity {
  std::uint64_t fingerprint;
  std::uint64_t call;
};

struct RangeHeader {
  RangeIdentity identity;
  std::uint64_t entries;
  std::uint64_t wanted;
  std::uint32_t flags;
  std::uint32_t blame;
};
static_assert(sizeof(RangeHeader) == 40 && std::is_trivially_copyable_v<RangeHeader>);

constexpr std::uint64_t magic = 0x3130307463637073;  // "spcct001"
constexpr std::uint32_t version = 1;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::uint64_t hash_options(const Plan& plan) {
  const std::uint64_t options[] = {
      std::bit_cast<std::uint64_t>(plan.mu), static_cast<std::uint64_t>(plan.distortion),
      static_cast<std::uint64_t>(plan.exact), static_cast<std::uint64_t>(plan.finite)};
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

void require_addressable(const Plan& plan, std::size_t packet_bytes) {
  if (packet_bytes <=
      std::numeric_limits<std::size_t>::max() / 2 / static_cast<std::size_t>(plan.world_size)) {
    return;
  }
  throw Error(Result::invalid_argument,
              "the packets of " + std::to_string(plan.world_size) + " ranks do not fit 64 bits");
}

/// Of both kinds of packets: what their headers share, and the lists.
template <class Head>
Packet view_as(const Layout& parts, void* bytes) {
  auto* base = static_cast<std::byte*>(bytes);
  auto* header = static_cast<Head*>(bytes);
  Packet packet;
  packet.identity = bytes;
  packet.identity_bytes = sizeof(header->identity);
  packet.call = &header->identity.call;
  packet.flags = &header->flags;
  packet.entries = &header->entries;
  packet.per_block = reinterpret_cast<std::uint32_t*>(base + parts.per_block);
  packet.offsets = reinterpret_cast<std::uint16_t*>(base + parts.offsets);
  packet.values = base + parts.values;
  return packet;
}

}  // namespace

Layout layout(const Plan& plan) {
  Layout parts;
  parts.per_block = sizeof(Header);
  parts.offsets = round_up(parts.per_block + plan.blocks() * sizeof(std::uint32_t), 8);
  parts.values = round_up(parts.offsets + plan.k * sizeof(std::uint16_t), 8);
  parts.bytes = round_up(parts.values + plan.k * size_of(plan.wire), 64);
  require_addressable(plan, parts.bytes);
  return parts;
}

Packet view(const Plan& plan, void* bytes) { return view_as<Header>(layout(plan), bytes); }

std::size_t identity_bytes() noexcept { return sizeof(Identity); }

void write_identity(const Plan& plan, std::uint64_t call, void* bytes) {
  const Identity written = identity(plan, call);
  std::memcpy(bytes, &written, sizeof(written));
}

Layout range_layout(const Plan& plan) {
  Layout parts;
  parts.per_block = sizeof(RangeHeader);
  parts.offsets = parts.per_block + plan.blocks() * sizeof(std::uint32_t);
  parts.values = round_up(parts.offsets + plan.k * sizeof(std::uint16_t), 8);
  parts.bytes = round_up(parts.values + plan.k * size_of(plan.wire), 16);
  require_addressable(plan, parts.bytes);
  return parts;
}

Packet range_view(const Plan& plan, void* bytes) {
  auto* header = static_cast<RangeHeader*>(bytes);
  Packet packet = view_as<RangeHeader>(range_layout(plan), bytes);
  packet.wanted = &header->wanted;
  packet.blame = &header->blame;
  return packet;
}

std::size_t range_identity_bytes() noexcept { return sizeof(RangeIdentity); }

void write_range_identity(const Plan& plan, void* bytes) {
  Identity whole = identity(plan, 0);
  whole.bytes = range_layout(plan).bytes;
  const RangeIdentity written{XXH64(&whole, sizeof(whole), 0), 0};
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
