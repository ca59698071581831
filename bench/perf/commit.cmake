cmake_policy(VERSION 3.25)

# Writes OUTPUT, a source file that names the commit of SOURCE, if that differs from what is there.
execute_process(COMMAND git -C ${SOURCE} rev-parse HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
set(value nullptr)
if(status EQUAL 0)
  execute_process(COMMAND git -C ${SOURCE} status --porcelain --untracked-files=no
    OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    string(APPEND commit "+")  # and what is not committed yet
  endif()
  set(value "\"${commit}\"")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
  "#include \"build.hpp\"\nconst char* const sparccl::perf::build::commit = @value@;\n")
