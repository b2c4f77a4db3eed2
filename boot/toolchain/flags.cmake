# Compiler flags of both environments, as directory options: every target of the tree gets them, whoever adds it.
#
# image-flags.txt holds what newlib, mbedTLS and Zydis must share with our own code; third_party.sh reads the same file.
#   -mno-red-zone           interrupts use the running stack
#   -mno-implicit-float     no vector register in code that did not ask for one
#   -nostdlibinc            clang searches /usr/include for this target by default; glibc's headers must not leak in
#   -D__DYNAMIC_REENT__     newlib's per-CPU state goes through __getreent()
#   -fno-omit-frame-pointer a panic prints a backtrace

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(undercroft_cxx "$<COMPILE_LANGUAGE:CXX>")
set(undercroft_c_or_cxx "$<COMPILE_LANGUAGE:C,CXX>")

add_compile_options(
    $<${undercroft_c_or_cxx}:-Wall> $<${undercroft_c_or_cxx}:-Wextra> $<${undercroft_c_or_cxx}:-Werror>
    $<${undercroft_cxx}:-fno-exceptions> $<${undercroft_cxx}:-fno-rtti>)
# UNDERCROFT_IMAGE or UNDERCROFT_HOST, for the few lines that differ.
string(TOUPPER "${UNDERCROFT_ENVIRONMENT}" environment_name)
add_compile_definitions(UNDERCROFT_${environment_name}=1)

function(undercroft_image_flags)
    set(flags_file ${UNDERCROFT_ROOT}/boot/toolchain/image-flags.txt)
    set_property(DIRECTORY ${UNDERCROFT_ROOT} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${flags_file})
    file(STRINGS ${flags_file} flags)
    # Our own code is compiled for size, but for what undercroft_data_path names.
    list(APPEND flags -Oz)
    # As clang does for C++ on Linux: newlib declares all it has, vsniprintf among it.
    list(APPEND flags -D_GNU_SOURCE)
    set_property(DIRECTORY ${UNDERCROFT_ROOT} APPEND PROPERTY COMPILE_OPTIONS
        ${flags} -Wno-unused-command-line-argument
        $<${undercroft_cxx}:-fno-threadsafe-statics> $<${undercroft_cxx}:-fno-use-cxa-atexit> $<${undercroft_cxx}:-nostdinc++>
        # The order is the contract: our __config_site shadows libc++'s, libc++ wraps newlib.
        "$<${undercroft_cxx}:SHELL:-isystem ${UNDERCROFT_ROOT}/boot/runtime/libcxx>"
        "$<${undercroft_cxx}:SHELL:-isystem /usr/lib/llvm-19/include/c++/v1>"
        "SHELL:-isystem ${UNDERCROFT_THIRD_PARTY}/image/newlib/include")
endfunction()

function(undercroft_host_flags)
    set(options -g -fno-omit-frame-pointer)
    set(link_options)
    set(hardening FAST)
    if(UNDERCROFT_SANITIZE STREQUAL "")
        list(APPEND options -O2)
    else()
        set(hardening EXTENSIVE)
        # vptr needs RTTI, which our code does without.
        set(sanitizers -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
        if(UNDERCROFT_SANITIZE STREQUAL "coverage")
            set(sanitizers -fprofile-instr-generate -fcoverage-mapping)
        elseif(UNDERCROFT_SANITIZE STREQUAL "thread")
            set(sanitizers -fsanitize=thread)
        elseif(UNDERCROFT_SANITIZE STREQUAL "asan")
            # One build serves the tests and the fuzz targets: what libFuzzer counts costs less than compiling everything twice.
            list(APPEND options -fsanitize=fuzzer-no-link)
        else()
            message(FATAL_ERROR "UNDERCROFT_SANITIZE is '${UNDERCROFT_SANITIZE}': use asan, thread, coverage or nothing")
        endif()
        list(APPEND options -O1 ${sanitizers})
        list(APPEND link_options ${sanitizers})
    endif()
    set_property(DIRECTORY ${UNDERCROFT_ROOT} APPEND PROPERTY COMPILE_OPTIONS ${options} $<${undercroft_cxx}:-stdlib=libc++>
        $<${undercroft_cxx}:-D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_${hardening}>)
    set_property(DIRECTORY ${UNDERCROFT_ROOT} APPEND PROPERTY LINK_OPTIONS -stdlib=libc++ -fuse-ld=lld-19 ${link_options})
endfunction()

if(UNDERCROFT_ENVIRONMENT STREQUAL "image")
    undercroft_image_flags()
else()
    undercroft_host_flags()
endif()
