#include "monitor/decode_tables.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <cstring>

namespace qi {
namespace {

// clang-format off: tables read best as tables
#define F(flag) \
  { static_cast<uint64_t>(flag), static_cast<uint64_t>(flag), #flag }
#define V(value) \
  { static_cast<uint64_t>(value), 0, #value }
#define END \
  { 0, 0, nullptr }

constexpr FlagName kClone[] = {{0x10000000, 0x10000000, "CLONE_NEWUSER"},
                               {0x00020000, 0x00020000, "CLONE_NEWNS"},
                               {0x20000000, 0x20000000, "CLONE_NEWPID"},
                               {0x40000000, 0x40000000, "CLONE_NEWNET"},
                               {0x08000000, 0x08000000, "CLONE_NEWIPC"},
                               {0x04000000, 0x04000000, "CLONE_NEWUTS"},
                               {0x02000000, 0x02000000, "CLONE_NEWCGROUP"},
                               {0x80, 0x80, "CLONE_NEWTIME"},
                               {0x100, 0x100, "CLONE_VM"},
                               {0x200, 0x200, "CLONE_FS"},
                               {0x400, 0x400, "CLONE_FILES"},
                               {0x4000, 0x4000, "CLONE_VFORK"},
                               {0x10000, 0x10000, "CLONE_THREAD"},
                               {17, 0x7f, "SIGCHLD"},
                               END};
constexpr FlagName kOpen[] = {{1, 3, "O_WRONLY"},
                              {2, 3, "O_RDWR"},
                              F(O_CREAT),
                              F(O_EXCL),
                              F(O_TRUNC),
                              F(O_APPEND),
                              F(O_NONBLOCK),
                              F(O_DIRECTORY),
                              F(O_NOFOLLOW),
                              F(O_CLOEXEC),
                              {010000000, 010000000, "O_PATH"},
                              {020000000, 020000000, "O_TMPFILE"},
                              {0, 0, "O_RDONLY"},
                              END};
constexpr FlagName kMount[] = {F(MS_RDONLY), F(MS_NOSUID), F(MS_NODEV), F(MS_NOEXEC),     F(MS_REMOUNT),
                               F(MS_BIND),   F(MS_MOVE),   F(MS_REC),   F(MS_UNBINDABLE), F(MS_PRIVATE),
                               F(MS_SLAVE),  F(MS_SHARED), END};
constexpr FlagName kUmount[] = {F(MNT_FORCE), F(MNT_DETACH), F(MNT_EXPIRE), {8, 8, "UMOUNT_NOFOLLOW"}, {0, 0, "0"},
                                END};
constexpr FlagName kFamily[] = {V(AF_UNIX),
                                V(AF_INET),
                                V(AF_INET6),
                                V(AF_NETLINK),
                                V(AF_PACKET),
                                V(AF_ALG),
                                {40, 0, "AF_VSOCK"},
                                {44, 0, "AF_XDP"},
                                {31, 0, "AF_BLUETOOTH"},
                                {29, 0, "AF_CAN"},
                                {30, 0, "AF_TIPC"},
                                {15, 0, "AF_KEY"},
                                END};
constexpr FlagName kSocketType[] = {{1, 0xf, "SOCK_STREAM"},
                                    {2, 0xf, "SOCK_DGRAM"},
                                    {3, 0xf, "SOCK_RAW"},
                                    {5, 0xf, "SOCK_SEQPACKET"},
                                    F(SOCK_NONBLOCK),
                                    F(SOCK_CLOEXEC),
                                    END};
constexpr FlagName kMessage[] = {F(MSG_OOB),
                                 F(MSG_DONTROUTE),
                                 F(MSG_DONTWAIT),
                                 F(MSG_EOR),
                                 F(MSG_MORE),
                                 F(MSG_NOSIGNAL),
                                 {0x20000000, 0x20000000, "MSG_FASTOPEN"},
                                 {0, 0, "0"},
                                 END};
constexpr FlagName kPtrace[] = {
    {0, 0, "PTRACE_TRACEME"},  {16, 0, "PTRACE_ATTACH"},  {0x4206, 0, "PTRACE_SEIZE"}, {1, 0, "PTRACE_PEEKTEXT"},
    {2, 0, "PTRACE_PEEKDATA"}, {4, 0, "PTRACE_POKETEXT"}, {5, 0, "PTRACE_POKEDATA"},   END};
constexpr FlagName kKeyctl[] = {{0, 0, "KEYCTL_GET_KEYRING_ID"},
                                V(KEYCTL_JOIN_SESSION_KEYRING),
                                V(KEYCTL_UPDATE),
                                V(KEYCTL_REVOKE),
                                V(KEYCTL_DESCRIBE),
                                V(KEYCTL_CLEAR),
                                V(KEYCTL_LINK),
                                V(KEYCTL_UNLINK),
                                V(KEYCTL_SEARCH),
                                V(KEYCTL_READ),
                                END};
constexpr FlagName kBpf[] = {
    {0, 0, "BPF_MAP_CREATE"}, {1, 0, "BPF_MAP_LOOKUP_ELEM"}, {2, 0, "BPF_MAP_UPDATE_ELEM"}, {5, 0, "BPF_PROG_LOAD"},
    {6, 0, "BPF_OBJ_PIN"},    {7, 0, "BPF_OBJ_GET"},         {18, 0, "BPF_BTF_LOAD"},       END};
constexpr FlagName kPrctl[] = {V(PR_SET_SECCOMP), V(PR_SET_MM),      V(PR_SET_SECUREBITS), V(PR_CAPBSET_DROP),
                               V(PR_SET_PTRACER), V(PR_CAP_AMBIENT), V(PR_SET_KEEPCAPS),   END};
constexpr FlagName kIoctl[] = {{0x5412, 0, "TIOCSTI"},
                               {0x541c, 0, "TIOCLINUX"},
                               {0x541d, 0, "TIOCCONS"},
                               {0x540e, 0, "TIOCSCTTY"},
                               {0x5423, 0, "TIOCSETD"},
                               {0x8933, 0, "SIOCGIFINDEX"},
                               END};
constexpr FlagName kSeccomp[] = {V(SECCOMP_SET_MODE_STRICT), V(SECCOMP_SET_MODE_FILTER), V(SECCOMP_GET_ACTION_AVAIL),
                                 V(SECCOMP_GET_NOTIF_SIZES), END};
constexpr FlagName kRename[] = {
    {1, 1, "RENAME_NOREPLACE"}, {2, 2, "RENAME_EXCHANGE"}, {4, 4, "RENAME_WHITEOUT"}, {0, 0, "0"}, END};
constexpr FlagName kUnlink[] = {{0x200, 0x200, "AT_REMOVEDIR"}, {0, 0, "0"}, END};
constexpr FlagName kAt[] = {{0x100, 0x100, "AT_SYMLINK_NOFOLLOW"},
                            {0x400, 0x400, "AT_SYMLINK_FOLLOW"},
                            {0x1000, 0x1000, "AT_EMPTY_PATH"},
                            {0x8000, 0x8000, "AT_RECURSIVE"},
                            {1, 1, "OPEN_TREE_CLONE"},
                            {0, 0, "0"},
                            END};

#undef F
#undef V

constexpr ArgumentSpec Int(const char* n) { return {n, ArgType::kInt, nullptr}; }
constexpr ArgumentSpec Long(const char* n) { return {n, ArgType::kLong, nullptr}; }
constexpr ArgumentSpec Hex(const char* n) { return {n, ArgType::kHex, nullptr}; }
constexpr ArgumentSpec Mode(const char* n) { return {n, ArgType::kMode, nullptr}; }
constexpr ArgumentSpec Dir(const char* n) { return {n, ArgType::kDirFd, nullptr}; }
constexpr ArgumentSpec Path(const char* n) { return {n, ArgType::kPath, nullptr}; }
constexpr ArgumentSpec Flags(const char* n, const FlagName* f) { return {n, ArgType::kFlags, f}; }
constexpr ArgumentSpec Addr() { return {"address", ArgType::kAddress, nullptr}; }

constexpr CallSpec kCalls[] = {
    {"clone", {Flags("flags", kClone)}},
    {"unshare", {Flags("flags", kClone)}},
    {"setns", {Int("fd"), Flags("nstype", kClone)}},
    {"mount", {Path("source"), Path("target"), Path("filesystemtype"), Flags("flags", kMount)}},
    {"umount2", {Path("target"), Flags("flags", kUmount)}},
    {"pivot_root", {Path("new_root"), Path("put_old")}},
    {"chroot", {Path("path")}},
    {"fsopen", {Path("fsname"), Hex("flags")}},
    {"fspick", {Dir("dirfd"), Path("path"), Hex("flags")}},
    {"fsmount", {Int("fd"), Hex("flags"), Hex("attr_flags")}},
    {"open_tree", {Dir("dirfd"), Path("path"), Flags("flags", kAt)}},
    {"move_mount", {Dir("from_dirfd"), Path("from_path"), Dir("to_dirfd"), Path("to_path"), Hex("flags")}},
    {"mount_setattr", {Dir("dirfd"), Path("path"), Flags("flags", kAt)}},
    {"ptrace", {Flags("request", kPtrace), Int("pid"), Hex("addr"), Hex("data")}},
    {"process_vm_readv",
     {Int("pid"), Hex("local_iov"), Long("liovcnt"), Hex("remote_iov"), Long("riovcnt"), Hex("flags")}},
    {"process_vm_writev",
     {Int("pid"), Hex("local_iov"), Long("liovcnt"), Hex("remote_iov"), Long("riovcnt"), Hex("flags")}},
    {"pidfd_getfd", {Int("pidfd"), Int("targetfd"), Hex("flags")}},
    {"kcmp", {Int("pid1"), Int("pid2"), Int("type")}},
    {"bpf", {Flags("cmd", kBpf), Hex("attr"), Int("size")}},
    {"perf_event_open", {Hex("attr"), Int("pid"), Int("cpu"), Int("group_fd"), Hex("flags")}},
    {"userfaultfd", {Flags("flags", kOpen)}},
    {"io_uring_setup", {Int("entries"), Hex("params")}},
    {"io_uring_enter", {Int("fd"), Int("to_submit"), Int("min_complete"), Hex("flags")}},
    {"io_uring_register", {Int("fd"), Int("opcode"), Hex("arg"), Int("nr_args")}},
    {"keyctl", {Flags("operation", kKeyctl), Hex("arg2"), Hex("arg3"), Hex("arg4"), Hex("arg5")}},
    {"add_key", {Path("type"), Path("description"), Hex("payload"), Long("plen"), Int("keyring")}},
    {"request_key", {Path("type"), Path("description"), Path("callout_info"), Int("dest_keyring")}},
    {"socket", {Flags("domain", kFamily), Flags("type", kSocketType), Int("protocol")}},
    {"socketpair", {Flags("domain", kFamily), Flags("type", kSocketType), Int("protocol")}},
    {"connect", {Int("sockfd"), Addr(), Int("addrlen")}},
    {"bind", {Int("sockfd"), Addr(), Int("addrlen")}},
    {"sendto", {Int("sockfd"), Hex("buf"), Long("len"), Flags("flags", kMessage), Addr(), Int("addrlen")}},
    {"sendmsg", {Int("sockfd"), Hex("msg"), Flags("flags", kMessage)}},
    {"sendmmsg", {Int("sockfd"), Hex("msgvec"), Int("vlen"), Flags("flags", kMessage)}},
    {"ioctl", {Int("fd"), Flags("request", kIoctl), Hex("argp")}},
    {"prctl", {Flags("option", kPrctl), Hex("arg2"), Hex("arg3"), Hex("arg4"), Hex("arg5")}},
    {"seccomp", {Flags("operation", kSeccomp), Hex("flags"), Hex("args")}},
    {"personality", {Hex("persona")}},
    {"open", {Path("path"), Flags("flags", kOpen), Mode("mode")}},
    {"openat", {Dir("dirfd"), Path("path"), Flags("flags", kOpen), Mode("mode")}},
    {"creat", {Path("path"), Mode("mode")}},
    {"mkdir", {Path("path"), Mode("mode")}},
    {"mkdirat", {Dir("dirfd"), Path("path"), Mode("mode")}},
    {"mknod", {Path("path"), Mode("mode"), Hex("dev")}},
    {"mknodat", {Dir("dirfd"), Path("path"), Mode("mode"), Hex("dev")}},
    {"symlink", {Path("target"), Path("linkpath")}},
    {"symlinkat", {Path("target"), Dir("newdirfd"), Path("linkpath")}},
    {"link", {Path("oldpath"), Path("newpath")}},
    {"linkat", {Dir("olddirfd"), Path("oldpath"), Dir("newdirfd"), Path("newpath"), Flags("flags", kAt)}},
    {"rename", {Path("oldpath"), Path("newpath")}},
    {"renameat", {Dir("olddirfd"), Path("oldpath"), Dir("newdirfd"), Path("newpath")}},
    {"renameat2", {Dir("olddirfd"), Path("oldpath"), Dir("newdirfd"), Path("newpath"), Flags("flags", kRename)}},
    {"execve", {Path("path"), Hex("argv"), Hex("envp")}},
    {"execveat", {Dir("dirfd"), Path("path"), Hex("argv"), Hex("envp"), Flags("flags", kAt)}},
    {"chdir", {Path("path")}},
    {"unlink", {Path("path")}},
    {"unlinkat", {Dir("dirfd"), Path("path"), Flags("flags", kUnlink)}},
    {"rmdir", {Path("path")}},
    {"truncate", {Path("path"), Long("length")}},
    {"chown", {Path("path"), Int("owner"), Int("group")}},
    {"lchown", {Path("path"), Int("owner"), Int("group")}},
    {"fchownat", {Dir("dirfd"), Path("path"), Int("owner"), Int("group"), Flags("flags", kAt)}},
    {"utime", {Path("path"), Hex("times")}},
    {"utimes", {Path("path"), Hex("times")}},
    {"futimesat", {Dir("dirfd"), Path("path"), Hex("times")}},
    {"utimensat", {Dir("dirfd"), Path("path"), Hex("times"), Flags("flags", kAt)}},
    {"setxattr", {Path("path"), Path("name"), Hex("value"), Long("size"), Hex("flags")}},
    {"lsetxattr", {Path("path"), Path("name"), Hex("value"), Long("size"), Hex("flags")}},
    {"setxattrat", {Dir("dirfd"), Path("path"), Flags("at_flags", kAt), Path("name"), Hex("args"), Long("size")}},
    {"removexattr", {Path("path"), Path("name")}},
    {"lremovexattr", {Path("path"), Path("name")}},
    {"chmod", {Path("path"), Mode("mode")}},
    {"fchmod", {Int("fd"), Mode("mode")}},
    {"fchmodat", {Dir("dirfd"), Path("path"), Mode("mode")}},
    {"fchmodat2", {Dir("dirfd"), Path("path"), Mode("mode"), Flags("flags", kAt)}},
    {"open_by_handle_at", {Int("mount_fd"), Hex("handle"), Flags("flags", kOpen)}},
    {"name_to_handle_at", {Dir("dirfd"), Path("path"), Hex("handle"), Hex("mount_id"), Flags("flags", kAt)}},
    {"swapon", {Path("path"), Hex("flags")}},
    {"swapoff", {Path("path")}},
    {"acct", {Path("path")}},
    {"reboot", {Hex("magic"), Hex("magic2"), Hex("op")}},
    {"sethostname", {Path("name"), Long("len")}},
    {"setdomainname", {Path("name"), Long("len")}},
    {"init_module", {Hex("module_image"), Long("len"), Path("param_values")}},
    {"finit_module", {Int("fd"), Path("param_values"), Hex("flags")}},
    {"delete_module", {Path("name"), Flags("flags", kOpen)}},
    {"fanotify_init", {Hex("flags"), Hex("event_f_flags")}},
};

// clang-format on

}  // namespace

const CallSpec* FindCall(const char* name) {
  for (const CallSpec& call : kCalls) {
    if (strcmp(call.name, name) == 0) return &call;
  }
  return nullptr;
}

}  // namespace qi
