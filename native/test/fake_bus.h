// Test-only. A D-Bus daemon, as far as asking systemd for a scope goes, in a process of its own; each test gives it the
// behaviour it wants to see survived.
#ifndef QI_TEST_FAKE_BUS_H_
#define QI_TEST_FAKE_BUS_H_

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <functional>

#include "cgroup/bus_message.h"
#include "check.h"

namespace qi_check {

// Messages of a daemon, byte by byte from the specification and not by the code that is tested.
class BusBytes {
 public:
  explicit BusBytes(uint8_t type) { bytes_ = {'l', type, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}; }

  BusBytes& Text(uint8_t code, char type, const std::string& text) {
    Pad(8);
    bytes_.insert(bytes_.end(), {code, 1, static_cast<uint8_t>(type), 0});
    if (type == 'g') {
      bytes_.push_back(static_cast<uint8_t>(text.size()));
    } else {
      U32(static_cast<uint32_t>(text.size()));
    }
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return *this;
  }
  BusBytes& Reply(uint32_t serial) {
    Pad(8);
    bytes_.insert(bytes_.end(), {5, 1, 'u', 0});
    return U32(serial);
  }
  BusBytes& Body() {
    Set(12, bytes_.size() - 16);
    Pad(8);
    body_ = bytes_.size();
    return *this;
  }
  BusBytes& U32(uint32_t value) {
    Pad(4);
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }
  BusBytes& String(const std::string& text) {
    U32(static_cast<uint32_t>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return *this;
  }
  std::vector<uint8_t> Done() {
    if (body_ == 0) Body();
    Set(4, bytes_.size() - body_);
    return bytes_;
  }

 private:
  void Pad(size_t to) {
    while (bytes_.size() % to != 0) bytes_.push_back(0);
  }
  void Set(size_t at, size_t value) {
    for (size_t i = 0; i < 4; ++i) bytes_[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }

  std::vector<uint8_t> bytes_;
  size_t body_ = 0;
};

constexpr uint8_t kReturn = 2, kError = 3, kSignal = 4;

// What arrives at the daemon and what it says.
class BusPeer {
 public:
  explicit BusPeer(int fd) : fd_(fd) {}

  std::string Line() {
    std::string line;
    char c;
    while (read(fd_, &c, 1) == 1) {
      line.push_back(c);
      if (c == '\n') break;
    }
    return line;
  }
  // As it came, for the test to look at.
  std::vector<uint8_t> Message() {
    std::vector<uint8_t> bytes(qi::kBusHeadSize);
    if (recv(fd_, bytes.data(), bytes.size(), MSG_WAITALL) != static_cast<ssize_t>(bytes.size())) _exit(3);
    size_t size = qi::BusMessageSize(bytes.data());
    bytes.resize(size);
    size_t rest = size - qi::kBusHeadSize;
    if (rest > 0 && recv(fd_, bytes.data() + qi::kBusHeadSize, rest, MSG_WAITALL) != static_cast<ssize_t>(rest))
      _exit(3);
    return bytes;
  }
  void Say(const std::vector<uint8_t>& bytes) {
    if (write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) _exit(4);
  }
  void Say(const std::string& text) { Say(std::vector<uint8_t>(text.begin(), text.end())); }

  // Up to and with the reply to Hello; false when the client is not as specified.
  bool Welcome() {
    char uid[32];
    int n = snprintf(uid, sizeof(uid), "%u", geteuid());
    std::string expected("\0AUTH EXTERNAL ", 15);
    for (int i = 0; i < n; ++i) {
      char hex[3];
      snprintf(hex, sizeof(hex), "%02x", static_cast<unsigned>(uid[i]));
      expected += hex;
    }
    if (Line() != expected + "\r\n") return false;
    Say("OK 0123456789abcdef0123456789abcdef\r\n");
    if (Line() != "BEGIN\r\n") return false;
    uint32_t serial = Serial(Message());
    Say(BusBytes(kReturn).Reply(serial).Text(8, 'g', "s").Body().String(":1.7").Done());
    Say(BusBytes(kSignal).Text(1, 'o', "/org/freedesktop/DBus").Text(3, 's', "NameAcquired").Done());
    return true;
  }
  // AddMatch and Subscribe.
  void AnswerPlainly(int calls) {
    for (int i = 0; i < calls; ++i) Say(BusBytes(kReturn).Reply(Serial(Message())).Done());
  }

  static uint32_t Serial(const std::vector<uint8_t>& m) {
    return static_cast<uint32_t>(m[8]) | static_cast<uint32_t>(m[9]) << 8 | static_cast<uint32_t>(m[10]) << 16;
  }

 private:
  int fd_;
};

// Serves one connection, in a child that ends with the test.
class FakeBus {
 public:
  explicit FakeBus(const std::function<void(BusPeer*)>& behave) {
    char folder[] = "/tmp/qi-bus-XXXXXX";
    if (mkdtemp(folder) == nullptr) abort();
    folder_ = folder;
    path_ = folder_ + "/bus";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_.c_str());
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(listener, 1) != 0)
      abort();
    pid_ = fork();
    if (pid_ == 0) {
      (void)signal(SIGPIPE, SIG_IGN);
      BusPeer peer(accept(listener, nullptr, nullptr));
      behave(&peer);
      _exit(0);
    }
    close(listener);
  }
  ~FakeBus() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  const char* path() const { return path_.c_str(); }

 private:
  std::string folder_, path_;
  pid_t pid_ = -1;
};

}  // namespace qi_check

#endif  // QI_TEST_FAKE_BUS_H_
