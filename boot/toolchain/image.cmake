# CMake toolchain file of the image: clang 19 for bare x86-64, linked by GNU ld directly (clang's link driver would call the
# host's g++). Flags that code depends on are in flags.cmake, so that a change to them reaches build trees that exist.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

foreach(language C CXX ASM)
    set(CMAKE_${language}_COMPILER_TARGET x86_64-unknown-none-elf)
endforeach()
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_AR llvm-ar-19 CACHE FILEPATH "")
set(CMAKE_RANLIB llvm-ranlib-19 CACHE FILEPATH "")

# CMake's compiler checks must not try to link a program.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_CXX_LINK_EXECUTABLE "ld <LINK_FLAGS> <OBJECTS> -o <TARGET> --start-group <LINK_LIBRARIES> --end-group")
set(CMAKE_C_LINK_EXECUTABLE "${CMAKE_CXX_LINK_EXECUTABLE}")
