#include "world.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "dense.hpp"
#include "simt.hpp"

namespace fake_nccl {
namespace {

std::atomic<std::size_t> completed_count = 0;

void gather(const std::vector<Collective>& all, const Collective& own) {
  auto* const out = static_cast<std::byte*>(own.recv);
  const std::size_t bytes = own.count * sparccl::size_of(own.type);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const std::byte* const to = out + rank * bytes;
    if (all[rank].send != to && bytes != 0) simt::copy(out + rank * bytes, all[rank].send, bytes);
  }
}

/// Entries from `begin` on of what all sent.
std::vector<std::byte> reduced(const std::vector<Collective>& all, const Collective& own,
                               std::size_t begin) {
  const std::size_t width = sparccl::size_of(own.type);
  const std::size_t bytes = own.count * width;
  std::vector<std::vector<std::byte>> copies;
  std::vector<const void*> sources;
  for (const Collective& each : all) {
    simt::copy(copies.emplace_back(bytes).data(),
               static_cast<const std::byte*>(each.send) + begin * width, bytes);
  }
  for (const auto& copy : copies) sources.push_back(copy.data());
  std::vector<std::byte> result(bytes);
  sparccl::reduce(result.data(), sources.data(), static_cast<int>(all.size()), own.count, own.type,
                  own.reduction);
  return result;
}

/// Those to or from a rank, in the order of their calls.
std::vector<Collective::Message> with_peer(const std::vector<Collective::Message>& messages,
                                           std::size_t peer) {
  std::vector<Collective::Message> found;
  for (const Collective::Message& each : messages) {
    if (static_cast<std::size_t>(each.peer) == peer) found.push_back(each);
  }
  return found;
}

bool messages_fit(const std::vector<Collective>& all) {
  for (std::size_t from = 0; from < all.size(); ++from) {
    for (std::size_t to = 0; to < all.size(); ++to) {
      const bool fit =
          std::ranges::equal(with_peer(all[from].sends, to), with_peer(all[to].receives, from), {},
                             &Collective::Message::bytes, &Collective::Message::bytes);
      if (!fit) return false;
    }
  }
  return true;
}

void receive(const std::vector<Collective>& all, std::size_t rank) {
  for (std::size_t from = 0; from < all.size(); ++from) {
    const auto sent = with_peer(all[from].sends, rank);
    const auto received = with_peer(all[rank].receives, from);
    for (std::size_t i = 0; i < received.size(); ++i) {
      if (sent[i].bytes != 0) simt::copy(received[i].recv, sent[i].send, sent[i].bytes);
    }
  }
}

/// What is written once all have read; what writes where nobody reads is done here.
std::vector<std::byte> result_of(const std::vector<Collective>& all, std::size_t rank) {
  using Kind = Collective::Kind;
  const Collective& own = all[rank];
  const auto root = static_cast<std::size_t>(own.root);
  switch (own.kind) {
    case Kind::all_gather: gather(all, own); return {};
    case Kind::point_to_point: receive(all, rank); return {};
    case Kind::broadcast: {
      const std::size_t bytes = own.count * sparccl::size_of(own.type);
      if (own.recv != all[root].send) simt::copy(own.recv, all[root].send, bytes);
      return {};
    }
    case Kind::all_reduce: return reduced(all, own, 0);
    case Kind::reduce_scatter: return reduced(all, own, rank * own.count);
    case Kind::reduce: return rank == root ? reduced(all, own, 0) : std::vector<std::byte>();
  }
  return {};
}

}  // namespace

std::size_t completed() { return completed_count; }

bool World::connect(int rank, const std::function<bool()>& gives_up) {
  Lock lock(mutex_);
  connected_.at(static_cast<std::size_t>(rank)) = true;
  changed_.notify_all();
  while (std::ranges::count(connected_, false) != 0) {
    if (aborted_.at(static_cast<std::size_t>(rank))) return false;
    changed_.wait_for(lock, std::chrono::milliseconds(1));
    lock.unlock();
    const bool over = gives_up();
    lock.lock();
    if (over) return false;
  }
  return true;
}

void World::abort(int rank) {
  const Lock lock(mutex_);
  aborted_.at(static_cast<std::size_t>(rank)) = true;
  changed_.notify_all();
}

bool World::aborted(int rank) {
  const Lock lock(mutex_);
  return aborted_.at(static_cast<std::size_t>(rank));
}

void World::meet(Lock& lock, Round& round, int point) {
  ++round.reached[point];
  changed_.notify_all();
  changed_.wait(lock, [&] { return round.reached[point] == size_; });
}

/// Once all are there nobody leaves before the end: what one sends, another may still read.
void World::carry_out(int rank, const Collective& own) {
  Lock lock(mutex_);
  const auto place = static_cast<std::size_t>(rank);
  const std::uint64_t number = next_round_[rank]++;
  if (aborted_.at(place)) return;
  Round& round = rounds_[number];
  round.brought.resize(static_cast<std::size_t>(size_));
  round.here.resize(static_cast<std::size_t>(size_), false);
  round.brought[place] = own;
  round.here[place] = true;
  if (++round.arrived == size_) {
    round.sound = messages_fit(round.brought);
    for (const Collective& each : round.brought) round.sound = round.sound && each.fits(own);
  }
  changed_.notify_all();
  changed_.wait(lock,
                [&] { return (round.arrived == size_ && round.sound) || aborted_.at(place); });
  if (round.arrived < size_ || !round.sound) {
    if (round.arrived < size_) {  // it has left: the others wait for ever
      round.here[place] = false;
      --round.arrived;
    }
    return;
  }
  lock.unlock();
  const std::vector<std::byte> result = result_of(round.brought, place);
  lock.lock();
  meet(lock, round, 0);
  if (!result.empty()) {
    lock.unlock();
    simt::copy(own.recv, result.data(), result.size());
    lock.lock();
  }
  meet(lock, round, 1);
  if (--round.arrived == 0) {
    ++completed_count;
    rounds_.erase(number);
  }
}

World::Part World::split(int rank, int color, int key) {
  Lock lock(mutex_);
  Splitting& splitting = splits_[next_split_[rank]++];
  splitting.wishes[rank] = {color, key};
  changed_.notify_all();
  changed_.wait(lock, [&] {
    return static_cast<int>(splitting.wishes.size()) == size_ ||
           aborted_.at(static_cast<std::size_t>(rank));
  });
  if (static_cast<int>(splitting.wishes.size()) < size_) return {};
  std::vector<std::pair<int, int>> members;  // (key, rank)
  for (const auto& [other, wish] : splitting.wishes) {
    if (wish.color == color) members.emplace_back(wish.key, other);
  }
  std::ranges::sort(members);
  std::shared_ptr<World>& world = splitting.worlds[color];
  if (world == nullptr) world = std::make_shared<World>(static_cast<int>(members.size()));
  const auto mine = std::ranges::find(members, std::pair(key, rank));
  return {world, static_cast<int>(mine - members.begin())};
}

}  // namespace fake_nccl
