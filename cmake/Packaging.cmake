# What is installed where, and the Debian package (`make deb`).
include(GNUInstallDirs)

install(FILES packaging/grafana-dashboard.json packaging/recado.service packaging/recado.yaml
    DESTINATION ${CMAKE_INSTALL_DATADIR}/recado)
# The folders stay, so that the pages' links to each other lead somewhere.
install(FILES LICENSE README.md README.pt-BR.md CONTRIBUTING.md
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING
    PATTERN "*.md" PATTERN "*.yaml")
install(FILES packaging/grafana-dashboard.json DESTINATION ${CMAKE_INSTALL_DOCDIR}/packaging)

# The places of a system's own package; `make install` leaves them alone.
install(FILES packaging/recado.yaml DESTINATION /etc/recado
    COMPONENT system EXCLUDE_FROM_ALL)
install(FILES packaging/recado.service DESTINATION /usr/lib/systemd/system
    COMPONENT system EXCLUDE_FROM_ALL)
install(FILES packaging/recado.sysusers DESTINATION /usr/lib/sysusers.d RENAME recado.conf
    COMPONENT system EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME recado)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "real-time hub for WebSocket, SSE and Centrifuge clients")
set(CPACK_PACKAGE_DESCRIPTION "Recado keeps a live connection to every client of an application and\
 moves events from back ends, models and other clients to them: at once, in order, per tenant, and\
 resumable after any disconnect.")
set(CPACK_PACKAGE_CONTACT "The Recado developers <recado@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL Unspecified system)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/packaging/debian/postinst;${CMAKE_SOURCE_DIR}/packaging/debian/prerm;${CMAKE_SOURCE_DIR}/packaging/debian/postrm;${CMAKE_SOURCE_DIR}/packaging/debian/conffiles")
include(CPack)
