// Answers the calls that the payload's filter passes up: copies what it needs once, decides on the copy, and either
// refuses, does the act itself on a descriptor, or lets the call go on where nothing the payload can still change could
// turn it into something else. seccomp_unotify(2). Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/fd.h"
#include "monitor/create_guard.h"
#include "monitor/decode.h"
#include "monitor/file_observer.h"
#include "monitor/host_sockets.h"
#include "monitor/notify.h"
#include "monitor/own_network.h"
#include "monitor/process_guard.h"
#include "monitor/refusals.h"
#include "monitor/tree_guard.h"
#include "monitor/unix_sockets.h"

namespace qi {

class Broker final : public FrontDesk {
 public:
  Broker(const Jail& jail, RefusalLog* log, EventWriter* events)
      : jail_(jail),
        log_(log),
        events_(events),
        guard_(jail),
        files_(jail, &notify_, events),
        tree_(jail, &notify_),
        pending_(&notify_, &live_),
        network_(jail),
        unix_(jail, &notify_, &pending_, &network_),
        hosts_(jail, &notify_, &pending_, &live_, log, this) {}

  // Before qi-monitor is confined. Step kOpenChannels.
  Result Prepare();

  // `listener`: the notify descriptor. `payload`: any process of the jail, to open its root. `init`: who all of them
  // descend from. Step kOpenJailRoot.
  Result Init(int listener, pid_t payload, pid_t init);

  // Answers every call that waits. False when nobody is left under the filter.
  bool Serve();

  int listener() const { return notify_.fd(); }
  int root() const { return root_.get(); }
  size_t connections() const { return live_.Count(0); }
  uint64_t answered() const { return answered_; }
  PendingConnects* pending() { return &pending_; }
  HostSockets* hosts() { return &hosts_; }
  OwnNetwork* network() { return &network_; }
  FileLog* files() { return files_.log(); }

  void AskHost(uint32_t number, const char* host, uint16_t port, pid_t tid) override;
  void Conclude(const seccomp_notif& request, Answer* answer) override;

 private:
  void Decide(const seccomp_notif& request, const SyscallRule* rule, Answer* answer);
  bool DecideImported(const seccomp_notif& request, Answer* answer) const;
  void DecideIoctl(const seccomp_notif& request, Answer* answer);
  void DecideCreate(const seccomp_notif& request, const SyscallRule* rule, Answer* answer);
  void DecideConnect(const seccomp_notif& request, Answer* answer);
  void DecideByHosts(const seccomp_notif& request, Verdict verdict, Answer* answer);
  void DecideInet(const Address& address, Answer* answer);
  Result InitGuards(pid_t payload, pid_t init);
  void BindUnix(const seccomp_notif& request, Answer* answer);
  UniqueFd OwnSocket(const seccomp_notif& request, Answer* answer) const;
  void ConnectHere(const seccomp_notif& request, Answer* answer);
  void BindHere(const seccomp_notif& request, Answer* answer);
  void DecideListen(const seccomp_notif& request, Answer* answer);
  void BindInTemp(const seccomp_notif& request, const char* path, Answer* answer);

  const Jail& jail_;
  RefusalLog* log_;
  EventWriter* events_;
  CreateGuard guard_;
  Notify notify_;
  FileObserver files_;
  TreeGuard tree_;
  ProcessGuard processes_;
  LiveSockets live_;
  PendingConnects pending_;
  OwnNetwork network_;
  UnixSockets unix_;
  HostSockets hosts_;
  UniqueFd root_;  // the jail's root, O_PATH
  uint64_t answered_ = 0;
};

}  // namespace qi
