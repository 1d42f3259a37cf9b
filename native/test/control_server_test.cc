#include "monitor/control_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "check.h"
#include "plan_builder.h"

namespace {

constexpr uint32_t kListener = 1, kTimer = 2, kFirstClient = 3;

struct Commands final : qi::HostCommands {
  bool killed = false;
  uint32_t asked = 0;  // the last question
  void Kill() override { killed = true; }
  void HostGone() override {}
  void Signal(int, bool) override {}
  void Stats(uint32_t id) override { asked = id; }
  void Pause(uint32_t id) override { asked = id; }
  void Resume(uint32_t id) override { asked = id; }
};

// A jail with a folder for its socket and a loop around it.
class Server {
 public:
  explicit Server(const char* id, uint32_t flags = 0) {
    char made[] = "/tmp/qi-control-XXXXXX";
    if (mkdtemp(made) != nullptr) folder = made;
    qi_check::PlanBuilder builder;
    builder.SetForeground(id, folder + "/own");
    builder.plan().flags |= flags;
    bytes_ = builder.Finish();
    jail_.blob = {bytes_.data(), bytes_.size(), bytes_.size()};
    jail_.plan = &qi::PlanOf(jail_.blob);
    events_.Init(jail_, -1, -1);
  }
  ~Server() {
    (void)!system(("rm -rf " + folder).c_str());  // what is left lies in /tmp
  }

  qi::Result Open() { return server_.Open(jail_, &events_, cgroup_); }
  bool Attach() {
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    return server_.Attach({epoll_.get(), kListener, kTimer, kFirstClient}, nullptr, &commands, 42);
  }
  void Close() { server_.Close(); }
  std::string Socket(const char* id) const { return folder + "/own/" + id + ".sock"; }

  // Serves what there is to be served.
  void Turn() {
    epoll_event ready[8];
    for (int n; (n = epoll_wait(epoll_.get(), ready, 8, 0)) > 0;) {
      for (int i = 0; i < n; ++i) {
        uint32_t source = ready[i].data.u32;
        if (source == kListener) server_.OnConnection();
        if (source >= kFirstClient) server_.OnClient(source - kFirstClient, commands.killed);
      }
    }
  }

  // Tells the clients what the jail has found out.
  void Tell(const char* type, const char* error = nullptr) {
    qi::JsonWriter& message = events_.StartMessage(type);
    message.Pair("id", commands.asked);
    if (error != nullptr) message.Pair("error", error);
    events_.FinishMessage();
  }

  std::string folder;
  Commands commands;

 private:
  std::vector<uint8_t> bytes_;
  qi::Jail jail_;
  qi::EventWriter events_;
  qi::Cgroup cgroup_;
  qi::ControlServer server_;
  qi::UniqueFd epoll_;
};

// Connected to it, or not.
qi::UniqueFd Dial(const std::string& path) {
  qi::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path.c_str());
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

// A name that nobody listens at any more.
void LeaveDead(const std::string& path) {
  qi::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path.c_str());
  CHECK_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
}

bool Exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

// What the server says to `request`; "closed" where it hung up, empty where it said nothing yet.
std::string Ask(Server* server, const qi::UniqueFd& client, const std::string& request) {
  for (size_t sent = 0; sent < request.size();) {
    ssize_t n = send(client.get(), request.data() + sent, request.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) break;
    if (n > 0) sent += static_cast<size_t>(n);
    server->Turn();
  }
  server->Turn();
  char text[4096];
  ssize_t n = recv(client.get(), text, sizeof(text), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN ? "" : "closed";
  return n == 0 ? "closed" : std::string(text, static_cast<size_t>(n));
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(ItTellsOfTheJailAndItsNameGoes) {
  static Server server("one");
  REQUIRE(server.Open().ok() && server.Attach());
  struct stat st;
  REQUIRE(lstat(server.Socket("one").c_str(), &st) == 0);
  CHECK_EQ(st.st_mode & 0777, 0600u);
  REQUIRE(lstat((server.folder + "/own").c_str(), &st) == 0);
  CHECK_EQ(st.st_mode & 0777, 0700u);
  qi::UniqueFd client = Dial(server.Socket("one"));
  std::string answer = Ask(&server, client, "{\"verb\":\"status\"}\n");
  CHECK(Has(answer, R"({"ok":true,"status":{"id":"one","pid":42,)"));
  answer = Ask(&server, client, "{\"verb\":\"rules\"}\n");
  CHECK(Has(answer, R"("version":1,"network":{"mode":"none"}})"));
  server.Close();
  CHECK(!Exists(server.Socket("one")));
  CHECK_STREQ(Ask(&server, client, ""), "closed");
}

TEST(WithoutAnAskedIdOneIsDrawn) {
  static Server server("");
  REQUIRE(server.Open().ok() && server.Attach());
  std::string listed = "ls " + server.folder + "/own | grep -qxE '[0-9a-f]{8}\\.sock'";
  CHECK_EQ(system(listed.c_str()), 0);
}

TEST(AFolderThatAnotherCouldHaveMadeIsNoneOfOurs) {
  const char* const kSpoils[] = {"mkdir -m 0755", "mkdir -m 0777", "touch", "ln -s /tmp"};
  for (const char* spoil : kSpoils) {
    static Server* asked;
    asked = new Server("one");
    CHECK_EQ(system((std::string(spoil) + " " + asked->folder + "/own").c_str()), 0);
    qi::Result r = asked->Open();
    CHECK_EQ(r.step, qi::Step::kOpenControl);
    CHECK(!Exists("/tmp/one.sock"));
    delete asked;
    Server drawn("");
    CHECK_EQ(system((std::string(spoil) + " " + drawn.folder + "/own").c_str()), 0);
    CHECK(drawn.Open().ok());  // goes without
    CHECK(drawn.Attach());
  }
}

TEST(ALivingNameIsTakenAndADeadOneIsNot) {
  static Server server("one");
  REQUIRE(mkdir((server.folder + "/own").c_str(), 0700) == 0);
  LeaveDead(server.Socket("one"));
  REQUIRE(server.Open().ok() && server.Attach());
  qi::UniqueFd client = Dial(server.Socket("one"));
  CHECK(Has(Ask(&server, client, "{\"verb\":\"status\"}\n"), "\"ok\":true"));
  static Server second("one");
  REQUIRE(rename((server.folder + "/own").c_str(), (second.folder + "/own").c_str()) == 0);
  qi::Result r = second.Open();
  CHECK_EQ(r.error, EADDRINUSE);
  CHECK(Exists(second.Socket("one")));
}

TEST(WhatIsNoRequestEndsTheConnectionAndNothingElse) {
  static Server server("one");
  REQUIRE(server.Open().ok() && server.Attach());
  const std::string kNone[] = {"\n",
                               "status\n",
                               "{\"verb\":\"\"}\n",
                               "{\"verb\":\"STATUS\"}\n",
                               "{\"verb\": 1}\n",
                               std::string("\0{\"verb\":\"status\"}\n", 19),
                               std::string(1 << 20, 'x')};
  for (const std::string& text : kNone) {
    qi::UniqueFd client = Dial(server.Socket("one"));
    CHECK_STREQ(Ask(&server, client, text), "closed");
  }
  qi::UniqueFd client = Dial(server.Socket("one"));
  CHECK(Has(Ask(&server, client, "{\"verb\":\"frobnicate\"}\n"), "unknown request"));
  for (const char* rest : {"}", ",\"version\":1}", ",\"version\":1,\"how\":\"add\",\"rules\":\"x\",\"network\":}"})
    CHECK(Has(Ask(&server, client, std::string("{\"verb\":\"network\"") + rest + "\n"), "unreadable rules"));
  CHECK(Has(Ask(&server, client, "{\"verb\":\"status\"}\n"), "\"ok\":true"));
}

TEST(AStaleChangeOfRulesIsNone) {
  static Server server("one", qi::kPlanAllowListNetwork);
  REQUIRE(server.Open().ok() && server.Attach());
  qi::UniqueFd client = Dial(server.Socket("one"));
  std::string change = R"({"verb":"network","version":7,"how":"add","rules":"x","network":{}})";
  CHECK(Has(Ask(&server, client, change + "\n"), "QI_CONTROL_STALE"));
}

TEST(OneThingAtATime) {
  static Server server("one");
  REQUIRE(server.Open().ok() && server.Attach());
  qi::UniqueFd client = Dial(server.Socket("one"));
  CHECK_STREQ(Ask(&server, client, "{\"verb\":\"stats\"}\n"), "");
  CHECK_EQ(server.commands.asked, 1u);
  server.Tell("stats");
  CHECK(Has(Ask(&server, client, ""), R"({"ok":true,"stats":{"type":"stats","id":1}})"));
  CHECK_STREQ(Ask(&server, client, "{\"verb\":\"pause\"}\n"), "");
  server.Tell("done", "EBUSY");
  CHECK(Has(Ask(&server, client, ""), "the jail could not pause: EBUSY"));
  CHECK_STREQ(Ask(&server, client, "{\"verb\":\"pause\"}\n{\"verb\":\"pause\"}\n"), "closed");
  server.Tell("done");  // for nobody any more
}

TEST(MoreClientsThanPlacesAreTurnedAway) {
  static Server server("one");
  REQUIRE(server.Open().ok() && server.Attach());
  qi::UniqueFd clients[33];
  for (int i = 0; i < 32; ++i) {
    clients[i] = Dial(server.Socket("one"));
    CHECK(Has(Ask(&server, clients[i], "{\"verb\":\"status\"}\n"), "\"ok\":true"));
  }
  clients[32] = Dial(server.Socket("one"));
  CHECK_STREQ(Ask(&server, clients[32], "{\"verb\":\"status\"}\n"), "closed");
  clients[0].reset();
  server.Turn();
  clients[0] = Dial(server.Socket("one"));
  CHECK(Has(Ask(&server, clients[0], "{\"verb\":\"status\"}\n"), "\"ok\":true"));
}

TEST(KillIsAnsweredAndDone) {
  static Server server("one");
  REQUIRE(server.Open().ok() && server.Attach());
  qi::UniqueFd client = Dial(server.Socket("one"));
  CHECK_STREQ(Ask(&server, client, "{\"verb\":\"kill\"}\n"), "{\"ok\":true}\n");
  CHECK(server.commands.killed);
}

CHECK_MAIN()
