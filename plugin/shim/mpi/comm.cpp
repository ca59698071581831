#include "shim/mpi/comm.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include <sparccl/mpi.hpp>

#include "host/device_memory.hpp"
#include "shim/mpi/world.hpp"

namespace sparccl::shim::mpi {
namespace {

struct All {
  std::mutex mutex;
  int keyval = MPI_KEYVAL_INVALID;
  std::vector<Comm*> comms;
  std::vector<int> made_at_rank;  // [rank]: how many communicators this process was that rank of
};

All& all() {
  static All& instance = *new All;
  return instance;
}

int number_at_rank(int rank) {
  std::vector<int>& made = all().made_at_rank;
  made.resize(std::max(made.size(), static_cast<std::size_t>(rank) + 1));
  return made[static_cast<std::size_t>(rank)]++;
}

std::string name_of(MPI_Comm comm) {
  char name[MPI_MAX_OBJECT_NAME] = {};
  int length = 0;
  PMPI_Comm_get_name(comm, name, &length);
  return length > 0 ? name : "a communicator without a name";
}

bool is_aligned(const void* pointer, std::size_t width) {
  return reinterpret_cast<std::uintptr_t>(pointer) % width == 0;
}

/// MPI takes buffers at any address, the stages do not; and only this rank knows of its own.
std::optional<Reason> reduce_aligned(Session& session, const Request& request) {
  const std::size_t width = size_of(request.key.type);
  if (is_aligned(request.send, width) && is_aligned(request.recv, width)) {
    return session.reduce(request);
  }
  std::vector<double> copy((request.key.count * width + sizeof(double) - 1) / sizeof(double));
  std::memcpy(copy.data(), request.send, request.key.count * width);
  Request aligned = request;
  aligned.send = aligned.recv = copy.data();
  const std::optional<Reason> reason = session.reduce(aligned);
  if (!reason) std::memcpy(request.recv, copy.data(), request.key.count * width);
  return reason;
}

}  // namespace

Comm& Comm::of(MPI_Comm comm) {
  All& known = all();
  const std::lock_guard lock(known.mutex);
  if (known.keyval == MPI_KEYVAL_INVALID) {
    // What ends a communicator without our seeing it leaves its record behind, until MPI_Finalize.
    PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &known.keyval, nullptr);
  }
  void* found = nullptr;
  int flag = 0;
  PMPI_Comm_get_attr(comm, known.keyval, &found, &flag);
  if (flag != 0) return *static_cast<Comm*>(found);
  std::unique_ptr<Comm> made(new Comm(comm));
  PMPI_Comm_set_attr(comm, known.keyval, made.get());
  known.comms.push_back(made.get());
  return *made.release();
}

void Comm::end(MPI_Comm comm) noexcept {
  All& known = all();
  Comm* ended = nullptr;
  {
    const std::lock_guard lock(known.mutex);
    if (known.keyval == MPI_KEYVAL_INVALID || comm == MPI_COMM_NULL) return;
    void* found = nullptr;
    int flag = 0;
    PMPI_Comm_get_attr(comm, known.keyval, &found, &flag);
    if (flag == 0) return;
    ended = static_cast<Comm*>(found);
    PMPI_Comm_delete_attr(comm, known.keyval);
    std::erase(known.comms, ended);
  }
  delete ended;
}

void Comm::end_all() noexcept {
  std::vector<Comm*> ended;
  {
    const std::lock_guard lock(all().mutex);
    ended.swap(all().comms);
  }
  for (Comm* const comm : ended) delete comm;
  forget_world();
}

Comm::Comm(MPI_Comm comm) : comm_(comm), label_(name_of(comm)) {
  int flag = 0;
  PMPI_Comm_test_inter(comm, &flag);
  intercomm_ = flag != 0;
  PMPI_Comm_size(comm, &size_);
  int rank = 0;
  PMPI_Comm_rank(comm, &rank);
  int level = MPI_THREAD_SINGLE;
  PMPI_Query_thread(&level);
  may_thread_ = level == MPI_THREAD_MULTIPLE;
  state_stem_ = "process" + std::to_string(world_rank()) + ".communicator" +
                std::to_string(number_at_rank(rank)) + ".rank" + std::to_string(rank);
}

Comm::~Comm() {
  worker_.finish();
  const bool sound =
      session_ == nullptr || session_->communicator().async_error() == Result::success;
  session_.reset();
  if (!is_world() && duplicate_ != MPI_COMM_NULL && sound) PMPI_Comm_free(&duplicate_);
}

Comm::Admission Comm::admit(const Arguments& arguments, bool nonblocking) {
  Admission admission;
  Request& request = admission.request;
  request.number = calls_++;
  request.send = arguments.send == MPI_IN_PLACE ? arguments.recv : arguments.send;
  request.recv = arguments.recv;
  const Found found = key_of(arguments);
  if (found.key) request.key = *found.key;
  admission.refused = found.key ? refuses(request, nonblocking) : found.reason;
  if (process().settings().disable) admission.refused = Reason::disabled;
  return admission;
}

std::optional<Reason> Comm::refuses(const Request& request, bool nonblocking) const {
  if (intercomm_) return Reason::intercomm;
  if (size_ < 2) return Reason::one_rank;
  if (const auto reason = process().refuses(request.key, request.number)) return reason;
  if (nonblocking && !may_thread_) return Reason::no_threads;
  if (nonblocking && !met_ && !is_world()) return Reason::not_met;
  host::look_for_driver();  // the program may have loaded it since
  for (const void* const buffer : {request.send, static_cast<const void*>(request.recv)}) {
    if (!host::device_memory_at(buffer).empty()) return Reason::device_memory;
  }
  return std::nullopt;
}

void Comm::pass(Reason reason, const Arguments& arguments, const Request& request) const noexcept {
  process().tally().passed(reason, ring_bytes(bytes_of(arguments), size_));
  if (!process().log().traces()) return;
  process().log().trace(label_ + ": call " + std::to_string(request.number) + " of " +
                        std::to_string(arguments.count) + " entries passes: " + text_of(reason));
}

std::optional<Reason> Comm::reduce(const Request& request) {
  met_ = true;
  worker_.finish();
  return carry_out(request);
}

int Comm::start(const Arguments& arguments, const Request& made, MPI_Request* request) {
  return worker_.start([this, arguments, made] { return work(arguments, made); }, comm_, request);
}

/// Once: ranks that have failed to make one are not at the same place any more.
Session& Comm::session() {
  if (failed_) throw *failed_;
  if (session_ == nullptr) {
    try {
      make_session();
    } catch (const Error& error) {
      failed_ = error;
      throw;
    }
  }
  return *session_;
}

/// In a blocking call, but of MPI_COMM_WORLD, whose communicator is there already.
void Comm::make_session() {
  if (is_world() && world().communicator) {
    duplicate_ = world().duplicate;
    session_ = std::make_unique<Session>(process(), *world().communicator, label_, state_stem_);
    return;
  }
  const std::uint64_t timeout_ms = process().settings().timeout_ms;
  auto made = std::make_unique<MPI_Comm>(MPI_COMM_NULL);
  MPI_Request duplicating = MPI_REQUEST_NULL;
  PMPI_Comm_idup(comm_, made.get(), &duplicating);
  if (!wait(duplicating, timeout_ms)) {
    static_cast<void>(made.release());  // MPI may still write to it, for ever
    throw Error(Result::timeout, label_ +
                                     ": expected an allreduce of every rank, found one that did "
                                     "not call within " +
                                     std::to_string(timeout_ms) + " ms");
  }
  duplicate_ = *made;
  session_ = std::make_unique<Session>(
      process(), mpi_communicator(duplicate_, process().settings().communicator()), label_,
      state_stem_);
}

std::optional<Reason> Comm::carry_out(const Request& request) {
  const std::optional<Reason> reason = reduce_aligned(session(), request);
  if (reason || !process().log().traces()) return reason;
  process().log().trace(label_ + ": call " + std::to_string(request.number) + " of " +
                        std::to_string(request.key.count) + " entries is sparsified");
  return std::nullopt;
}

/// MPI's own way, but not on the program's communicator: its thread may be in another collective
/// there. The types of calls that were admitted are contiguous.
int Comm::dense(const Arguments& arguments) const noexcept {
  constexpr std::uint64_t most = 1 << 30;  // entries that an int counts
  int width = 0;
  int code = PMPI_Type_size(arguments.type, &width);
  for (std::uint64_t begin = 0; code == MPI_SUCCESS && begin < arguments.count; begin += most) {
    const auto at = [&](const void* buffer) {
      return static_cast<const char*>(buffer) + begin * static_cast<std::uint64_t>(width);
    };
    const bool in_place = arguments.send == MPI_IN_PLACE;
    code = PMPI_Allreduce(in_place ? MPI_IN_PLACE : at(arguments.send),
                          const_cast<char*>(at(arguments.recv)),
                          static_cast<int>(std::min(most, arguments.count - begin)), arguments.type,
                          arguments.op, duplicate_);
  }
  return code;
}

/// On the worker's thread.
int Comm::work(const Arguments& arguments, const Request& request) noexcept try {
  const std::optional<Reason> reason = carry_out(request);
  if (!reason) return MPI_SUCCESS;
  pass(*reason, arguments, request);
  return dense(arguments);
} catch (const std::exception& error) {
  process().tally().failed();
  return tell(label_ + ": " + error.what());
}

}  // namespace sparccl::shim::mpi
