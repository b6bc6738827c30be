#include "sandbox/guest_api.hpp"

#include <algorithm>

#include "sandbox/guardian/abi.hpp"

namespace nmp::sandbox {

namespace {

struct Named {
  std::string_view name;
  GuestApi::Function function;
};

constexpr Named kWasi[] = {
    {"args_get", &GuestApi::args_get},
    {"args_sizes_get", &GuestApi::args_sizes_get},
    {"environ_get", &GuestApi::environ_get},
    {"environ_sizes_get", &GuestApi::environ_sizes_get},
    {"clock_res_get", &GuestApi::clock_res_get},
    {"clock_time_get", &GuestApi::clock_time_get},
    {"fd_advise", &GuestApi::fd_advise},
    {"fd_allocate", &GuestApi::write_like},
    {"fd_close", &GuestApi::fd_close},
    {"fd_datasync", &GuestApi::fd_sync},
    {"fd_fdstat_get", &GuestApi::fd_fdstat_get},
    {"fd_fdstat_set_flags", &GuestApi::fd_fdstat_set_flags},
    {"fd_fdstat_set_rights", &GuestApi::fd_fdstat_set_rights},
    {"fd_filestat_get", &GuestApi::fd_filestat_get},
    {"fd_filestat_set_size", &GuestApi::write_like},
    {"fd_filestat_set_times", &GuestApi::write_like},
    {"fd_pread", &GuestApi::fd_pread},
    {"fd_prestat_get", &GuestApi::fd_prestat_get},
    {"fd_prestat_dir_name", &GuestApi::fd_prestat_dir_name},
    {"fd_pwrite", &GuestApi::write_like},
    {"fd_read", &GuestApi::fd_read},
    {"fd_readdir", &GuestApi::fd_readdir},
    {"fd_renumber", &GuestApi::fd_renumber},
    {"fd_seek", &GuestApi::fd_seek},
    {"fd_sync", &GuestApi::fd_sync},
    {"fd_tell", &GuestApi::fd_tell},
    {"fd_write", &GuestApi::fd_write},
    {"path_create_directory", &GuestApi::write_like},
    {"path_filestat_get", &GuestApi::path_filestat_get},
    {"path_filestat_set_times", &GuestApi::write_like},
    {"path_link", &GuestApi::write_like},
    {"path_open", &GuestApi::path_open},
    {"path_readlink", &GuestApi::path_readlink},
    {"path_remove_directory", &GuestApi::write_like},
    {"path_rename", &GuestApi::write_like},
    {"path_symlink", &GuestApi::path_symlink},
    {"path_unlink_file", &GuestApi::write_like},
    {"poll_oneoff", &GuestApi::poll_oneoff},
    {"proc_exit", &GuestApi::proc_exit},
    {"proc_raise", &GuestApi::no_signals},
    {"random_get", &GuestApi::random_get},
    {"sched_yield", &GuestApi::sched_yield},
    {"sock_accept", &GuestApi::no_sockets},
    {"sock_recv", &GuestApi::no_sockets},
    {"sock_send", &GuestApi::no_sockets},
    {"sock_shutdown", &GuestApi::no_sockets},
};

constexpr Named kNmp[] = {
    {"push_event", &GuestApi::push_event},
    {"try_event", &GuestApi::try_event},
    {"input_size", &GuestApi::input_size},
    {"input_read", &GuestApi::input_read},
    {"state_get", &GuestApi::state_get},
    {"state_put", &GuestApi::state_put},
    {"wait", &GuestApi::wait},
};

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty() && out.size() < kArgumentsMax) {
    const auto end = std::min(text.find('\n'), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

GuestApi::GuestApi(GuestOptions options, Outbox& outbox, Instant now)
    : options_(std::move(options)), outbox_(outbox), started_(now) {
  arguments_ = split_lines(text_of(input("args")));
  arguments_.insert(arguments_.begin(), "filter");
  if (options_.seed) seeded_.emplace(*options_.seed);
  for (const auto& [name, value] : options_.inputs) used_.input_bytes += name.size() + value.size();

  Descriptor in;
  in.stream = Stream::in;
  in.rights = wasi::kRightFdRead | wasi::kRightPollFdReadwrite | wasi::kRightFdFilestatGet;
  descriptors_.emplace_back(std::move(in));
  for (auto stream : {Stream::out, Stream::err}) {
    Descriptor to;
    to.stream = stream;
    to.rights = wasi::kRightFdWrite | wasi::kRightPollFdReadwrite | wasi::kRightFdFilestatGet;
    descriptors_.emplace_back(std::move(to));
  }
  if (options_.watch) seen_.resize(options_.watch->live.size(), UINT64_MAX);
  for (const auto& dataset : options_.datasets) {
    Descriptor folder;
    folder.dataset = dataset;
    folder.preopen = true;
    folder.rights = wasi::kDirectoryRights;
    folder.inheriting = wasi::kDirectoryRights | wasi::kFileRights;
    descriptors_.emplace_back(std::move(folder));
  }
  refresh_datasets();
}

GuestApi::Function GuestApi::find(std::string_view module, std::string_view name) {
  if (module == guardian::kWasiModule) {
    for (const auto& entry : kWasi)
      if (entry.name == name) return entry.function;
  } else if (module == guardian::kNmpModule) {
    for (const auto& entry : kNmp)
      if (entry.name == name) return entry.function;
  }
  return nullptr;
}

bool GuestApi::may_wait(std::string_view module, std::string_view name) {
  if (module == guardian::kNmpModule) return name == "push_event" || name == "wait" || name == "state_put";
  return name == "fd_write" || name == "poll_oneoff";
}

Reply GuestApi::stop(Errc code, std::string context) {
  stop_ = Stop{.error = Error{make_error_code(code), std::move(context)}, .exit_code = 0};
  return {.kind = Reply::Kind::stop};
}

Reply GuestApi::wait_until(Instant at) {
  wake_at_ = at;
  return {.kind = Reply::Kind::wait};
}

ByteView GuestApi::input(std::string_view name) const {
  const auto it = options_.inputs.find(std::string(name));
  return it == options_.inputs.end() ? ByteView() : ByteView(it->second);
}

}  // namespace nmp::sandbox
