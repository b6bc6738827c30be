#include "libp2p/kad/observer.hpp"

namespace nmp::libp2p::kad {

Observer& silent_observer() {
  static Observer observer;
  return observer;
}

}  // namespace nmp::libp2p::kad
