#include "monitor/decode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mount.h>

#include <initializer_list>

#include "check.h"
#include "monitor/decode_tables.h"

namespace {

std::string Arguments(const char* call, std::initializer_list<uint64_t> arguments) {
  static qi::JsonWriter json;
  seccomp_notif request = {};
  request.pid = static_cast<uint32_t>(getpid());
  size_t i = 0;
  for (uint64_t argument : arguments) request.data.args[i++] = argument;
  json.Clear();
  qi::DescribeArguments(call, request, &json);
  return std::string(json.data(), json.size());
}

uint64_t Number(const void* p) { return reinterpret_cast<uint64_t>(p); }

std::string Described(const void* bytes, uint64_t length) {
  static qi::JsonWriter json;
  json.Clear();
  qi::DescribeAddress(qi::ReadAddress(getpid(), Number(bytes), length), &json);
  return std::string(json.data(), json.size());
}

}  // namespace

TEST(FlagsByName) {
  CHECK_STREQ(Arguments("unshare", {0x10000000 | 0x00020000}), "\"flags\":\"CLONE_NEWUSER|CLONE_NEWNS\"");
  CHECK_STREQ(Arguments("mount", {0, 0, 0, MS_BIND | MS_REC | MS_RDONLY, 0}),
              "\"source\":null,\"target\":null,\"filesystemtype\":null,\"flags\":\"MS_RDONLY|MS_BIND|MS_REC\"");
  CHECK_STREQ(Arguments("unshare", {0x10000000 | 1}), "\"flags\":\"CLONE_NEWUSER|0x1\"");
  CHECK_STREQ(Arguments("unshare", {0}), "\"flags\":\"0x0\"");
}

TEST(OnlyTheLowHalfOfAnIntCounts) {
  CHECK_STREQ(Arguments("unshare", {0xffffffff10000000u}), "\"flags\":\"CLONE_NEWUSER\"");
}

TEST(EveryTableEndsAndFits) {
  for (const char* call : {"unshare", "clone", "mount", "umount2", "socket", "ptrace", "keyctl", "bpf", "prctl",
                           "ioctl", "seccomp", "openat", "renameat2", "open_tree", "sendto"}) {
    for (uint64_t value : {uint64_t{0}, uint64_t{0xffffffff}, ~uint64_t{0}, uint64_t{0x5412}}) {
      std::string text = Arguments(call, {value, value, value, value, value, value});
      CHECK(!text.empty() && text.size() < 4096);
    }
  }
}

TEST(PathsAsText) {
  std::string text = Arguments("mount", {Number("none"), Number("/tmp/\xff\n"), Number("tmpfs"), 0, 0});
  CHECK(text.find("\"source\":\"none\",\"target\":\"/tmp/\xef\xbf\xbd\\u000a\",\"filesystemtype\":\"tmpfs\"") == 0);
  CHECK(Arguments("mount", {8, 0, 0, 0, 0}).find("\"source\":\"(unreadable)\"") == 0);
  std::string longer(5000, 'x');
  CHECK(Arguments("mount", {Number(longer.c_str()), 0, 0, 0, 0}).size() < 2000);
}

TEST(CallsWithoutATable) {
  CHECK_STREQ(Arguments("unknown", {1, ~0ull, 0, 0, 0, 6}),
              "\"arg0\":\"0x1\",\"arg1\":\"0xffffffffffffffff\",\"arg2\":\"0x0\",\"arg3\":\"0x0\",\"arg4\":\"0x0\","
              "\"arg5\":\"0x6\"");
}

TEST(InternetAddresses) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_port = htons(443);
  inet_pton(AF_INET, "10.1.2.3", &in.sin_addr);
  CHECK_STREQ(Described(&in, sizeof(in)), "\"family\":\"AF_INET\",\"address\":\"10.1.2.3\",\"port\":443");
  sockaddr_in6 in6 = {};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(53);
  inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
  CHECK_STREQ(Described(&in6, sizeof(in6)), "\"family\":\"AF_INET6\",\"address\":\"2001:db8::1\",\"port\":53");
}

TEST(UnixAddresses) {
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  strcpy(un.sun_path, "/run/x");
  CHECK_STREQ(Described(&un, sizeof(un)), "\"family\":\"AF_UNIX\",\"path\":\"/run/x\"");
  CHECK_STREQ(Described(&un, 2 + 3), "\"family\":\"AF_UNIX\",\"path\":\"/ru\"");
  CHECK_STREQ(Described(&un, 2), "\"family\":\"AF_UNIX\"");
  memcpy(un.sun_path, "\0name", 5);
  CHECK_STREQ(Described(&un, 2 + 5), "\"family\":\"AF_UNIX\",\"abstract\":\"name\"");
  memset(un.sun_path, 'x', sizeof(un.sun_path));
  CHECK_STREQ(Described(&un, sizeof(un)), "\"family\":\"AF_UNIX\",\"path\":\"" + std::string(108, 'x') + "\"");
}

TEST(AddressesThatLie) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  for (uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{129}, uint64_t{0x80000000u}, uint64_t{0xffffffffu}}) {
    CHECK_STREQ(Described(&in, length), "\"family\":\"(unreadable)\"");
  }
  CHECK_STREQ(Described(reinterpret_cast<void*>(8), 16), "\"family\":\"(unreadable)\"");
  CHECK_STREQ(Described(nullptr, 16), "\"family\":\"(unreadable)\"");
  CHECK_STREQ(Described(&in, 2), "\"family\":\"AF_INET\",\"address\":\"0.0.0.0\",\"port\":0");
}

CHECK_MAIN()
