// A library that is not NCCL.
extern "C" int sparcclEmptyLibrary() { return 0; }
