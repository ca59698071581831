/* The header of the NCCL opt-in, in C. */
#include <sparccl/nccl.h>

int main(void) {
  sparcclComm_t comm;
  return sparcclCommInitNccl(&comm, 0, 0) == sparcclSuccess;
}
