#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/bytes.hpp"

namespace nmp::security {

/// A server::Node with test_config(folder) in a process of its own: this program, started anew.
class ChildNode {
 public:
  /// Waits until it listens. None: it did not come up.
  static std::unique_ptr<ChildNode> start(const std::filesystem::path& folder,
                                          std::uint8_t key,
                                          std::string more_config = {});
  ChildNode(const ChildNode&) = delete;
  ChildNode& operator=(const ChildNode&) = delete;
  ~ChildNode();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Where it speaks QUIC, on 127.0.0.1.
  [[nodiscard]] std::uint16_t quic_port() const { return quic_port_; }
  /// SIGKILL, and waits for the end.
  void kill();
  /// SIGTERM; whether it then ends by itself, with 0.
  [[nodiscard]] bool stop();

  /// Whether each of `needles` stands somewhere in its memory.
  [[nodiscard]] std::vector<bool> memory_holds(const std::vector<Bytes>& needles) const;
  /// Resident bytes now, and the most there ever were.
  [[nodiscard]] std::size_t resident() const;
  [[nodiscard]] std::size_t resident_peak() const;

 private:
  explicit ChildNode(pid_t pid) : pid_(pid) {}
  [[nodiscard]] std::size_t status(std::string_view name) const;
  pid_t pid_;
  std::uint16_t port_ = 0;
  std::uint16_t quic_port_ = 0;
};

/// The child's main(): `--node FOLDER KEY CONFIG`.
int run_child_node(int argc, char** argv);

}  // namespace nmp::security
