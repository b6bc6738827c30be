#include "cli/process.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nmp::cli {

Result<int> run_process(const ProcessOptions& options) {
  std::vector<char*> argv;
  auto arguments = options.arguments;
  argv.reserve(arguments.size() + 1);
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  auto ours = options.environment;
  std::vector<char*> envp;
  envp.reserve(ours.size());
  for (auto& variable : ours) envp.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const auto name = text.substr(0, std::min(text.find('='), text.size()) + 1);
    if (std::ranges::none_of(options.environment, [&](const std::string& o) { return o.starts_with(name); }))
      envp.push_back(*variable);
  }
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return fail(Errc::io, "posix_spawn_file_actions_init");
  int code = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  if (code == 0 && !options.folder.empty())
    code = posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  pid_t child = 0;
  if (code == 0) code = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (code == ENOENT) return fail(Errc::not_found, options.arguments[0]);
  if (code != 0) return fail(Errc::io, options.arguments[0] + ": " + std::strerror(code));

  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail(Errc::io, "waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string find_program(const std::vector<std::string>& names) {
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/bin:/bin";
  for (const auto& name : names) {
    if (name.find('/') != std::string::npos) {
      if (::access(name.c_str(), X_OK) == 0) return name;
      continue;
    }
    for (std::size_t at = 0; at <= path.size();) {
      const auto end = std::min(path.find(':', at), path.size());
      const auto file = path.substr(at, end - at) + "/" + name;
      if (end > at && ::access(file.c_str(), X_OK) == 0) return file;
      at = end + 1;
    }
  }
  return {};
}

}  // namespace nmp::cli
