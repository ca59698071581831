// A function that came after NCCL 2.18, by its ABI: nccl.h, which may declare it, is not included.
namespace fake_nccl {
int drop_group();
}

extern "C" {
int pncclGroupSimulateEnd(void*) { return fake_nccl::drop_group(); }
[[gnu::weak, gnu::alias("pncclGroupSimulateEnd")]] int ncclGroupSimulateEnd(void* info);
}
