# Libraries from the distribution; DESIGN says which one serves what.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(JOSE REQUIRED IMPORTED_TARGET jose jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(STATGRAB REQUIRED IMPORTED_TARGET libstatgrab)

# llhttp: Debian 13 has a library, Debian 12 ships its C sources with node-llhttp.
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp /usr/include REQUIRED)
find_library(LLHTTP_LIBRARY llhttp)
if(LLHTTP_LIBRARY)
    add_library(llhttp INTERFACE)
    target_link_libraries(llhttp INTERFACE ${LLHTTP_LIBRARY})
    target_include_directories(llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE})
else()
    find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp REQUIRED)
    add_library(llhttp STATIC
        ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c)
    target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
    target_compile_options(llhttp PRIVATE -O3 -w)
endif()
