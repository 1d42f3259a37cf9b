#include "monitor/control_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdio>
#include <cstdlib>

#include "core/uapi.h"

namespace qi {
namespace {

constexpr uint64_t kIdleMs = 10000;
constexpr char kSuffix[] = ".sock";

// As src/launch/ctl-folder.ts: in /tmp anybody may have taken the name first, by a link, or a folder in which they may
// put a socket of theirs.
UniqueFd OpenFolder(const char* path) {
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return {};
  UniqueFd folder(openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!folder || fstat(folder.get(), &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) return {};
  return folder;
}

// By the folder's descriptor: no name of the path is looked up twice, and no path is too long.
sockaddr_un AddressOf(const UniqueFd& folder, const char* name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.80s", folder.get(), name);
  return address;
}

UniqueFd NewSocket() { return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// Whoever listened there was killed.
bool IsDead(const UniqueFd& folder, const char* name) {
  UniqueFd probe = NewSocket();
  sockaddr_un address = AddressOf(folder, name);
  return probe && connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

bool ControlServer::Bind(const char* folder, const char* id) {
  folder_ = OpenFolder(folder);
  listener_ = NewSocket();
  if (!folder_ || !listener_) return false;
  snprintf(name_, sizeof(name_), "%.64s%s", id, kSuffix);
  sockaddr_un address = AddressOf(folder_, name_);
  auto* bound = reinterpret_cast<sockaddr*>(&address);
  mode_t inherited = umask(0177);
  bool ok = bind(listener_.get(), bound, sizeof(address)) == 0;
  if (!ok && errno == EADDRINUSE && IsDead(folder_, name_)) {
    (void)unlinkat(folder_.get(), name_, 0);
    ok = bind(listener_.get(), bound, sizeof(address)) == 0;
  }
  (void)umask(inherited);
  return ok && listen(listener_.get(), kClients) == 0;
}

Result ControlServer::Open(const Jail& jail, EventWriter* events, const Cgroup& cgroup) {
  QI_BEGIN(jail, Step::kOpenControl);
  const ForegroundPlan& plan = List(jail.blob, jail.plan->foreground)[0];
  jail_ = &jail;
  events_ = events;
  state_ = jail.Text(plan.network_state);
  FormatTime(NowNs(CLOCK_REALTIME), since_);
  char drawn[12];
  unsigned number = 0;
  (void)!getrandom(&number, sizeof(number), 0);  // up to 256 bytes cannot fail or be short once the pool is ready
  snprintf(drawn, sizeof(drawn), "%08x", number);
  bool asked = plan.id.length > 0;
  const char* id = asked ? jail.Text(plan.id) : drawn;
  int error = ENOENT;
  for (const PlanString& folder : List(jail.blob, plan.control_folders)) {
    if (Bind(jail.Text(folder), id)) {
      kept_ = cgroup.AlsoRemove(folder_.get(), name_);
      timer_ = NewTimer(CLOCK_MONOTONIC);
      return timer_ ? Ok() : Fail(Step::kOpenControl, errno, "timer");
    }
    error = errno;
    if (folder_) break;  // the folder is ours: it is the name that is taken
  }
  listener_.reset();
  folder_.reset();
  return asked ? Fail(Step::kOpenControl, error, id) : Ok();
}

bool ControlServer::Attach(const Sources& sources, HostLines* rules, HostCommands* commands, pid_t payload) {
  if (!listener_) return true;
  sources_ = sources;
  rules_ = rules;
  commands_ = commands;
  payload_ = payload;
  for (size_t i = 0; i < kClients; ++i) clients_[i].lines = LineBuffer(rooms_[i], kLine);
  events_->Divert(this);
  return Watch(listener_, sources_.listener) && Watch(timer_, sources_.timer);
}

bool ControlServer::Watch(const UniqueFd& fd, uint32_t source) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u32 = source;
  return epoll_ctl(sources_.epoll, EPOLL_CTL_ADD, fd.get(), &event) == 0;
}

void ControlServer::OnConnection() {
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // No descriptor is left: it would be said again and again. Later, then.
    deaf_ = epoll_ctl(sources_.epoll, EPOLL_CTL_DEL, listener_.get(), nullptr) == 0;
    return ArmTimer(timer_, kIdleMs);
  }
  for (size_t i = 0; i < kClients; ++i) {
    Client& client = clients_[i];
    if (client.fd) continue;
    if (!Watch(fd, sources_.first_client + static_cast<uint32_t>(i))) return;
    client.fd = static_cast<UniqueFd&&>(fd);
    client.lines.Clear();
    client.active_ns = NowNs();
    client.waits_for = 0;
    return ArmTimer(timer_, kIdleMs);
  }
}

void ControlServer::OnTimer() {
  DrainTimer(timer_);
  if (deaf_) deaf_ = !Watch(listener_, sources_.listener);
  bool any = deaf_;
  uint64_t now = NowNs();
  for (Client& client : clients_) {
    if (client.fd && now - client.active_ns >= kIdleMs * 1000000) client.fd.reset();
    any = any || client.fd;
  }
  if (any) ArmTimer(timer_, kIdleMs);
}

void ControlServer::OnClient(uint32_t index, const bool& done) {
  Client& client = clients_[index % kClients];
  if (!client.fd) return;  // closed since the kernel told of it
  client.active_ns = NowNs();
  if (!client.lines.Receive(client.fd.get())) return client.fd.reset();
  for (char* line = client.lines.Next(); line != nullptr && client.fd && !done; line = client.lines.Next()) {
    char verb[16];
    int used = 0;
    bool readable = sscanf(line, "{\"verb\":\"%15[a-z]\"%n", verb, &used) == 1 && used > 0;
    // One thing at a time: whoever asks more before the answer is no client of ours.
    if (!readable || client.waits_for != 0) return client.fd.reset();
    Answer(&client, verb, line + used);
  }
}

// The verbs of CtlRequest (src/launch/ctl-server.ts).
void ControlServer::Answer(Client* client, const char* verb, char* rest) {
  auto is = [verb](const char* name) { return strcmp(verb, name) == 0; };
  if (is("status")) return TellStatus(client);
  if (is("network")) return ChangeNetwork(client, rest);
  // To be compiled by who asks, who comes back with `network`.
  if (is("rules") || is("allow") || is("deny")) return TellState(client);
  if (is("kill")) {
    BeginAnswer(true);
    Send(client);
    return commands_->Kill();
  }
  client->pausing = is("pause");
  if (!is("stats") && !is("pause") && !is("resume")) return Refuse(client, "QI_CONTROL", "unknown request");
  client->waits_for = ++questions_;
  if (is("stats")) return commands_->Stats(questions_);
  return is("pause") ? commands_->Pause(questions_) : commands_->Resume(questions_);
}

void ControlServer::BeginAnswer(bool ok) {
  json_.Clear();
  json_.Open('{');
  json_.Key("ok");
  json_.Bool(ok);
}

void ControlServer::TellStatus(Client* client) {
  BeginAnswer(true);
  json_.Key("status");
  json_.Open('{');
  json_.Key("id");
  json_.String(name_, strlen(name_) + 1 - sizeof(kSuffix));
  json_.Pair("pid", payload_);
  json_.Pair("profile", jail_->Text(jail_->plan->profile_name));
  json_.Pair("command", jail_->Text(jail_->plan->command_line));
  json_.Pair("since", since_);
  json_.Close('}');
  Send(client);
}

void ControlServer::TellState(Client* client) {
  BeginAnswer(true);
  json_.Pair("version", static_cast<int64_t>(version_));
  json_.Key("network");
  json_.Raw(state_);
  Send(client);
}

// ,"version":N,"how":"add","rules":"RULE;RULE","network":STATE}
void ControlServer::ChangeNetwork(Client* client, char* rest) {
  unsigned version = 0;
  char how[4] = "";
  int used = 0;
  int read = sscanf(rest, ",\"version\":%u,\"how\":\"%3[a-z]\",\"rules\":\"%n", &version, how, &used);
  char* rules = rest + used;
  char* end = read == 2 && used > 0 ? strstr(rules, "\",\"network\":") : nullptr;
  if (end == nullptr || !jail_->Has(kPlanAllowListNetwork)) return Refuse(client, "QI_CONTROL", "unreadable rules");
  if (version != version_) return Refuse(client, "QI_CONTROL_STALE", "the rules have changed meanwhile");
  *end = 0;
  const char* state = end + strlen("\",\"network\":");
  size_t size = strlen(state);
  if (size < 2 || state[size - 1] != '}') return Refuse(client, "QI_CONTROL", "unreadable rules");
  char* copy = strndup(state, size - 1);  // the last bracket is the request's
  if (copy == nullptr) return Refuse(client, "QI_CONTROL", "out of memory");
  if (rules_->ChangeRules(rules, strcmp(how, "add") == 0) != 0) {
    free(copy);
    return Refuse(client, "QI_NETWORK", "qi-monitor refused the rules; the old ones hold");
  }
  free(own_state_);
  state_ = own_state_ = copy;
  ++version_;
  BeginAnswer(true);
  Send(client);
}

void ControlServer::Refuse(Client* client, const char* code, const char* message) {
  BeginAnswer(false);
  json_.Key("error");
  json_.Open('{');
  json_.Pair("code", code);
  json_.Pair("message", message);
  json_.Close('}');
  Send(client);
}

void ControlServer::Send(Client* client) {
  json_.Close('}');
  json_.EndLine();
  // An answer fits into an empty socket; a client that lets answers pile up has to do without.
  ssize_t n = json_.overflow() ? -1 : send(client->fd.get(), json_.data(), json_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n != static_cast<ssize_t>(json_.size())) client->fd.reset();
}

// {"type":"stats","id":N,...}     {"type":"done","id":N,"ok":true} {"type":"done","id":N,"ok":false,"error":"EBUSY"}
void ControlServer::OnMessage(const char* message, size_t size) {
  char type[8];
  unsigned id = 0;
  char text[64 * 1024];
  if (size >= sizeof(text)) return;
  memcpy(text, message, size);
  text[size] = 0;
  if (sscanf(text, "{\"type\":\"%7[a-z]\",\"id\":%u", type, &id) != 2 || id == 0) return;
  for (Client& client : clients_) {
    if (!client.fd || client.waits_for != id) continue;
    client.waits_for = 0;
    char error[32];
    const char* cause = strstr(text, "\"error\":\"");
    if (cause != nullptr && strcmp(type, "done") == 0 && sscanf(cause, "\"error\":\"%31[A-Z0-9]", error) == 1) {
      char told[200];
      snprintf(told, sizeof(told),
               "the jail could not %s: %s (try again; a process that waits for a disk stops only when it is done)",
               client.pausing ? "pause" : "resume", error);
      return Refuse(&client, "QI_PAUSE", told);
    }
    BeginAnswer(true);
    if (strcmp(type, "stats") == 0) {
      json_.Key("stats");
      json_.Raw(text);
    }
    return Send(&client);
  }
}

void ControlServer::Close() {
  if (!listener_) return;
  events_->Divert(nullptr);
  for (Client& client : clients_) client.fd.reset();
  if (!kept_) (void)unlinkat(folder_.get(), name_, 0);  // root's has no right to by now, and is left to `qi-jail ps`
  listener_.reset();
}

}  // namespace qi
