// The reduction: a tile of the result at a time, the ranks in order, so every rank gets the same
// bits. Only what was sent is summed and converted; the rest of a tile is zeros that are streamed
// out, which is all that the memory sees.
#include "host/merge.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "host/host_stages.hpp"
#include "host/stream.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

template <class T, class Wire>
class Merger {
 public:
  using A = Accumulator<T>;

  Merger(const Simd& simd, const Plan& plan, const Memory& memory, const Workspace<A>& work,
         std::span<const Packet> packets, const Output& output)
      : simd_(simd),
        plan_(plan),
        memory_(memory),
        work_(work),
        packets_(packets),
        output_(output),
        own_(static_cast<std::size_t>(plan.rank)),
        divisor_(static_cast<A>(plan.divisor(output.reduction))),
        sums_are_result_(std::is_same_v<T, A> && output.reduction == Reduction::sum) {
    const auto misaligned = reinterpret_cast<std::uintptr_t>(output.dense) % line_bytes;
    streams_ = output.dense != nullptr && plan.count * sizeof(T) >= stream_from_bytes &&
               misaligned % sizeof(T) == 0;
    if (streams_) lead_ = misaligned / sizeof(T);
  }

  std::size_t run() {
    std::fill_n(work_.next, packets_.size(), std::size_t{0});
    for (std::size_t block = 0; block < plan_.blocks(); ++block) {
      std::size_t in_block = 0;
      for (std::size_t p = 0; p < packets_.size(); ++p) {
        in_block += packets_[p].per_block[block];
        work_.end[p] = work_.next[p] + packets_[p].per_block[block];
      }
      const std::size_t length = std::min(block_size, plan_.count - block * block_size);
      if (in_block == 0 && output_.dense == nullptr) continue;
      for (std::size_t begin = 0; begin < length; begin += tile_size) {
        merge_tile(block * block_size, begin, std::min(begin + tile_size, length));
      }
    }
    if (streams_) simd_.fence();
    std::copy_n(packets_[own_].per_block, plan_.blocks(), memory_.sent_per_block);
    std::copy_n(packets_[own_].offsets, work_.next[own_], memory_.sent_offsets);
    return written_;
  }

 private:
  /// Offsets [begin, end) of the block that starts at `base`.
  void merge_tile(std::size_t base, std::size_t begin, std::size_t end) {
    A* const sums = work_.sums + lead_;
    for (std::size_t p = 0; p < packets_.size(); ++p) {
      const std::uint16_t* const offsets = packets_[p].offsets;
      const auto* const values = static_cast<const Wire*>(packets_[p].values);
      const std::size_t last = work_.end[p];
      std::size_t i = work_.next[p];
      work_.begin[p] = i;
      for (; i < last && offsets[i] < end; ++i) {
        sums[offsets[i] - begin] += static_cast<A>(Convert<Wire>::up(values[i]));
      }
      work_.next[p] = i;
    }
    remember_own(sums, begin);
    if (streams_) {
      stream_dense(base + begin, begin, end - begin);
    } else if (output_.dense != nullptr) {
      write_dense(base + begin, begin, end - begin);
    } else {
      write_sparse(base + begin, begin);
    }
  }

  void remember_own(const A* sums, std::size_t begin) {
    const Packet& own = packets_[own_];
    const auto* values = static_cast<const Wire*>(own.values);
    auto* ratios = static_cast<A*>(memory_.sent_ratios);
    for (std::size_t i = work_.begin[own_]; i < work_.next[own_]; ++i) {
      ratios[i] = remember(plan_.distortion, static_cast<A>(Convert<Wire>::up(values[i])),
                           sums[own.offsets[i] - begin]);
    }
  }

  /// f(offset in tile) for every entry that any rank sent here, once for each rank that did.
  template <class F>
  void for_each_sent(std::size_t begin, F f) {
    for (std::size_t p = 0; p < packets_.size(); ++p) {
      const std::uint16_t* const offsets = packets_[p].offsets;
      for (std::size_t i = work_.begin[p]; i < work_.next[p]; ++i) f(offsets[i] - begin);
    }
  }

  void mark(std::size_t bit) { work_.touched[bit / 64] |= std::uint64_t{1} << bit % 64; }

  /// Past the caches, in whole lines of the result; the tile is shifted by `lead_` to fit them.
  void stream_dense(std::size_t position, std::size_t begin, std::size_t length) {
    auto* const tile =
        sums_are_result_ ? reinterpret_cast<T*>(work_.sums) : reinterpret_cast<T*>(work_.tile);
    constexpr std::size_t line = line_bytes / sizeof(T);
    for_each_sent(begin, [&](std::size_t i) {
      mark((i + lead_) / line);
      if (!sums_are_result_) tile[i + lead_] = Convert<T>::from(work_.sums[i + lead_] / divisor_);
    });
    if (!sums_are_result_)
      for_each_sent(begin, [&](std::size_t i) { work_.sums[i + lead_] = A(0); });

    T* const result = static_cast<T*>(output_.dense) + position;
    T* const source = tile + lead_;
    const std::size_t head = std::min(lead_ == 0 ? 0 : line - lead_, length);  // up to a whole line
    const std::size_t lines = (length - head) / line;
    const std::size_t tail = head + lines * line;
    if (lead_ != 0) drop_first_line();
    work_.touched[lines / 64] &= (std::uint64_t{1} << lines % 64) - 1;  // the tail is no whole line
    move(result, source, head);
    simd_.write_lines(result + head, source + head, work_.touched, lines);
    move(result + tail, source + tail, length - tail);
    std::fill_n(work_.touched, touched_words, std::uint64_t{0});
  }

  static void move(T* to, T* from, std::size_t length) {
    std::copy_n(from, length, to);
    std::fill_n(from, length, T{});
  }

  /// Bit 0 of `touched` is then that of the first whole line.
  void drop_first_line() {
    for (std::size_t word = 0; word + 1 < touched_words; ++word) {
      work_.touched[word] = work_.touched[word] >> 1 | work_.touched[word + 1] << 63;
    }
  }

  void write_dense(std::size_t position, std::size_t begin, std::size_t length) {
    T* const result = static_cast<T*>(output_.dense) + position;
    std::fill_n(result, length, T{});
    for_each_sent(begin,
                  [&](std::size_t i) { result[i] = Convert<T>::from(work_.sums[i] / divisor_); });
    for_each_sent(begin, [&](std::size_t i) { work_.sums[i] = A(0); });
  }

  void write_sparse(std::size_t position, std::size_t begin) {
    for_each_sent(begin, [&](std::size_t i) { mark(i); });
    auto* values = static_cast<T*>(output_.values);
    for (std::size_t word = 0; word < tile_size / 64; ++word) {
      for (std::uint64_t bits = work_.touched[word]; bits != 0; bits &= bits - 1) {
        const std::size_t i = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        output_.positions[written_] = position + i;
        values[written_] = Convert<T>::from(work_.sums[i] / divisor_);
        work_.sums[i] = A(0);
        ++written_;
      }
      work_.touched[word] = 0;
    }
  }

  static constexpr std::size_t touched_words = (tile_margin + tile_size) / 64;

  const Simd& simd_;
  const Plan& plan_;
  const Memory& memory_;
  const Workspace<A>& work_;
  std::span<const Packet> packets_;
  const Output& output_;
  std::size_t own_;
  A divisor_;
  bool sums_are_result_;
  bool streams_ = false;
  std::size_t lead_ = 0;  // entries between the start of a line of the result and the tile
  std::size_t written_ = 0;
};

/// The result of a step without a sum. Returns the entries of a sparse output.
template <class T>
std::size_t fill_nan_as(const Plan& plan, const Output& output) {
  const T nan = Convert<T>::from(std::numeric_limits<Accumulator<T>>::quiet_NaN());
  if (output.dense != nullptr) {
    std::fill_n(static_cast<T*>(output.dense), plan.count, nan);
    return 0;
  }
  output.positions[0] = 0;
  *static_cast<T*>(output.values) = nan;
  return 1;
}

}  // namespace

std::size_t fill_nan(const Plan& plan, const Output& output) {
  return visit_floating(plan.type, [&]<class T>(Tag<T>) { return fill_nan_as<T>(plan, output); });
}

template <class T>
std::size_t merge_packets(const Simd& simd, const Plan& plan, const Memory& memory,
                          const Workspace<Accumulator<T>>& work, std::span<const Packet> packets,
                          const Output& output) {
  return visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
    return Merger<T, Wire>(simd, plan, memory, work, packets, output).run();
  });
}

template std::size_t merge_packets<float>(const Simd&, const Plan&, const Memory&,
                                          const Workspace<float>&, std::span<const Packet>,
                                          const Output&);
template std::size_t merge_packets<double>(const Simd&, const Plan&, const Memory&,
                                           const Workspace<double>&, std::span<const Packet>,
                                           const Output&);

void merge(const Simd& simd, const Plan& plan, const Memory& memory, void* workspace,
           std::span<const Packet> packets, const Output& output) {
  memory.report->written = visit_floating(plan.type, [&]<class T>(Tag<T>) {
    const Workspace<Accumulator<T>> work(plan, workspace);
    if (work.header->verdict.kind != Verdict::Kind::sum) return fill_nan_as<T>(plan, output);
    return merge_packets<T>(simd, plan, memory, work, packets, output);
  });
}

}  // namespace sparccl::host
