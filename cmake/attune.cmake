# Three commands describe every target of the project; each lists its files by name, never by glob,
# so that a file nobody builds is found by tests/tidy.
#
#   attune_library(name SRCS a.cc ... [HDRS a.h ...] [DEPS target ...] [PRIVATE_DEPS target ...])
#   attune_binary(name SRCS main.cc ... DEPS target ...)          -> build/<preset>/bin/name
#   attune_test(name SRCS x_test.cc ... DEPS target ... [LABELS l ...] [RANKS n])

set(ATTUNE_WARNINGS -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
                    -Werror=return-type -Werror=unused-result)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND ATTUNE_WARNINGS -Wthread-safety -Werror=thread-safety)
endif()
if(ATTUNE_SANITIZE)
  add_compile_options(-fsanitize=${ATTUNE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ATTUNE_SANITIZE})
endif()
# Gold and lld are not needed; dead dependencies of LibTorch's long link line are dropped instead.
add_link_options(-Wl,--as-needed)

function(attune_library name)
  cmake_parse_arguments(A "" "" "SRCS;HDRS;DEPS;PRIVATE_DEPS" ${ARGN})
  if(A_SRCS)
    add_library(${name} STATIC ${A_SRCS} ${A_HDRS})
    target_compile_options(${name} PRIVATE ${ATTUNE_WARNINGS})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS})
  else()
    add_library(${name} INTERFACE ${A_HDRS})
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${A_DEPS})
  endif()
endfunction()

function(attune_binary name)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_compile_options(${name} PRIVATE ${ATTUNE_WARNINGS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPS})
endfunction()

function(attune_test name)
  if(NOT ATTUNE_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "RANKS" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_compile_options(${name} PRIVATE ${ATTUNE_WARNINGS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPS} GTest::gmock_main GTest::gtest)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE ATTUNE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set(command $<TARGET_FILE:${name}>)
  if(A_RANKS)  # a rank that fails an assertion leaves the others in a collective for ever
    set(command timeout 120 mpirun --allow-run-as-root --oversubscribe -np ${A_RANKS} ${command})
  endif()
  add_test(NAME ${name} COMMAND ${command} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "unit;${A_LABELS}"
    ENVIRONMENT "OMP_WAIT_POLICY=passive;OMP_NUM_THREADS=1")
endfunction()
