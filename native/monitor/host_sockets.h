// The payload's TCP sockets in a jail with an allow-list: made here, in the host's network namespace, and given to the
// payload, so that a connection is an ordinary socket at line rate. What would take one somewhere (connect, bind,
// listen) is decided and done here, on a duplicate and a copied address. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "monitor/connect.h"
#include "monitor/gateway_link.h"
#include "monitor/jail.h"
#include "monitor/live_sockets.h"
#include "monitor/notify.h"

namespace qi {

// Where questions to the host and late answers to the payload go out.
class FrontDesk {
 public:
  // The answer comes back by OnAnswer with this number. `port`, `tid`: 0 when a name is asked about.
  virtual void AskHost(uint32_t number, const char* host, uint16_t port, pid_t tid) = 0;
  // Records and sends the answer to a call that was deferred.
  virtual void Conclude(const seccomp_notif& request, Answer* answer) = 0;

 protected:
  ~FrontDesk() = default;
};

class HostSockets final : public NameAsker {
 public:
  HostSockets(const Jail& jail, Notify* notify, PendingConnects* pending, LiveSockets* live, RefusalLog* log,
              FrontDesk* desk)
      : jail_(jail), notify_(notify), pending_(pending), live_(live), link_(&rules_, &records_, log), desk_(desk) {}

  // `gateway`: the channel to it. `factory`: to pid 1, which makes sockets of the jail's own network. `root`: the
  // jail's.
  Result Init(UniqueFd gateway, UniqueFd factory);
  void SetRoot(int root) {
    root_ = root;
    link_.SetRoot(root);
  }

  void OnSocket(const seccomp_notif& request, Answer* answer);
  void OnConnect(const seccomp_notif& request, Answer* answer);
  void OnBind(const seccomp_notif& request, Answer* answer);
  void OnListen(const seccomp_notif& request, Answer* answer);
  void OnSendTo(Answer* answer);

  GatewayLink& link() { return link_; }
  // Replaces the rules or adds to them, here and in the gateway. 0, or the number of the bad line.
  size_t Update(const char* text, size_t size, bool add);
  void OnAnswer(uint32_t number, bool allowed);
  // Answers what nobody decided in time.
  void ExpireAsks();
  bool asking() const { return asks_used_ > 0; }

  void AskName(uint32_t number, const Name& name) override;

 private:
  static constexpr uint32_t kMaxAsks = 64;
  struct AskItem {
    bool name;        // the gateway's question, `gateway_number`; else a connect that waits
    uint32_t number;  // ours
    uint32_t gateway_number;
    uint64_t deadline_ms;
    seccomp_notif request;
    Address address;
    Name host;
  };
  enum class Where { kHost, kJail };

  void ConnectStream(const seccomp_notif& request, int socket, Answer* answer);
  void ConnectDatagram(const seccomp_notif& request, int socket, Answer* answer);
  void ConnectOut(Where where, const seccomp_notif& request, UniqueFd socket, Answer* answer);
  void ConnectIn(Where where, const seccomp_notif& request, UniqueFd socket, bool live, Answer* answer);
  void Attempt(const seccomp_notif& request, UniqueFd socket, bool live, Answer* answer);
  UniqueFd Fresh(Where where, int like) const;
  bool MayPassLoopback(const IpAddress& ip, uint16_t port) const;
  bool MayUseOwnLoopback(const char* why, Answer* answer) const;
  int Probe(const IpAddress& ip, uint16_t port) const;
  bool IsOwnAddress(const IpAddress& ip) const;
  void Refuse(const Judgement& judgement, const char* reason, Answer* answer) const;
  bool Ask(const seccomp_notif& request, const IpAddress& ip, uint16_t port, const Judgement& judgement,
           Answer* answer);
  AskItem* NewAsk();
  void Decided(uint32_t index, bool allowed, const char* reason);

  const Jail& jail_;
  Notify* notify_;
  PendingConnects* pending_;
  LiveSockets* live_;
  Rules rules_;
  Records records_;
  GatewayLink link_;
  LiveSockets published_;
  UniqueFd factory_;
  FrontDesk* desk_;
  int root_ = -1;
  uint64_t own_cookie_ = 0;
  UniqueFd probe4_, probe6_;  // UDP sockets that never send
  AskItem* asks_ = nullptr;
  uint32_t asks_used_ = 0;
  uint32_t next_ask_ = 1;
  bool approved_ = false;  // the connect at hand was allowed by the host
};

}  // namespace qi
