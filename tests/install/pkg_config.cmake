# A C program, through pkg-config alone.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

set(ENV{PKG_CONFIG_PATH} ${PREFIX}/${LIBDIR}/pkgconfig)
set(static)
if(NOT SHARED)
  set(static --static)
endif()
capture(flags pkg-config --cflags --libs ${static} sparccl)
run(${CC} -std=c11 ${strict} ${c_flags} ${SOURCE}/consumer.c -o ${WORK}/consumer-pkg-config ${flags})
set(ENV{LD_LIBRARY_PATH} ${PREFIX}/${LIBDIR})
run(${WORK}/consumer-pkg-config)
