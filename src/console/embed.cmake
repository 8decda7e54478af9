# Writes a C file with every file below ASSETS, as it is and compressed, and a table of them.
# Run as: cmake -DASSETS=<folder> -DOUTPUT=<file.c> -P embed.cmake
cmake_minimum_required(VERSION 3.20)

set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_png "image/png")
set(type_woff2 "font/woff2")
set(type_json "application/json")

# Appends "static const unsigned char name[] = {...};" with the bytes of file to the variable out.
function(append_bytes name file out)
    file(READ ${file} hex HEX)
    if(name MATCHES "^gzip_")
        # Bytes 4 to 7 of a gzip head are the time; equal files shall give equal programs.
        string(SUBSTRING "${hex}" 0 8 head)
        string(SUBSTRING "${hex}" 16 -1 rest)
        set(hex "${head}00000000${rest}")
    endif()
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    # Twenty bytes a line: some tools dislike a line of a megabyte.
    string(REPEAT "....." 20 line)
    string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
    string(APPEND ${out} "static const unsigned char ${name}[] = {\n${bytes}};\n\n")
    set(${out} "${${out}}" PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE ${ASSETS} ${ASSETS}/*)
list(SORT files)
if(NOT "index.html" IN_LIST files)
    message(FATAL_ERROR "${ASSETS} has no index.html: run `npm run build` in web/")
endif()

set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS files)
    get_filename_component(extension ${file} LAST_EXT)
    string(SUBSTRING "${extension}" 1 -1 extension)
    if(NOT DEFINED type_${extension})
        message(FATAL_ERROR "${file}: what is the content type of .${extension}?")
    endif()
    file(SHA256 ${ASSETS}/${file} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    append_bytes(bytes_${number} ${ASSETS}/${file} arrays)

    set(packed ${OUTPUT}.gz)
    file(ARCHIVE_CREATE OUTPUT ${packed} PATHS ${ASSETS}/${file} FORMAT raw COMPRESSION GZip
        COMPRESSION_LEVEL 9)
    file(SIZE ${ASSETS}/${file} plain_size)
    file(SIZE ${packed} packed_size)
    set(gzip "NULL, 0")
    if(packed_size LESS plain_size)
        append_bytes(gzip_${number} ${packed} arrays)
        set(gzip "gzip_${number}, sizeof(gzip_${number})")
    endif()
    file(REMOVE ${packed})

    set(path "/${file}")
    if(file STREQUAL "index.html")
        set(path "/")
    endif()
    set(immutable false)
    if(file MATCHES "^assets/")
        set(immutable true) # their names carry a hash of their content
    endif()
    string(APPEND rows "    {\"${path}\", \"${type_${extension}}\",\n"
        "     bytes_${number}, sizeof(bytes_${number}), ${gzip},\n"
        "     \"\\\"${hash}\\\"\", ${immutable}},\n")
    math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUTPUT}.new "/* Made by embed.cmake from the console's built files. */
#include \"console/console_priv.h\"

${arrays}static const struct asset assets[] = {
${rows}};

const struct asset_set console_assets = {assets, sizeof(assets) / sizeof(assets[0]), console_csp};
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
