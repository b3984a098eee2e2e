# Installation and export: find_package(tape) gives tape::data, tape::align, ...
include(CMakePackageConfigHelpers)
get_property(tape_libraries GLOBAL PROPERTY TAPE_LIBRARIES)
get_property(tape_programs GLOBAL PROPERTY TAPE_PROGRAMS)

install(TARGETS ${tape_libraries} EXPORT tape-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
if(tape_programs)
  install(TARGETS ${tape_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  # Manual pages and completions come from the programs' own option tables.
  set(tape_generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
  install(CODE "
    file(MAKE_DIRECTORY \"${tape_generated}\")
    foreach(program ${tape_programs})
      foreach(kind man completion)
        execute_process(COMMAND \"${CMAKE_BINARY_DIR}/bin/\${program}\" --print-\${kind}
                        OUTPUT_FILE \"${tape_generated}/\${program}.\${kind}\" COMMAND_ERROR_IS_FATAL ANY)
      endforeach()
    endforeach()")
  foreach(program IN LISTS tape_programs)
    install(FILES ${tape_generated}/${program}.man DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME ${program}.1)
    install(FILES ${tape_generated}/${program}.completion DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
            RENAME ${program})
  endforeach()
endif()
install(DIRECTORY data align features learn compare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tape COMPONENT development FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY data/tape data/starter data/msa data/weights DESTINATION ${CMAKE_INSTALL_DATADIR}/tape/data)
install(FILES data/CHECKSUMS data/SOURCES.md DESTINATION ${CMAKE_INSTALL_DATADIR}/tape/data)
install(EXPORT tape-targets NAMESPACE tape:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tape COMPONENT development)
configure_package_config_file(cmake/tape-config.cmake.in tape-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tape)
write_basic_package_version_file(tape-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tape-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/tape-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tape COMPONENT development)
