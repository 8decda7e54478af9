# One set of flags for everything that is ours: warnings are errors.
add_library(recado_flags INTERFACE)
target_compile_definitions(recado_flags INTERFACE _GNU_SOURCE)
target_include_directories(recado_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(recado_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wcast-align -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wconversion
    -Wno-sign-conversion -fno-strict-aliasing -fno-omit-frame-pointer)
if(RECADO_SANITIZE)
    target_compile_options(recado_flags INTERFACE
        -fsanitize=${RECADO_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(recado_flags INTERFACE -fsanitize=${RECADO_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(recado_flags INTERFACE -O3 -fstack-protector-strong)
    target_compile_definitions(recado_flags INTERFACE _FORTIFY_SOURCE=2)
    target_link_options(recado_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(RECADO_COVERAGE)
    target_compile_options(recado_flags INTERFACE --coverage)
    target_link_options(recado_flags INTERFACE --coverage)
endif()
