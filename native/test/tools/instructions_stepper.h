// Steps through processes and counts (instructions.cc).
// What a step is: an instruction, a system call among them; each round of a repeated one (`rep movs`). The return of an
// exec is the first step of the program that it starts; a call that does not return is none.
// Time goes by a thousand times faster for who is stepped, and what is done at certain times would be done more or less
// often, as the machine is fast. So what is not counted (--except) begins when all who are counted sleep: it takes them
// no time then.
#pragma once
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/fd.h"

namespace stepping {

constexpr int kOwnFailure = 125, kNoCommand = 127;
constexpr long kTraced = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                         PTRACE_O_EXITKILL;  // whatever ends this tool, nothing stays behind

struct Options {
  std::set<std::string> from, except;
  uint64_t max = 50'000'000;
  uint64_t seconds = 60;
  char** command = nullptr;
};

// A program in a process: from its exec, or the fork that it was copied by, to the next exec or the end.
struct Program {
  int process, parent;  // numbers of ours, from 1 on
  std::string name;
  uint64_t instructions;
};

// A process, or a thread, which is counted as if it were one.
struct Task {
  int process = 0, parent = 0;
  int program = -1;        // none: not stepped
  bool announced = false;  // by who made it. Its own first stop may be seen before that
  bool waits = false, ended = false;
  bool held = false;  // has executed what is not counted, and has not begun with it
};

// Who slept at so many ticks, one after the other, does so for longer.
constexpr int kTickMs = 20, kQuietTicks = 2;
inline volatile sig_atomic_t ticks;  // that the timer made

inline uint64_t NowMs() {
  timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

[[noreturn]] inline void Die(const char* what, const char* why) {
  fprintf(stderr, "instructions: %s: %s\n", what, why);
  exit(kOwnFailure);
}

// The kernel's name of it, without what would have to be escaped.
inline std::string NameOf(pid_t pid) {
  char text[32];
  snprintf(text, sizeof(text), "/proc/%d/comm", pid);
  qi::UniqueFd fd(open(text, O_RDONLY | O_CLOEXEC));
  ssize_t size = fd ? read(fd.get(), text, sizeof(text)) : 0;
  std::string name(text, size > 0 ? static_cast<size_t>(size - 1) : 0);  // a line
  for (char& c : name) {
    if (c < ' ' || c == '"' || c == '\\') c = '?';
  }
  return name;
}

// Not who only waits for a processor.
inline bool Sleeps(pid_t pid) {
  char text[256];
  snprintf(text, sizeof(text), "/proc/%d/stat", pid);
  qi::UniqueFd fd(open(text, O_RDONLY | O_CLOEXEC));
  ssize_t size = fd ? read(fd.get(), text, sizeof(text) - 1) : 0;
  text[size > 0 ? size : 0] = 0;
  const char* state = strrchr(text, ')');  // the name may hold some
  return state == nullptr || (state[1] != 0 && strchr("RD", state[2]) == nullptr);
}

inline unsigned long EventOf(pid_t pid) {
  unsigned long message = 0;
  (void)ptrace(PTRACE_GETEVENTMSG, pid, nullptr, &message);  // fails where the tracee was killed meanwhile: 0
  return message;
}

// The trap of a step, as opposed to one that somebody sent, or that a breakpoint of the program's own is.
enum class Trap { kStep, kNone, kOthers };
inline Trap TrapOf(pid_t pid) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, pid, nullptr, &info) != 0) return Trap::kNone;  // killed meanwhile
  if (info.si_code == SIGTRAP) return Trap::kNone;  // before the first instruction of a signal's handler
#if defined(__aarch64__)
  if (info.si_code == SI_USER && info.si_pid == 0) return Trap::kStep;  // at the end of a system call
#endif
  return info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT ? Trap::kStep : Trap::kOthers;
}

class Counter {
 public:
  explicit Counter(const Options& options) : options_(options) {}

  void Start();
  // Until nothing is left. Returns why it gave up, or null.
  const char* Follow();
  void Print() const;
  int status() const { return status_; }
  bool HasExecuted() const { return executed_; }
  bool HasCounted() const { return !programs_.empty(); }

 private:
  void OnStop(pid_t pid, int status);
  void OnSignal(pid_t pid, int signal);
  void OnBirth(pid_t parent, pid_t child);
  void OnExec(pid_t pid, pid_t before);
  void OnEnd(pid_t pid, int status);
  void Begin(Task* task, const std::string& name);
  void Resume(pid_t pid, int signal);
  void OnTick();
  void KillAll();

  const Options& options_;
  std::map<pid_t, Task> tasks_;
  std::vector<Program> programs_;
  int processes_ = 0, status_ = kOwnFailure;
  bool executed_ = false;
  uint64_t total_ = 0, total_at_tick_ = 0;
  int seen_ticks_ = 0, quiet_ticks_ = 0;
  pid_t first_ = 0;
};

inline void Counter::Start() {
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) Die("pipe", strerror(errno));
  first_ = fork();
  if (first_ < 0) Die("fork", strerror(errno));
  if (first_ == 0) {
    char byte;
    (void)close(go[1]);
    if (read(go[0], &byte, 1) != 1) _exit(kOwnFailure);
    execvp(options_.command[0], options_.command);
    fprintf(stderr, "instructions: cannot execute %s: %s\n", options_.command[0], strerror(errno));
    _exit(kNoCommand);
  }
  // Seized, not attached: only then a stop by a signal can be told from others, and lasts.
  if (ptrace(PTRACE_SEIZE, first_, nullptr, kTraced) != 0) Die("ptrace", strerror(errno));
  tasks_[first_] = {++processes_, 0, -1, true, false, false, false};
  if (write(go[1], "", 1) != 1) Die("pipe", strerror(errno));
  (void)close(go[0]);
  (void)close(go[1]);
}

inline const char* Counter::Follow() {
  const char* error = nullptr;
  uint64_t began_ms = NowMs();
  while (error == nullptr) {
    int status;
    pid_t pid = waitpid(-1, &status, __WALL);
    int failure = errno;
    if (ticks != seen_ticks_) {
      OnTick();
      if (NowMs() - began_ms >= options_.seconds * 1000) error = "not over in time (--seconds)";
    }
    if (pid < 0) {
      if (failure == EINTR) continue;
      return failure == ECHILD ? nullptr : strerror(failure);
    } else if (!WIFSTOPPED(status)) {
      OnEnd(pid, status);
    } else {
      OnStop(pid, status);
      if (total_ > options_.max) error = "too many instructions (--max)";
    }
  }
  KillAll();
  return error;
}

inline void Counter::OnStop(pid_t pid, int status) {
  int signal = WSTOPSIG(status);
  switch (status >> 16) {
    case 0:
      return OnSignal(pid, signal);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      OnBirth(pid, static_cast<pid_t>(EventOf(pid)));
      break;
    case PTRACE_EVENT_EXEC:
      OnExec(pid, static_cast<pid_t>(EventOf(pid)));
      break;
    case PTRACE_EVENT_STOP:
      // The first stop of who was just made, which nobody spoke of yet.
      if (!tasks_[pid].announced) {
        tasks_[pid].waits = true;
        return;
      }
      // Stopped as a group: it stays so until a SIGCONT, which is told by another of these stops, with SIGTRAP.
      if (signal != SIGTRAP) {
        (void)ptrace(PTRACE_LISTEN, pid, nullptr, nullptr);  // fails where it was killed meanwhile
        return;
      }
      break;
    default:
      break;
  }
  Resume(pid, 0);
}

inline void Counter::OnSignal(pid_t pid, int signal) {
  Task& task = tasks_[pid];
  Trap trap = signal == SIGTRAP && task.program >= 0 ? TrapOf(pid) : Trap::kOthers;
  if (trap == Trap::kStep) {
    ++programs_[static_cast<size_t>(task.program)].instructions;
    ++total_;
  }
  Resume(pid, trap == Trap::kOthers ? signal : 0);
}

inline void Counter::OnBirth(pid_t parent, pid_t child) {
  if (child <= 0) return;
  Task& task = tasks_[child];
  const Task& maker = tasks_[parent];
  bool waits = task.waits, ended = task.ended;
  task = {++processes_, maker.process, -1, true, false, false, false};
  if (maker.program >= 0) Begin(&task, std::string(programs_[static_cast<size_t>(maker.program)].name));
  if (waits) Resume(child, 0);
  if (ended) tasks_.erase(child);
}

// A thread that executes a program gets the number of the first one, and the others are gone.
inline void Counter::OnExec(pid_t pid, pid_t before) {
  if (before > 0 && before != pid) {
    tasks_[pid] = tasks_[before];
    tasks_.erase(before);
  }
  executed_ = true;
  Task& task = tasks_[pid];
  std::string name = NameOf(pid);
  bool begins = options_.from.empty() ? pid == first_ && programs_.empty() : options_.from.count(name) != 0;
  if (options_.except.count(name) != 0) {
    task.program = -1;
    task.held = true;
  } else if (begins || task.program >= 0) {
    Begin(&task, name);
  }
}

inline void Counter::OnEnd(pid_t pid, int status) {
  if (pid == first_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  Task& task = tasks_[pid];
  task.ended = true;
  if (task.announced) tasks_.erase(pid);
}

inline void Counter::Begin(Task* task, const std::string& name) {
  task->program = static_cast<int>(programs_.size());
  programs_.push_back({task->process, task->parent, name, 0});
}

inline void Counter::Resume(pid_t pid, int signal) {
  if (tasks_[pid].held) return;
  auto how = tasks_[pid].program >= 0 ? PTRACE_SINGLESTEP : PTRACE_CONT;
  (void)ptrace(how, pid, nullptr, signal);  // fails where it was killed meanwhile, which is told
}

inline void Counter::OnTick() {
  seen_ticks_ = ticks;
  bool quiet = total_ == total_at_tick_;
  total_at_tick_ = total_;
  for (const auto& [pid, task] : tasks_) quiet = quiet && (task.program < 0 || Sleeps(pid));
  quiet_ticks_ = quiet ? quiet_ticks_ + 1 : 0;
  if (quiet_ticks_ < kQuietTicks) return;
  for (auto& [pid, task] : tasks_) {
    if (!task.held) continue;
    task.held = false;
    Resume(pid, 0);
  }
}

// Numbers are of nobody else: whose end was seen is not among them.
inline void Counter::KillAll() {
  for (const auto& [pid, task] : tasks_) {
    if (!task.ended) (void)kill(pid, SIGKILL);
  }
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
    if (pid > 0 && WIFSTOPPED(status)) (void)kill(pid, SIGKILL);  // born while the others were killed
  }
}

inline void Counter::Print() const {
  printf("{\"status\":%d,\"total\":%llu,\"programs\":[", status_, static_cast<unsigned long long>(total_));
  const char* between = "";
  for (const Program& program : programs_) {
    printf("%s{\"process\":%d,\"parent\":%d,\"program\":\"%s\",\"instructions\":%llu}", between, program.process,
           program.parent, program.name.c_str(), static_cast<unsigned long long>(program.instructions));
    between = ",";
  }
  printf("]}\n");
}

}  // namespace stepping
