# SPARCCL_MPI_TEST_ENVIRONMENT: what every test that starts an MPI program needs.
#
# - Run as root, with more ranks than cores and none bound: Open MPI (before and from version 5) has to be
#   told, MPICH does not ask.
# - What MPI never frees is not ours.
# - intercept_tls_get_addr=0: up to GCC 13 and LLVM 16 the leak check can take a module's thread-local
#   block, at an unlucky address, for one of an old glibc and crash on it ("Tracer caught signal 11");
#   modules loaded at run time, as Open MPI's are, have such blocks.
set(SPARCCL_MPI_TEST_ENVIRONMENT
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
  OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
  ASAN_OPTIONS=intercept_tls_get_addr=0
  LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/mpi/lsan.supp:print_suppressions=0)

# The same, where leaks are looked for at the end of the process: by then modules are unloaded, and only
# whole stacks, which take long, tell whose a leak is.
set(SPARCCL_MPI_PROGRAM_ENVIRONMENT ${SPARCCL_MPI_TEST_ENVIRONMENT}
  ASAN_OPTIONS=intercept_tls_get_addr=0:fast_unwind_on_malloc=0)
