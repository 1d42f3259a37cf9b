# qi::seccomp: libseccomp, linked statically so that an installed package needs nothing from the host.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(SECCOMP QUIET libseccomp)
endif()
find_path(QI_SECCOMP_INCLUDE seccomp.h HINTS ${SECCOMP_INCLUDE_DIRS})
find_library(QI_SECCOMP_LIBRARY libseccomp.a HINTS ${SECCOMP_LIBRARY_DIRS} ${SECCOMP_LIBDIR})
if(NOT QI_SECCOMP_INCLUDE OR NOT QI_SECCOMP_LIBRARY)
  message(FATAL_ERROR "libseccomp headers or static library not found. Install libseccomp-dev (Debian, Ubuntu), "
    "libseccomp-devel and libseccomp-static (Fedora, RHEL) or libseccomp-dev and libseccomp-static (Alpine); "
    "scripts/setup.sh does it for you.")
endif()
add_library(qi::seccomp STATIC IMPORTED)
set_target_properties(qi::seccomp PROPERTIES
  IMPORTED_LOCATION ${QI_SECCOMP_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${QI_SECCOMP_INCLUDE})
