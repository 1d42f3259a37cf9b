#include "cache/secret.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "cache/own_files.h"

namespace qi {
namespace {

constexpr char kName[] = "cache-key";
constexpr char kNewName[] = "cache-key.new";

bool WriteNew(int folder) {
  Secret secret;
  UniqueFd file(openat(folder, kNewName, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || fchmod(file.get(), 0600) != 0) return false;  // whatever the umask says
  bool ok = getrandom(secret, sizeof(secret), 0) == static_cast<ssize_t>(sizeof(secret)) &&
            WriteAll(file.get(), secret, sizeof(secret)) == 0;
  explicit_bzero(secret, sizeof(secret));
  return ok;
}

// Who holds the lock is the only one that writes here, so that both names are theirs to clear.
bool Replace(int folder) {
  (void)unlinkat(folder, kNewName, 0);  // of one that was killed
  (void)unlinkat(folder, kName,
                 AT_REMOVEDIR);  // nothing else does a rename not replace; one that holds something stays
  if (WriteNew(folder) && renameat(folder, kNewName, folder, kName) == 0) return true;
  (void)unlinkat(folder, kNewName, 0);
  return false;
}

}  // namespace

UniqueFd OpenSecretFolder() {
  char path[64];
  (void)snprintf(path, sizeof(path), "/tmp/qi-jail-%u", geteuid());
  return OpenOwnFolder(AT_FDCWD, path);
}

bool ReadSecret(int folder, Secret& secret) {
  UniqueFd file = folder >= 0 ? OpenOwnFile(folder, kName) : UniqueFd();
  uint8_t content[sizeof(secret) + 1];  // one that is longer is none
  bool ok = file && read(file.get(), content, sizeof(content)) == static_cast<ssize_t>(sizeof(secret));
  if (ok) memcpy(secret, content, sizeof(secret));
  explicit_bzero(content, sizeof(content));
  return ok;
}

bool MakeSecret(int folder, Secret& secret) {
  if (ReadSecret(folder, secret)) return true;
  // The kernel takes the lock from who dies. Who does not get it has no time to wait: one of us may be stopped.
  if (flock(folder, LOCK_EX | LOCK_NB) != 0) return false;
  bool ok = ReadSecret(folder, secret) || (Replace(folder) && ReadSecret(folder, secret));
  (void)flock(folder, LOCK_UN);
  return ok;
}

}  // namespace qi
