# Targets newlib, mbedcrypto, zydis, rapidjson. third_party.sh has built what stands behind them; here only the names are made,
# so a tree configures before the libraries are there and fails when it compiles.

function(undercroft_third_party name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARIES;DEFINITIONS;OPTIONS")
    add_library(${name} INTERFACE)
    target_include_directories(${name} SYSTEM INTERFACE ${UNDERCROFT_THIRD_PARTY}/include)
    target_compile_definitions(${name} INTERFACE ${arg_DEFINITIONS})
    target_compile_options(${name} INTERFACE ${arg_OPTIONS})
    foreach(library ${arg_LIBRARIES})
        target_link_libraries(${name} INTERFACE ${UNDERCROFT_THIRD_PARTY}/${UNDERCROFT_ENVIRONMENT}/${library})
    endforeach()
endfunction()

undercroft_third_party(mbedcrypto LIBRARIES lib/libmbedcrypto.a
    DEFINITIONS MBEDTLS_CONFIG_FILE=<undercroft_mbedtls_config.h>)
undercroft_third_party(zydis LIBRARIES lib/libzydis.a
    DEFINITIONS ZYAN_NO_LIBC ZYDIS_STATIC_BUILD ZYCORE_STATIC_BUILD ZYDIS_DISABLE_FORMATTER ZYDIS_DISABLE_ENCODER
                ZYDIS_DISABLE_AVX512 ZYDIS_DISABLE_KNC)
# Flags in pointers' top 16 bits do not survive at higher-half addresses. Its arithmetic on a null begin pointer is harmless.
undercroft_third_party(rapidjson DEFINITIONS RAPIDJSON_48BITPOINTER_OPTIMIZATION=0)
if(UNDERCROFT_SANITIZE STREQUAL "asan")
    target_compile_options(rapidjson INTERFACE -fno-sanitize=pointer-overflow)
endif()

# On the host this is the C library that is there anyway.
add_library(newlib INTERFACE)
if(UNDERCROFT_ENVIRONMENT STREQUAL "image")
    target_link_libraries(newlib INTERFACE
        ${UNDERCROFT_THIRD_PARTY}/image/newlib/lib/libc.a ${UNDERCROFT_THIRD_PARTY}/image/newlib/lib/libm.a)
endif()
