#include <algorithm>

#include "api.hpp"

using namespace simt::detail;

namespace {

template <class Handle>
Handle new_handle(Machine& m) {
  return reinterpret_cast<Handle>(m.next_handle += 16);
}

bool completed(const Event& event) {
  return event.ticket.stream == nullptr || event.ticket.stream->completed >= event.ticket.number;
}

std::shared_ptr<Event> event_of(const Machine& m, cudaEvent_t handle) {
  const auto found = m.events.find(handle);
  return found == m.events.end() ? nullptr : found->second;
}

/// What a query or a wait on the event itself is told; captured ones stand for nothing that runs.
cudaError_t check_event(Machine& m, Event* event) {
  if (event == nullptr) return cudaErrorInvalidResourceHandle;
  if (event->capture != nullptr) {
    event->capture->invalid = true;
    return cudaErrorCapturedEvent;
  }
  return m.allows_unsafe_calls() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t check_stream(Machine& m, const StreamPointer& stream) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return m.allows_unsafe_calls() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call([&](Machine& m, Lock&) {
    if (stream == nullptr || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *stream = new_handle<cudaStream_t>(m);
    m.streams[*stream] = m.make_stream(present_device, flags);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return call_to_free([&](Machine& m, Lock&) {
    const auto found = m.streams.find(handle);
    if (found == m.streams.end()) return cudaErrorInvalidResourceHandle;
    const StreamPointer stream = found->second;
    m.streams.erase(found);
    if (stream->capture != nullptr) stream->capture->invalid = true;
    stream->destroyed = true;
    if (stream->idle())
      std::erase(m.devices[static_cast<std::size_t>(stream->device)].streams, stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call([&](Machine& m, Lock& lock) {
    const StreamPointer stream = m.stream(handle);
    const cudaError_t code = check_stream(m, stream);
    if (code != cudaSuccess) return code;
    count_synchronisation(m);
    m.drain(lock, stream, stream->enqueued);
    if (stream->legacy) {  // it stands for the blocking streams too
      for (const StreamPointer& each :
           std::vector(m.devices[static_cast<std::size_t>(stream->device)].streams))
        if ((each->flags & cudaStreamNonBlocking) == 0) m.drain(lock, each, each->enqueued);
    }
    return m.devices[static_cast<std::size_t>(stream->device)].sticky;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call([&](Machine& m, Lock& lock) {
    const StreamPointer stream = m.stream(handle);
    const cudaError_t code = check_stream(m, stream);
    if (code != cudaSuccess) return code;
    m.nudge(lock, stream);
    return stream->idle() ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags == nullptr) return cudaErrorInvalidValue;
    *flags = stream->flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = stream->device;
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* user) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (function == nullptr) return cudaErrorInvalidValue;
    const Work work = [=](std::uint64_t) {
      in_host_function = true;
      function(user);
      in_host_function = false;
      return cudaSuccess;
    };
    return m.enqueue(stream, {work, true, {}});
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    const auto event = event_of(m, event_handle);
    if (stream == nullptr || event == nullptr) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return join_capture(stream, *event);
    if (event->ticket.stream == nullptr) return cudaSuccess;  // never recorded
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (completed(*event)) return cudaSuccess;
    return m.enqueue(stream, {nullptr, false, {event->ticket}});
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call([&](Machine& m, Lock&) {
    if (event == nullptr || flags > 7) return cudaErrorInvalidValue;
    auto made = std::make_shared<Event>();
    made->device = present_device;
    made->timed = (flags & cudaEventDisableTiming) == 0;
    *event = new_handle<cudaEvent_t>(m);
    m.events[*event] = std::move(made);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call_to_free([&](Machine& m, Lock&) {
    return m.events.erase(event) != 0 ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    const auto event = event_of(m, event_handle);
    if (stream == nullptr || event == nullptr || stream->device != event->device)
      return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
      event->ticket = {};
      event->capture = stream->capture;
      event->nodes = stream->frontier;
      return cudaSuccess;
    }
    auto time = std::make_shared<std::chrono::steady_clock::time_point>();
    const Work work = [time](std::uint64_t) {
      *time = std::chrono::steady_clock::now();
      return cudaSuccess;
    };
    const cudaError_t code = m.enqueue(stream, {work, false, {}});
    if (code != cudaSuccess) return code;
    event->capture = nullptr;
    event->ticket = {stream, stream->enqueued};
    event->time = std::move(time);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return call([&](Machine& m, Lock& lock) {
    const auto event = event_of(m, handle);
    const cudaError_t code = check_event(m, event.get());
    if (code != cudaSuccess) return code;
    if (completed(*event)) return cudaSuccess;
    const Ticket ticket = event->ticket;
    m.nudge(lock, ticket.stream);
    return ticket.stream->completed >= ticket.number ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return call([&](Machine& m, Lock& lock) {
    const auto event = event_of(m, handle);
    const cudaError_t code = check_event(m, event.get());
    if (code != cudaSuccess) return code;
    count_synchronisation(m);
    const Ticket ticket = event->ticket;
    if (ticket.stream != nullptr) m.drain(lock, ticket.stream, ticket.number);
    return m.devices[static_cast<std::size_t>(event->device)].sticky;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return call([&](Machine& m, Lock&) {
    const auto from = event_of(m, begin), to = event_of(m, end);
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    for (Event* event : {from.get(), to.get()}) {
      const cudaError_t code = check_event(m, event);
      if (code != cudaSuccess) return code;
    }
    if (!from->timed || !to->timed || from->time == nullptr || to->time == nullptr)
      return cudaErrorInvalidResourceHandle;
    if (!completed(*from) || !completed(*to)) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(*to->time - *from->time).count();
    return cudaSuccess;
  });
}
