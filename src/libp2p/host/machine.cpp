#include "libp2p/host/machine.hpp"

#include <sys/resource.h>
#include <unistd.h>

namespace nmp::libp2p {

resources::Machine this_machine() {
  resources::Machine machine;
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0)
    machine.memory_bytes = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) == 0)
    machine.descriptors = static_cast<std::size_t>(descriptors.rlim_cur);
  return machine;
}

}  // namespace nmp::libp2p
