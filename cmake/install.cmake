# The package nmp-libp2p: the rooms of src/libp2p with what they stand on, as static libraries nmp::libp2p_host and so on.
#   cmake -B build -DNMP_ROOMS=libp2p && cmake --build build && cmake --install build --component libp2p --prefix DIR
# An outside project then says find_package(nmp-libp2p); examples/ are four of them.
if(NOT TARGET nmp_libp2p_host OR NOT TARGET nmp_libp2p_sim)
  return()
endif()
include(CMakePackageConfigHelpers)

get_property(nmp_rooms GLOBAL PROPERTY NMP_ROOM_TARGETS)
set(nmp_package_rooms nmp_base nmp_async nmp_crypto)
foreach(room IN LISTS nmp_rooms)
  if(room MATCHES "^nmp_libp2p_")
    list(APPEND nmp_package_rooms ${room})
  endif()
endforeach()
foreach(room IN LISTS nmp_package_rooms ITEMS nmp_asio)
  string(REGEX REPLACE "^nmp_" "" name ${room})
  set_target_properties(${room} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS ${nmp_package_rooms} nmp_asio EXPORT nmp-libp2p ARCHIVE DESTINATION lib COMPONENT libp2p)
install(EXPORT nmp-libp2p NAMESPACE nmp:: DESTINATION lib/cmake/nmp-libp2p COMPONENT libp2p)
foreach(folder base crypto libp2p)
  install(DIRECTORY src/${folder} DESTINATION include/nmp COMPONENT libp2p FILES_MATCHING PATTERN "*.hpp"
    PATTERN testdata EXCLUDE)
endforeach()
configure_package_config_file(cmake/nmp-libp2p-config.cmake.in ${CMAKE_BINARY_DIR}/nmp-libp2p-config.cmake
  INSTALL_DESTINATION lib/cmake/nmp-libp2p)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/nmp-libp2p-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/nmp-libp2p-config.cmake ${CMAKE_BINARY_DIR}/nmp-libp2p-config-version.cmake
  DESTINATION lib/cmake/nmp-libp2p COMPONENT libp2p)
