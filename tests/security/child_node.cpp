#include "tests/security/child_node.hpp"

#include <csignal>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/async/main_loop.hpp"
#include "server/node.hpp"
#include "tests/security/world.hpp"

namespace nmp::security {

std::unique_ptr<ChildNode> ChildNode::start(const std::filesystem::path& folder,
                                            std::uint8_t key,
                                            std::string more_config) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return nullptr;
  const auto number = std::to_string(key);
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const char* const arguments[] = {self.c_str(),        "--node", folder.c_str(), number.c_str(),
                                   more_config.c_str(), nullptr};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::execv(self.c_str(), const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  ::close(out[1]);
  std::string line;
  char c = 0;
  while (line.size() < 100 && ::read(out[0], &c, 1) == 1 && c != '\n') line += c;
  ::close(out[0]);
  std::unique_ptr<ChildNode> child(new ChildNode(pid));
  if (std::sscanf(line.c_str(), "ready %hu %hu", &child->port_, &child->quic_port_) != 2) return nullptr;
  return child;
}

ChildNode::~ChildNode() { kill(); }

void ChildNode::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

bool ChildNode::stop() {
  ::kill(pid_, SIGTERM);
  int status = 0;
  for (int i = 0; i < 500; ++i) {
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    ::usleep(20'000);
  }
  kill();
  return false;
}

std::vector<bool> ChildNode::memory_holds(const std::vector<Bytes>& needles) const {
  const auto proc = "/proc/" + std::to_string(pid_);
  std::vector<bool> found(needles.size());
  const int memory = ::open((proc + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  NMP_ASSERT(memory >= 0);
  std::ifstream maps(proc + "/maps");
  std::size_t scanned = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long long from = 0, to = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%llx-%llx %4s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
    // Page by page: most of a guest's reserved memory was never touched, and reads as nothing.
    constexpr std::size_t kStep = 1 << 20;
    constexpr std::size_t kOverlap = 4096;
    if (to - from > (8ULL << 30)) continue;  // address space that is only reserved
    Bytes block(kStep + kOverlap);
    for (auto at = from; at < to; at += kStep) {
      const auto want = std::min<std::size_t>(to - at, block.size());
      const auto got = ::pread(memory, block.data(), want, static_cast<off_t>(at));
      if (got <= 0) continue;
      scanned += static_cast<std::size_t>(got);
      for (std::size_t i = 0; i < needles.size(); ++i)
        if (!found[i] && ::memmem(block.data(), static_cast<std::size_t>(got), needles[i].data(), needles[i].size()))
          found[i] = true;
    }
  }
  ::close(memory);
  NMP_ASSERT(scanned > (1 << 20));
  return found;
}

std::size_t ChildNode::status(std::string_view name) const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return std::stoul(line.substr(name.size() + 1)) * 1024;
  return 0;
}
std::size_t ChildNode::resident() const { return status("VmRSS"); }
std::size_t ChildNode::resident_peak() const { return status("VmHWM"); }

namespace {
Awaitable<int> serve(async::MainLoop& loop, std::filesystem::path folder, std::uint8_t key, std::string more) {
  server::NodeOptions options(key_of(key), test_config(folder, more));
  options.state = folder / "state";
  auto node = co_await server::Node::start(loop.executor(), std::move(options));
  if (!node) {
    std::fprintf(stderr, "%s\n", node.error().message().c_str());
    co_return 1;
  }
  const auto ready = (*node)->ready();
  const auto tcp = ready.tcp.value_or("");
  std::printf("ready %s %d\n", tcp.substr(tcp.rfind(':') + 1).c_str(), ready.addresses.front().udp_endpoint()->port);
  std::fflush(stdout);
  co_await loop.until_interrupted();
  co_await (*node)->close();
  co_return 0;
}
}  // namespace

int run_child_node(int argc, char** argv) {
  if (argc < 5) return 2;
  spdlog::set_level(spdlog::level::off);
  async::MainLoop loop;
  return loop.run(serve(loop, argv[2], static_cast<std::uint8_t>(std::stoi(argv[3])), argv[4]));
}

}  // namespace nmp::security
