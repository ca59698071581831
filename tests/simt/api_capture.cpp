#include <algorithm>

#include "api.hpp"

using namespace simt::detail;

namespace {

template <class Handle>
Handle new_handle(Machine& m) {
  return reinterpret_cast<Handle>(m.next_handle += 16);
}

/// Whether all that the streams of a capture did comes before its origin's last.
bool joined(const Capture& capture) {
  std::vector<bool> before(capture.nodes.size());
  std::vector<std::size_t> left = capture.origin->frontier;
  while (!left.empty()) {
    const std::size_t node = left.back();
    left.pop_back();
    if (before[node]) continue;
    before[node] = true;
    left.insert(left.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
  }
  for (const StreamPointer& stream : capture.streams)
    for (const std::size_t node : stream->frontier)
      if (!before[node]) return false;
  return true;
}

cudaError_t capture_info(cudaStream_t handle, cudaStreamCaptureStatus* status,
                         unsigned long long* id) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (status == nullptr) return cudaErrorInvalidValue;
    const Capture* const capture = stream->capture.get();
    *status = capture == nullptr ? cudaStreamCaptureStatusNone
              : capture->invalid ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
    if (id != nullptr && capture != nullptr) *id = capture->id;
    return cudaSuccess;
  });
}

}  // namespace

namespace simt::detail {

cudaError_t join_capture(const StreamPointer& stream, const Event& event) {
  const std::shared_ptr<Capture>& capture = event.capture;
  if (capture->ended) return cudaErrorCapturedEvent;
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (stream->legacy) {
    capture->invalid = true;
    return cudaErrorStreamCaptureImplicit;
  }
  if (stream->capture == nullptr) {
    stream->capture = capture;
    stream->frontier = {};
    capture->streams.push_back(stream);
  } else if (stream->capture != capture) {
    capture->invalid = stream->capture->invalid = true;
    return cudaErrorStreamCaptureMerge;
  }
  for (const std::size_t node : event.nodes) {
    if (std::find(stream->frontier.begin(), stream->frontier.end(), node) == stream->frontier.end())
      stream->frontier.push_back(node);
  }
  return cudaSuccess;
}

}  // namespace simt::detail

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture != nullptr) return cudaErrorIllegalState;
    auto capture = std::make_shared<Capture>();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->id = m.next_capture++;
    capture->origin = stream;
    capture->streams = {stream};
    stream->capture = capture;
    stream->frontier = {};
    m.captures.push_back(std::move(capture));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr) return cudaErrorIllegalState;
    if (capture->origin != stream) {
      capture->invalid = true;
      return cudaErrorStreamCaptureUnmatched;
    }
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id())
      return cudaErrorStreamCaptureWrongThread;
    cudaError_t code = cudaSuccess;
    if (capture->invalid)
      code = cudaErrorStreamCaptureInvalidated;
    else if (!joined(*capture))
      code = cudaErrorStreamCaptureUnjoined;
    for (const StreamPointer& each : capture->streams) {
      each->capture = nullptr;
      each->frontier = {};
    }
    capture->ended = true;
    capture->origin = nullptr;  // it holds the capture
    capture->streams.clear();
    std::erase(m.captures, capture);
    if (code != cudaSuccess) return code;
    *graph = new_handle<cudaGraph_t>(m);
    m.graphs[*graph] = std::make_shared<std::vector<Node>>(std::move(capture->nodes));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return capture_info(stream, status, nullptr);
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id) {
  return capture_info(stream, status, id);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return call_without_device([&](Machine&, Lock&) {
    if (mode == nullptr) return cudaErrorInvalidValue;
    std::swap(*mode, thread_mode);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return call([&](Machine& m, Lock&) {
    const auto found = m.graphs.find(graph);
    if (executable == nullptr || found == m.graphs.end()) return cudaErrorInvalidValue;
    *executable = new_handle<cudaGraphExec_t>(m);
    m.executables[*executable] = found->second;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return call([&](Machine& m, Lock&) {
    const auto found = m.graphs.find(graph);
    // Nodes cannot be looked into here, but counted.
    if (nodes != nullptr || count == nullptr || found == m.graphs.end())
      return cudaErrorInvalidValue;
    *count = found->second->size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    const auto found = m.executables.find(executable);
    if (stream == nullptr || found == m.executables.end()) return cudaErrorInvalidResourceHandle;
    const auto nodes = found->second;
    const bool blocks = std::any_of(nodes->begin(), nodes->end(),
                                    [](const Node& node) { return node.operation.blocks; });
    return m.enqueue(stream,
                     {[nodes](std::uint64_t seed) { return run_graph(*nodes, seed); }, blocks, {}});
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call_to_free([&](Machine& m, Lock&) {
    return m.executables.erase(executable) != 0 ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call_to_free([&](Machine& m, Lock&) {
    return m.graphs.erase(graph) != 0 ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}
