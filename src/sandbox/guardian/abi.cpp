#include "sandbox/guardian/abi.hpp"

namespace nmp::guardian {

namespace {

constexpr AbiFunction kFunctions[] = {
    {kWasiModule, "args_get", "ii>i"},
    {kWasiModule, "args_sizes_get", "ii>i"},
    {kWasiModule, "environ_get", "ii>i"},
    {kWasiModule, "environ_sizes_get", "ii>i"},
    {kWasiModule, "clock_res_get", "ii>i"},
    {kWasiModule, "clock_time_get", "iIi>i"},
    {kWasiModule, "fd_advise", "iIIi>i"},
    {kWasiModule, "fd_allocate", "iII>i"},
    {kWasiModule, "fd_close", "i>i"},
    {kWasiModule, "fd_datasync", "i>i"},
    {kWasiModule, "fd_fdstat_get", "ii>i"},
    {kWasiModule, "fd_fdstat_set_flags", "ii>i"},
    {kWasiModule, "fd_fdstat_set_rights", "iII>i"},
    {kWasiModule, "fd_filestat_get", "ii>i"},
    {kWasiModule, "fd_filestat_set_size", "iI>i"},
    {kWasiModule, "fd_filestat_set_times", "iIIi>i"},
    {kWasiModule, "fd_pread", "iiiIi>i"},
    {kWasiModule, "fd_prestat_get", "ii>i"},
    {kWasiModule, "fd_prestat_dir_name", "iii>i"},
    {kWasiModule, "fd_pwrite", "iiiIi>i"},
    {kWasiModule, "fd_read", "iiii>i"},
    {kWasiModule, "fd_readdir", "iiiIi>i"},
    {kWasiModule, "fd_renumber", "ii>i"},
    {kWasiModule, "fd_seek", "iIii>i"},
    {kWasiModule, "fd_sync", "i>i"},
    {kWasiModule, "fd_tell", "ii>i"},
    {kWasiModule, "fd_write", "iiii>i"},
    {kWasiModule, "path_create_directory", "iii>i"},
    {kWasiModule, "path_filestat_get", "iiiii>i"},
    {kWasiModule, "path_filestat_set_times", "iiiiIIi>i"},
    {kWasiModule, "path_link", "iiiiiii>i"},
    {kWasiModule, "path_open", "iiiiiIIii>i"},
    {kWasiModule, "path_readlink", "iiiiii>i"},
    {kWasiModule, "path_remove_directory", "iii>i"},
    {kWasiModule, "path_rename", "iiiiii>i"},
    {kWasiModule, "path_symlink", "iiiii>i"},
    {kWasiModule, "path_unlink_file", "iii>i"},
    {kWasiModule, "poll_oneoff", "iiii>i"},
    {kWasiModule, "proc_exit", "i>"},
    {kWasiModule, "proc_raise", "i>i"},
    {kWasiModule, "random_get", "ii>i"},
    {kWasiModule, "sched_yield", ">i"},
    {kWasiModule, "sock_accept", "iii>i"},
    {kWasiModule, "sock_recv", "iiiiii>i"},
    {kWasiModule, "sock_send", "iiiii>i"},
    {kWasiModule, "sock_shutdown", "ii>i"},
    {kNmpModule, "push_event", "ii>"},
    {kNmpModule, "try_event", "ii>i"},
    {kNmpModule, "input_size", "ii>I"},
    {kNmpModule, "input_read", "iiIii>i"},
    {kNmpModule, "state_get", "ii>i"},
    {kNmpModule, "state_put", "ii>i"},
    {kNmpModule, "wait", "Ii>i"},
};

}  // namespace

std::span<const AbiFunction> abi_functions() { return kFunctions; }

const AbiFunction* find_abi_function(std::string_view module, std::string_view name) {
  for (const auto& function : kFunctions)
    if (function.name == name && function.module == module) return &function;
  return nullptr;
}

}  // namespace nmp::guardian
