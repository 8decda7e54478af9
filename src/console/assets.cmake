# The console's page is part of the program. Its built files are kept in src/console/assets (made by
# `npm run build` in web/), so that building the server needs no Node; here they become one C file.
file(GLOB_RECURSE console_assets CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/assets/*)
set(console_assets_c ${CMAKE_CURRENT_BINARY_DIR}/console/assets.c)
add_custom_command(
    OUTPUT ${console_assets_c}
    COMMAND ${CMAKE_COMMAND} -DASSETS=${CMAKE_CURRENT_LIST_DIR}/assets -DOUTPUT=${console_assets_c}
        -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${console_assets} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    COMMENT "Embedding the console"
    VERBATIM)
target_sources(recado_console PRIVATE ${console_assets_c})
