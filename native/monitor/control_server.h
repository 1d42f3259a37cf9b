// The socket by which `qi-jail ps`, `stats` and `ctl` reach a run without a host. One JSON line each way, as
// src/launch/ctl-server.ts answers them. Rules are compiled by the client: what they came from is kept here for it as
// a text that nobody here reads. Whoever connects is this user, since nobody else gets into the folder; no jail does.
// Runs in: monitor.
#pragma once
#include "cgroup/cgroup.h"
#include "monitor/host_lines.h"
#include "monitor/timer.h"

namespace qi {

class ControlServer final : private MessageSink {
 public:
  // Before qi-monitor is confined. Fails where the plan asks for an id and it cannot be had. The name is the keeper's
  // to remove where there is one: it has the right to also when the launch was root's, and outlives us.
  Result Open(const Jail& jail, EventWriter* events, const Cgroup& cgroup);

  // As what its descriptors are in the loop's set; clients are `first_client` and following.
  struct Sources {
    int epoll = -1;
    uint32_t listener = 0;
    uint32_t timer = 0;
    uint32_t first_client = 0;
  };
  bool Attach(const Sources& sources, HostLines* rules, HostCommands* commands, pid_t payload);
  void OnConnection();
  // Until a command has ended the jail.
  void OnClient(uint32_t index, const bool& done);
  void OnTimer();

  // Nobody is answered any more; the name goes, unless the keeper removes it.
  void Close();

 private:
  static constexpr size_t kClients = 32;
  static constexpr size_t kLine = 64 * 1024;
  struct Client {
    UniqueFd fd;
    LineBuffer lines{nullptr, 0};
    uint64_t active_ns = 0;
    uint32_t waits_for = 0;  // number of what was asked and is not answered yet
    bool pausing = false;    // what that is: to pause, or to resume
  };

  bool Watch(const UniqueFd& fd, uint32_t source);
  bool Bind(const char* folder, const char* id);
  void Answer(Client* client, const char* verb, char* rest);
  void ChangeNetwork(Client* client, char* rest);
  void TellStatus(Client* client);
  void TellState(Client* client);
  void BeginAnswer(bool ok);
  void Refuse(Client* client, const char* code, const char* message);
  void Send(Client* client);
  void OnMessage(const char* json, size_t size) override;

  const Jail* jail_ = nullptr;
  EventWriter* events_ = nullptr;
  HostLines* rules_ = nullptr;
  HostCommands* commands_ = nullptr;
  pid_t payload_ = 0;
  char since_[32] = "";
  char name_[80] = "";  // ID.sock
  const char* state_ = nullptr;
  char* own_state_ = nullptr;  // once a client has changed it
  uint32_t version_ = 1;       // of the state
  uint32_t questions_ = 0;
  Sources sources_;
  UniqueFd folder_;
  UniqueFd listener_;
  UniqueFd timer_;
  bool kept_ = false;  // by the keeper, until the end
  bool deaf_ = false;  // no descriptor was left for another client
  JsonWriter json_;
  Client clients_[kClients];
  char rooms_[kClients][kLine];  // untouched pages cost nothing
};

}  // namespace qi
