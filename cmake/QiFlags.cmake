# One interface target, qi_flags, that every target of ours links: warnings, hardening, include root, sanitizers.
add_library(qi_flags INTERFACE)
target_include_directories(qi_flags INTERFACE ${CMAKE_SOURCE_DIR}/native)
target_compile_options(qi_flags INTERFACE
  -Wall -Wextra -Werror -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector-strong)
target_link_options(qi_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--gc-sections)

include(CheckCXXCompilerFlag)
foreach(flag -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "QI_HAS${flag}" has)
  check_cxx_compiler_flag("-Werror ${flag}" ${has})
  if(${has})
    target_compile_options(qi_flags INTERFACE ${flag})
  endif()
endforeach()

if(QI_SANITIZE OR QI_FUZZ)
  set(sanitizers address,undefined)
  if(QI_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      message(FATAL_ERROR "QI_FUZZ needs clang: cmake -DQI_FUZZ=ON -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++")
    endif()
    set(sanitizers fuzzer-no-link,address,undefined)
  endif()
  # vptr checks need the type information that our libraries are built without.
  target_compile_options(qi_flags INTERFACE
    -fsanitize=${sanitizers} -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(qi_flags INTERFACE -fsanitize=${sanitizers})
else()
  # Some distributions predefine another level, and redefining it is a warning; fortify needs the optimiser.
  target_compile_options(qi_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
