/* AddressSanitizer's check for leaks, where it is linked, of what lies between MPI_Init and
 * MPI_Finalize: in both Open MPI loads modules that it unloads again, and what those leak can no
 * longer be told apart from what this library does. */
#ifndef SPARCCL_TESTS_MPI_LEAKS_H_
#define SPARCCL_TESTS_MPI_LEAKS_H_

#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);
__attribute__((weak)) void __lsan_do_leak_check(void);
#ifdef __cplusplus
}
#endif

static inline void init_mpi(int* argc, char*** argv) {
  if (&__lsan_disable) __lsan_disable();
  MPI_Init(argc, argv);
  if (&__lsan_enable) __lsan_enable();
}

static inline void finalize_mpi(void) {
  if (&__lsan_do_leak_check) __lsan_do_leak_check(); /* once: not at the end again */
  MPI_Finalize();
}

#endif
