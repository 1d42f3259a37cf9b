// connect(2) to local sockets: those of the jail's own tmpfs and abstract namespace, and the host's that the policy
// lists, each pinned by its inode at launch. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>
#include <sys/stat.h>

#include "monitor/connect.h"
#include "monitor/jail.h"
#include "monitor/notify.h"
#include "monitor/own_network.h"
#include "monitor/tree_guard.h"

namespace qi {

class UnixSockets {
 public:
  UnixSockets(const Jail& jail, Notify* notify, PendingConnects* pending, const OwnNetwork* network)
      : jail_(jail), notify_(notify), pending_(pending), network_(network), ids_(jail) {}

  // Opens what the policy lists, while the caller's rights are there. Step kPinSocket.
  Result Pin();

  // `root`: the jail's, on the file system `device`; or the host's, of which `tree` tells what is the jail's own.
  void SetRoot(int root, dev_t device, const TreeGuard* tree) {
    root_ = root;
    root_device_ = device;
    tree_ = tree;
  }

  void OnConnect(const seccomp_notif& request, Answer* answer);

 private:
  static constexpr size_t kMaxPins = 32;  // src/policy/config.ts
  struct Pinned {
    UniqueFd fd;  // O_PATH: keeps the inode, so that its number is no other's
    dev_t device;
    ino_t inode;
    const char* path;
  };

  UniqueFd Find(const seccomp_notif& request, const char* name, size_t length, Answer* answer) const;
  const Pinned* PinOf(const struct stat& st) const;
  void RefuseStranger(Answer* answer) const;
  void ConnectNamed(const seccomp_notif& request, UniqueFd found, Answer* answer);
  void Connect(const seccomp_notif& request, const Address& address, UniqueFd target, bool listed, Answer* answer);

  const Jail& jail_;
  Notify* notify_;
  PendingConnects* pending_;
  const OwnNetwork* network_;
  CallerIds ids_;
  Pinned pins_[kMaxPins];
  size_t pin_count_ = 0;
  int root_ = -1;
  dev_t root_device_ = 0;
  const TreeGuard* tree_ = nullptr;
};

}  // namespace qi
