# qi-monitor's C library. One that is static starts in every jail anew, and glibc's asks the processor for its features
# and caches some sixty times; in a virtual machine each CPUID is an exit to the hypervisor, together 0.3 ms, a twentieth of
# a launch. musl asks nothing and has a third of the pages. So: musl where its static library and headers are installed
# (musl-dev), else the C library of the compiler. The sources are the same, and the filters that qi-monitor puts on itself
# hold for both: the variant for fault injection is built with the compiler's own, and tested.
set(QI_MONITOR_LIBC auto CACHE STRING "C library of qi-monitor: auto, musl or host")
set_property(CACHE QI_MONITOR_LIBC PROPERTY STRINGS auto musl host)

set(QI_MUSL OFF)
if(QI_MONITOR_LIBC STREQUAL "host" OR QI_SANITIZE OR QI_FUZZ OR CMAKE_CROSSCOMPILING)
  return()
endif()

set(triplet ${CMAKE_SYSTEM_PROCESSOR}-linux-musl)
find_path(QI_MUSL_INCLUDE features.h NO_DEFAULT_PATH
  PATHS /usr/include/${triplet} /usr/${triplet}/include /usr/lib/musl/include /usr/local/musl/include)
find_path(QI_MUSL_LIB rcrt1.o NO_DEFAULT_PATH
  PATHS /usr/lib/${triplet} /usr/${triplet}/lib64 /usr/${triplet}/lib /usr/lib/musl/lib /usr/local/musl/lib)
find_path(QI_KERNEL_LINUX linux/seccomp.h)
find_path(QI_KERNEL_ASM asm/unistd.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE} ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND EXISTS ${QI_MUSL_LIB}/libc.a AND QI_MUSL_INCLUDE AND QI_KERNEL_LINUX
    AND QI_KERNEL_ASM)
  set(QI_MUSL ON)
endif()
if(NOT QI_MUSL)
  if(QI_MONITOR_LIBC STREQUAL "musl")
    message(FATAL_ERROR "QI_MONITOR_LIBC=musl: found no musl with a static library (Debian: musl-dev), or the compiler is not GCC")
  endif()
  return()
endif()

# Nothing of the host's C library may be found by name: of /usr/include only the kernel's own folders.
set(kernel ${CMAKE_BINARY_DIR}/kernel-headers)
file(MAKE_DIRECTORY ${kernel})
file(CREATE_LINK ${QI_KERNEL_LINUX}/linux ${kernel}/linux SYMBOLIC)
file(CREATE_LINK ${QI_KERNEL_LINUX}/asm-generic ${kernel}/asm-generic SYMBOLIC)
file(CREATE_LINK ${QI_KERNEL_ASM}/asm ${kernel}/asm SYMBOLIC)

function(qi_gcc_file name out)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${name} OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${out} ${path} PARENT_SCOPE)
endfunction()
qi_gcc_file(include gcc_include)
qi_gcc_file(crtbeginS.o gcc_begin)
qi_gcc_file(crtendS.o gcc_end)
qi_gcc_file(libgcc.a gcc_lib)

set(standard ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
list(FILTER standard INCLUDE REGEX "/c\\+\\+")
set(QI_MUSL_COMPILE -nostdinc -fno-threadsafe-statics -U_FORTIFY_SOURCE "SHELL:-include ${CMAKE_SOURCE_DIR}/native/libc/musl.h")
foreach(folder ${standard} ${QI_MUSL_INCLUDE} ${gcc_include} ${kernel})
  list(APPEND QI_MUSL_COMPILE "SHELL:-isystem ${folder}")
endforeach()
set(QI_MUSL_START ${QI_MUSL_LIB}/rcrt1.o ${QI_MUSL_LIB}/crti.o ${gcc_begin})
set(QI_MUSL_LIBRARIES ${QI_MUSL_LIB}/libc.a ${gcc_lib} ${gcc_end} ${QI_MUSL_LIB}/crtn.o)

# Makes `name` a static-pie of its own sources and musl.
function(qi_use_musl name)
  target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/native/libc/musl.cc)
  target_compile_options(${name} PRIVATE ${QI_MUSL_COMPILE} -fno-exceptions -fno-rtti)
  target_link_options(${name} PRIVATE -static-pie -nostdlib -nostartfiles ${QI_MUSL_START})
  target_link_libraries(${name} PRIVATE qi_flags ${QI_MUSL_LIBRARIES})
endfunction()
