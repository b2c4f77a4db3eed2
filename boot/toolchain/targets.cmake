# The functions that the folders' CMakeLists.txt use.
#
# A folder is one target, named after its path: kernel/base is kernel_base, drivers/nvme is drivers_nvme.
# DEPENDS names such targets, or newlib, mbedcrypto, zydis, rapidjson. A dependency is public.

# undercroft_library(<name> [SOURCES ...] [DEPENDS ...]): a static library, or an interface library where there are no sources.
function(undercroft_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "undercroft_library(${name}): what is '${arg_UNPARSED_ARGUMENTS}'?")
    endif()
    if(arg_SOURCES)
        add_library(${name} STATIC ${arg_SOURCES})
        set(scope PUBLIC)
    else()
        add_library(${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${name} ${scope} ${UNDERCROFT_ROOT})
    target_link_libraries(${name} ${scope} ${arg_DEPENDS})
    undercroft_remember_dependencies(${name} ${arg_DEPENDS})
endfunction()

# undercroft_data_path(<target or source>...): what runs for every request or exit. In the image it is compiled for speed, and the
# rest for size: the image has a limit. Call it behind undercroft_library, in the same folder.
function(undercroft_data_path)
    if(NOT UNDERCROFT_ENVIRONMENT STREQUAL "image")
        return()
    endif()
    foreach(item ${ARGN})
        if(TARGET ${item})
            # Without SHELL: the option is dropped as one that is there already.
            target_compile_options(${item} PRIVATE "SHELL:-O2")
        else()
            set_property(SOURCE ${item} APPEND PROPERTY COMPILE_OPTIONS -O2)
        endif()
    endforeach()
endfunction()

# undercroft_unit_test(SOURCES ... [DEPENDS ...]): adds to the one binary unit_tests (host only).
# Test sources have exceptions, which Catch2's REQUIRE throws; the code under test has not.
# Configure with -DUNDERCROFT_TEST_FILTER=REGEX to build the tests of some folders alone.
function(undercroft_unit_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "SOURCES;DEPENDS")
    if(NOT TARGET unit_tests)
        return()
    endif()
    if(UNDERCROFT_TEST_FILTER AND NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "${UNDERCROFT_TEST_FILTER}")
        return()
    endif()
    list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    target_sources(unit_tests PRIVATE ${arg_SOURCES})
    target_link_libraries(unit_tests PRIVATE ${arg_DEPENDS})
    undercroft_remember_dependencies(unit_tests ${arg_DEPENDS})
endfunction()

# undercroft_test_program(<name> SOURCES ... [DEPENDS ...]): a Catch2 program of its own (host only), for suites that must not
# share a process with the unit tests. `./undercroft test` runs every one of them.
function(undercroft_test_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS")
    if(NOT UNDERCROFT_ENVIRONMENT STREQUAL "host")
        return()
    endif()
    add_executable(${name} ${arg_SOURCES} $<TARGET_OBJECTS:catch_main>)
    target_compile_options(${name} PRIVATE $<${undercroft_cxx}:-fexceptions>)
    target_include_directories(${name} PRIVATE ${UNDERCROFT_ROOT})
    target_link_libraries(${name} PRIVATE ${arg_DEPENDS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    undercroft_remember_dependencies(${name} ${arg_DEPENDS})
endfunction()

# undercroft_fuzz_target(<name> SOURCES ... [DEPENDS ...]): a libFuzzer program in fuzz/ (preset host-asan only).
# A folder corpus/ beside the CMakeLists.txt, or corpus/<name>, holds seeds.
function(undercroft_fuzz_target name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS")
    if(NOT UNDERCROFT_SANITIZE STREQUAL "asan")
        return()
    endif()
    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} PRIVATE ${UNDERCROFT_ROOT})
    # Debian's libFuzzer runtime is built on libstdc++; a plain -lstdc++ is what clang replaces by -lc++.
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${arg_DEPENDS} -Wl,-lstdc++)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    undercroft_remember_dependencies(${name} ${arg_DEPENDS})
endfunction()

# undercroft_image(<name> LINKER_SCRIPT <file> SOURCES ... [DEPENDS ...] [EMBEDS <image>...]): <build>/<name>.elf (image only).
# An embedded image is stripped and lies in section .rodata.embedded between embedded_<image>_begin and embedded_<image>_end.
function(undercroft_image name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "LINKER_SCRIPT" "SOURCES;DEPENDS;EMBEDS")
    if(NOT UNDERCROFT_ENVIRONMENT STREQUAL "image")
        return()
    endif()
    get_filename_component(script ${arg_LINKER_SCRIPT} ABSOLUTE)
    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} PRIVATE ${UNDERCROFT_ROOT})
    target_link_libraries(${name} PRIVATE ${arg_DEPENDS} newlib)
    target_link_options(${name} PRIVATE -nostdlib -static -z max-page-size=4096 --gc-sections --build-id=none
        --no-warn-execstack --no-warn-rwx-segments -T ${script} -Map=${CMAKE_BINARY_DIR}/${name}.map)
    set_target_properties(${name} PROPERTIES SUFFIX .elf RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
        LINK_DEPENDS ${script})
    foreach(embedded ${arg_EMBEDS})
        undercroft_embed(${name} ${embedded})
    endforeach()
    undercroft_remember_dependencies(${name} ${arg_DEPENDS})
endfunction()

function(undercroft_embed target image)
    set(stripped ${CMAKE_BINARY_DIR}/embedded/${image}.elf)
    set(assembly ${CMAKE_BINARY_DIR}/embedded/${image}.S)
    add_custom_command(OUTPUT ${stripped} DEPENDS ${image} VERBATIM
        COMMAND strip --strip-all -o ${stripped} $<TARGET_FILE:${image}>)
    file(CONFIGURE OUTPUT ${assembly} @ONLY CONTENT [[
    .section .rodata.embedded, "a", @progbits
    .balign 4096
    .globl embedded_@image@_begin, embedded_@image@_end
embedded_@image@_begin:
    .incbin "@stripped@"
embedded_@image@_end:
    .section .note.GNU-stack, "", @progbits
]])
    set_source_files_properties(${assembly} PROPERTIES OBJECT_DEPENDS ${stripped})
    target_sources(${target} PRIVATE ${assembly})
endfunction()

# A misspelt dependency would become a file name on the linker's command line; name it while configuring instead.
function(undercroft_remember_dependencies target)
    foreach(dependency ${ARGN})
        set_property(GLOBAL APPEND PROPERTY undercroft_dependencies "${target}:${dependency}")
    endforeach()
endfunction()

function(undercroft_check_dependencies)
    get_property(pairs GLOBAL PROPERTY undercroft_dependencies)
    foreach(pair ${pairs})
        string(REPLACE ":" ";" pair "${pair}")
        list(GET pair 0 target)
        list(GET pair 1 dependency)
        if(NOT TARGET ${dependency} AND NOT dependency MATCHES "^-l")
            message(WARNING "${target} depends on ${dependency}, which no CMakeLists.txt makes")
        endif()
    endforeach()
endfunction()

if(UNDERCROFT_ENVIRONMENT STREQUAL "host")
    # Catch2 reports a failed REQUIRE by an exception; nothing else here has them.
    # Unit tests run once for each time that they are compiled: without optimisation, and without what fuzz targets count, both together take
    # half the time.
    set(undercroft_quick)
    if(UNDERCROFT_SANITIZE STREQUAL "asan")
        set(undercroft_quick -O0 -fno-sanitize=fuzzer-no-link)
    endif()
    add_library(catch_main OBJECT ${UNDERCROFT_ROOT}/tests/support/catch_main.cpp)
    target_compile_options(catch_main PRIVATE -fexceptions ${undercroft_quick})
    add_executable(unit_tests $<TARGET_OBJECTS:catch_main>)
    target_compile_options(unit_tests PRIVATE $<${undercroft_cxx}:-fexceptions> ${undercroft_quick})
    target_include_directories(unit_tests PRIVATE ${UNDERCROFT_ROOT})
    # A third of the time that most unit tests take to compile.
    target_precompile_headers(unit_tests PRIVATE <catch2/catch.hpp>)
    set_target_properties(unit_tests PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()
