/// Just enough of wasi-libc's header for a filter to compile natively: there are no preopens, so it opens real paths.
#pragma once

#include <cstddef>
#include <cstdint>

using __wasi_fd_t = int;
struct __wasi_prestat_t {
  struct {
    struct {
      std::size_t pr_name_len;
    } dir;
  } u;
};
inline constexpr int __WASI_ERRNO_SUCCESS = 0;
inline int __wasi_fd_prestat_get(__wasi_fd_t, __wasi_prestat_t*) { return 8; }
inline int __wasi_fd_prestat_dir_name(__wasi_fd_t, std::uint8_t*, std::size_t) { return 8; }
