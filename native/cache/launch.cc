#include "cache/launch.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cache/entry.h"
#include "cache/facts.h"
#include "cache/own_files.h"
#include "cache/secret.h"
#include "core/errno_names.h"
#include "core/fd.h"
#include "core/spawn.h"
#include "core/uapi.h"

namespace qi {
namespace {

constexpr int kNoNode = 127;

UniqueFd OpenPlans() {
  char path[PATH_MAX];
  const char* cache = getenv("XDG_CACHE_HOME");
  const char* home = getenv("HOME");
  int n = -1;
  if (cache != nullptr && cache[0] == '/') {
    n = snprintf(path, sizeof(path), "%s/qi-jail", cache);
  } else if (home != nullptr && home[0] == '/') {
    n = snprintf(path, sizeof(path), "%s/.cache/qi-jail", home);
  }
  if (n < 0 || static_cast<size_t>(n) >= sizeof(path)) return UniqueFd();
  UniqueFd own = OpenOwnFolder(AT_FDCWD, path);
  return own ? OpenOwnFolder(own.get(), "plans") : UniqueFd();
}

// Our own folder, working directory and arguments, each with a NUL; 0 when that is more than is kept. What another
// installation made of the same words is no plan of this one, which may be newer, or hold tighter profiles.
size_t WriteKey(const char* root, char* const* args, char* out) {
  if (realpath(root, out) == nullptr) return 0;
  size_t size = strlen(out) + 1;
  char* cwd = out + size;
  if (getcwd(cwd, PATH_MAX) == nullptr || cwd[0] != '/') return 0;
  size += strlen(cwd) + 1;
  for (; *args != nullptr; ++args) {
    size_t length = strlen(*args) + 1;
    if (length > kCacheMaxBytes - size) return 0;
    memcpy(out + size, *args, length);
    size += length;
  }
  return size;
}

struct Contents {
  uint8_t* data = nullptr;
  size_t size = 0;
};

Contents ReadWhole(int fd) {
  Contents whole;
  struct stat st;
  if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > static_cast<off_t>(kCacheMaxBytes)) return whole;
  auto size = static_cast<size_t>(st.st_size);
  auto* data = static_cast<uint8_t*>(malloc(size));
  for (size_t at = 0; data != nullptr; at += whole.size) {
    if (at == size) return {data, size};
    ssize_t n = RetryEintr([&] { return read(fd, data + at, size - at); });
    if (n <= 0) break;
    whole.size = static_cast<size_t>(n);
  }
  free(data);
  return {};
}

Contents OpenEntry(const uint8_t* secret, const uint8_t* key, size_t key_size) {
  uint8_t hash[kSipHashBytes];
  SipHash(secret, key, key_size, hash);
  char name[2 * kSipHashBytes + 1];
  for (size_t i = 0; i < sizeof(hash); ++i) (void)snprintf(name + 2 * i, 3, "%02x", hash[i]);
  UniqueFd plans = OpenPlans();
  UniqueFd file = plans ? OpenOwnFile(plans.get(), name) : UniqueFd();
  return file ? ReadWhole(file.get()) : Contents();
}

// As src/launch/spawn.ts opens it; what is wrong with it is said by the command line tool. True without one, too.
bool OpenAudit(const PlanBlob& blob, const CacheEntry& entry, UniqueFd* audit) {
  if (entry.audit_file.length == 0) return true;
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  audit->reset(openat(AT_FDCWD, Str(blob, entry.audit_file), kFlags, 0600));
  struct stat st;
  return *audit && fstat(audit->get(), &st) == 0 && (entry.audit_unshared == 0 || st.st_nlink == 1);
}

// Dispositions and mask as Node leaves them for what it starts.
void ResetSignals() {
  for (int number = 1; number < 32; ++number) (void)signal(number, SIG_DFL);  // fails for KILL and STOP only
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool Place(UniqueFd plan, UniqueFd audit) {
  UniqueFd null(openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return false;
  UniqueFd* const sources[3] = {&plan, &null, audit ? &audit : &null};
  UniqueFd moved[3];
  for (int i = 0; i < 3; ++i) {
    moved[i].reset(fcntl(sources[i]->get(), F_DUPFD_CLOEXEC, kAuditFd + 1));
    if (!moved[i]) return false;
  }
  // One of them may lie in another's place, and would be closed there at the end.
  for (UniqueFd* source : {&plan, &null, &audit}) source->reset();
  for (int i = 0; i < 3; ++i) {
    if (dup2(moved[i].get(), kPlanFd + i) < 0) return false;
  }
  return true;
}

bool Launchable(const Contents& file, const uint8_t* secret, const Caller& caller) {
  PlanBlob blob;
  const CacheEntry* entry = ReadEntry(file.data, file.size, secret, &blob);
  if (entry == nullptr || !IsCurrent(blob, *entry, caller)) return false;
  Drawn drawn;
  if (getrandom(drawn.bytes, sizeof(drawn.bytes), 0) != static_cast<ssize_t>(sizeof(drawn.bytes))) return false;
  UniqueFd audit;
  if (!OpenAudit(blob, *entry, &audit)) return false;
  size_t size = 0;
  uint8_t* bytes = AssemblePlan(blob, *entry, caller, drawn, &size);
  if (bytes == nullptr) return false;
  UniqueFd plan(SealPlan(bytes, size));
  explicit_bzero(bytes, size);
  free(bytes);
  return plan && Place(std::move(plan), std::move(audit));
}

// What somebody else opened and left to us is none of the jail's.
void CloseOthers() {
  if (uapi::CloseRange(kAuditFd + 1, ~0u, 0) == 0) return;
  for (int fd = kAuditFd + 1; fd < 1024; ++fd) (void)close(fd);  // before 5.9; pid 1 closes the rest
}

// Those of ours must not land among the payload's.
bool OccupyStandardStreams() {
  for (int fd = 0; fd < 3; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && openat(AT_FDCWD, "/dev/null", O_RDWR) != fd) return false;
  }
  return true;
}

}  // namespace

bool TakeKeptPlan(const char* root, char* const* args) {
  if (getenv("QI_JAIL_NO_CACHE") != nullptr || getenv("QI_LOG") != nullptr || !OccupyStandardStreams()) return false;
  Secret secret;
  char facts[kFactsBytes];
  if (!ReadSecret(OpenSecretFolder().get(), secret)) return false;
  auto* key = static_cast<uint8_t*>(malloc(kCacheMaxBytes));
  if (key == nullptr) return false;
  Caller caller = {environ, key, WriteKey(root, args, reinterpret_cast<char*>(key)), facts, 0};
  Contents file;
  if (caller.key_size > 0) file = OpenEntry(secret, key, caller.key_size);
  if (file.data != nullptr) caller.facts_size = CallerFacts(facts);  // asks the kernel a dozen times: only for an entry
  bool ok = file.data != nullptr && caller.facts_size > 0 && Launchable(file, secret, caller);
  free(file.data);
  free(key);
  explicit_bzero(secret, sizeof(secret));
  if (!ok) return false;
  // Who is told that the launch failed does not take it for the last word (src/cli/foreground.ts).
  (void)setenv("QI_JAIL_KEPT_PLAN", "1", 1);
  ResetSignals();
  CloseOthers();
  return true;
}

namespace {

// npm lays what it installs for all in PREFIX/lib/node_modules, and runs by PREFIX/bin/node. A desktop gives the
// programs that it starts the system's PATH, which has no Node of nvm's, or an older one. Returns where that is not so.
void BecomeNodeOfPrefix(const char* root, char* const* argv) {
  static constexpr char kPlace[] = "/lib/node_modules/qi-jail";
  static constexpr char kNode[] = "/bin/node";
  char path[PATH_MAX];
  if (realpath(root, path) == nullptr) return;
  size_t length = strlen(path);
  size_t place = sizeof(kPlace) - 1;
  if (length < place || memcmp(path + length - place, kPlace, place) != 0) return;
  memcpy(path + length - place, kNode, sizeof(kNode));
  (void)execv(path, argv);
}

}  // namespace

int BecomeTool(const char* root, char* const* args) {
  char script[PATH_MAX];
  int n = snprintf(script, sizeof(script), "%s/bin/qi-jail.cjs", root);
  if (n < 0 || static_cast<size_t>(n) >= sizeof(script)) return kNoNode;
  size_t count = 0;
  while (args[count] != nullptr) ++count;
  auto** argv = static_cast<const char**>(calloc(count + 3, sizeof(char*)));
  if (argv == nullptr) return kNoNode;
  argv[0] = "node";
  argv[1] = script;
  memcpy(argv + 2, args, count * sizeof(char*));
  BecomeNodeOfPrefix(root, const_cast<char* const*>(argv));
  (void)execvp("node", const_cast<char* const*>(argv));
  char text[160];
  n = snprintf(text, sizeof(text), "qi-jail: QI_HOST: cannot start node: %s (is Node.js installed, and on PATH?)\n",
               ErrnoName(errno));
  (void)WriteAll(2, text, static_cast<size_t>(n));
  free(argv);
  return kNoNode;
}

}  // namespace qi
