# One place decides how a target of this project is compiled, where it lands and what it may link.
#   tape_library(NAME [INTERNAL] SOURCES ... [PUBLIC targets] [PRIVATE targets])   -> library tape_NAME, alias tape::NAME
#     INTERNAL: of the programs only, never installed
#   tape_program(NAME SOURCES ... LINK targets)                          -> bin/NAME
#   tape_test(NAME SOURCES ... LINK targets [TORCH])                     -> tests/NAME, one ctest entry per binary
include(GNUInstallDirs)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
find_program(TAPE_CCACHE ccache)
if(TAPE_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${TAPE_CCACHE})
endif()
# A torch translation unit needs over a gigabyte: never more than two at once, whatever -j says.
set_property(GLOBAL APPEND PROPERTY JOB_POOLS tape_torch_pool=2)

function(tape_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET default)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic $<$<CONFIG:Release>:-O3> -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms on string concatenation: GCC bugs 105651, 105329.
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow)
  endif()
  target_compile_definitions(${target} PRIVATE TAPE_VERSION="${PROJECT_VERSION}")
  if(TAPE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${TAPE_SANITIZE} -fno-sanitize-recover=all -g1)
    target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS) # out-of-range indices within one allocation too
    target_link_options(${target} PRIVATE -fsanitize=${TAPE_SANITIZE})
    if(TAPE_SANITIZE MATCHES "thread")
      # libgomp is not instrumented, so its barriers are invisible to the sanitizer: see data/parallel.cpp.
      target_compile_definitions(${target} PRIVATE TAPE_THREAD_SANITIZER)
    endif()
  endif()
endfunction()

function(tape_library name)
  cmake_parse_arguments(arg "INTERNAL" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(tape_${name} STATIC ${arg_SOURCES})
  add_library(tape::${name} ALIAS tape_${name})
  set_target_properties(tape_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(tape_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/tape>)
  target_link_libraries(tape_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  tape_compile_options(tape_${name})
  if(NOT arg_INTERNAL)
    set_property(GLOBAL APPEND PROPERTY TAPE_LIBRARIES tape_${name})
  endif()
endfunction()

function(tape_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  tape_compile_options(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  set_property(GLOBAL APPEND PROPERTY TAPE_PROGRAMS ${name})
endfunction()

function(tape_test name)
  cmake_parse_arguments(arg "TORCH" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest_main)
  tape_compile_options(${name})
  target_compile_definitions(${name} PRIVATE TAPE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "TAPE_BIN=${CMAKE_BINARY_DIR}/bin;TAPE_DATA=${PROJECT_SOURCE_DIR}/data" TIMEOUT 900)
  if(arg_TORCH)
    set_tests_properties(${name} PROPERTIES LABELS torch)
    tape_uses_torch(${name})
  endif()
endfunction()

# Torch translation units share one lean precompiled header per target and the two-slot pool.
function(tape_uses_torch target)
  # at::parallel_for is a template: without OpenMP in this target it runs on one thread. Eigen stays on one: the callers
  # share out its products.
  target_link_libraries(${target} PRIVATE torch OpenMP::OpenMP_CXX)
  target_compile_definitions(${target} PRIVATE EIGEN_DONT_PARALLELIZE)
  target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/learn/torch_pch.hpp)
  set_target_properties(${target} PROPERTIES JOB_POOL_COMPILE tape_torch_pool)
endfunction()
