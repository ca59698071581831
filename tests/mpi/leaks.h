/* The check for leaks of AddressSanitizer, where it is linked. Call it right before MPI_Finalize:
 * afterwards Open MPI has unloaded its modules, and their leaks are no longer known as theirs. */
#ifndef SPARCCL_TESTS_MPI_LEAKS_H_
#define SPARCCL_TESTS_MPI_LEAKS_H_

#ifdef __cplusplus
extern "C"
#endif
    __attribute__((weak)) void
    __lsan_do_leak_check(void);

static inline void check_leaks(void) {
  if (&__lsan_do_leak_check) __lsan_do_leak_check(); /* once: not at the end again */
}

#endif
