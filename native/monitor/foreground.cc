#include "monitor/foreground.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/errno_names.h"
#include "monitor/environment.h"
#include "monitor/sentence.h"

namespace qi {
namespace {

// As Node names them. signal(7)
const char* SignalName(uint32_t number) {
  static const char* const kNames[] = {"SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",  "SIGTRAP",   "SIGABRT", "SIGBUS",
                                       "SIGFPE",  "SIGKILL",   "SIGUSR1", "SIGSEGV", "SIGUSR2",   "SIGPIPE", "SIGALRM",
                                       "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP",   "SIGTSTP", "SIGTTIN",
                                       "SIGTTOU", "SIGURG",    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",
                                       "SIGIO",   "SIGPWR",    "SIGSYS"};
  return number >= 1 && number <= 31 ? kNames[number - 1] : nullptr;
}

// Pages that nobody touches cost nothing.
Sentence sentence;
JsonWriter json;

Sentence& Begin() {
  sentence.Clear();
  return sentence.Add("qi-jail: ");
}

void Put(const char* key, uint64_t value) {
  json.Key(key);
  json.Unsigned(value);
}

uint32_t EndingSignal(int status) { return WIFSIGNALED(status) ? static_cast<uint32_t>(WTERMSIG(status)) : 0; }

// Singular and plural of what an action is about.
struct RefusalKind {
  const char* prefix;
  const char* one;
  const char* many;
};
constexpr RefusalKind kKinds[] = {{"syscall.", "system call", "system calls"},
                                  {"network.", "connection", "connections"},
                                  {"dns.", "name", "names"},
                                  {"file", "file access", "file accesses"}};

}  // namespace

bool Foreground::Init(const Jail& jail, char* const* argv, RefusalTally* tally) {
  jail_ = &jail;
  argv_ = argv;
  if (jail.plan->foreground.count == 0) return true;
  plan_ = &List(jail.blob, jail.plan->foreground)[0];
  if (plan_->telling == Telling::kSentences) tally->Enable();
  out_.reset(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, kAuditFd + 1));
  return static_cast<bool>(out_);
}

void Foreground::OnConfined() {
  confined_ = true;
  ForgetEnvironment();
}

void Foreground::Say() {
  const char* line = sentence.Finish();
  WriteToPerson(out_.get(), line, sentence.size());
}

void Foreground::SayLine(const char* whole) {
  sentence.Clear();
  sentence.Add(whole);
  Say();
}

void Foreground::SayJson() {
  json.EndLine();
  WriteToPerson(out_.get(), json.data(), json.size());
}

int Foreground::OnFailure(const Result& r) {
  if (!confined_) Retry(r);
  for (const LateFailure& known : List(jail_->blob, plan_->late_failures)) {
    if (known.step != static_cast<uint32_t>(r.step) || known.error != static_cast<uint32_t>(r.error)) continue;
    SayLine(jail_->Text(known.line));
    return static_cast<int>(known.status);
  }
  TellFailure(r);
  return kOwnFailure;
}

// "STEP ERRNO DETAIL" in the environment is what it has to tell.
void Foreground::Retry(const Result& r) {
  char failure[sizeof(r.detail) + 64];
  snprintf(failure, sizeof(failure), "QI_JAIL_LAUNCH_FAILED=%u %d %s", static_cast<unsigned>(r.step), r.error,
           r.detail);
  Span<PlanString> words = List(jail_->blob, plan_->retry);
  size_t variables = 0, arguments = 0;
  while (environ[variables] != nullptr) ++variables;
  while (argv_[arguments] != nullptr) ++arguments;
  auto** argv = static_cast<char**>(calloc(words.size + arguments + 1, sizeof(char*)));
  auto** envp = static_cast<char**>(calloc(variables + 2, sizeof(char*)));
  if (words.size > 0 && argv != nullptr && envp != nullptr) {
    for (size_t i = 0; i < words.size; ++i) argv[i] = const_cast<char*>(jail_->Text(words[i]));
    memcpy(argv + words.size, argv_, arguments * sizeof(char*));
    memcpy(envp, environ, variables * sizeof(char*));
    envp[variables] = failure;
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, nullptr);  // what came meanwhile acts on us: there is no payload to get it
    execve(argv[0], argv, envp);
  }
  free(argv);
  free(envp);
}

void Foreground::TellFailure(const Result& r) {
  char text[sizeof(r.detail) + 96];
  snprintf(text, sizeof(text), "the launch failed at step %u: %s%s%s", static_cast<unsigned>(r.step),
           ErrnoName(r.error), r.detail[0] != 0 ? ": " : "", r.detail);
  if (plan_->telling != Telling::kJson) {
    Begin().Add("QI_LAUNCH: ").Add(text);
    return Say();
  }
  json.Clear();
  json.Open('{');
  json.Key("error");
  json.Open('{');
  json.Pair("code", "QI_LAUNCH");
  json.Pair("message", text);
  json.Pair("step", static_cast<int64_t>(r.step));
  json.Pair("errno", ErrnoName(r.error));
  json.Close('}');
  json.Close('}');
  SayJson();
}

void Foreground::OnStart() {
  const char* line = jail_->Text(plan_->started);
  if (*line != 0) SayLine(line);
}

void Foreground::OnEnd(const End& end) {
  if (plan_->telling == Telling::kJson) TellAsJson(end);
  if (plan_->telling != Telling::kSentences) return;
  TellReason(*end.outcome);
  if (end.lost_events > 0) {
    Begin().AddNumber(end.lost_events).Add(end.lost_events == 1 ? " event" : " events").Add(" could not be written");
    Say();
  }
  if (end.refusals + end.file_refusals > end.tally->routine()) TellRefusals(end);
  if (end.permitted > 0) {
    Begin().Add("permissive: strict would have refused ").AddNumber(end.permitted).Add(" more");
    Say();
  }
}

// The members of JailExit (src/launch/jail.ts).
void Foreground::TellAsJson(const End& end) {
  int status = end.outcome->wait_status;
  const char* signal = SignalName(EndingSignal(status));
  json.Clear();
  json.Open('{');
  json.Key("exit");
  json.Open('{');
  json.Key("code");
  WIFEXITED(status) ? json.Number(WEXITSTATUS(status)) : json.Raw("null");
  json.Key("signal");
  signal != nullptr ? json.String(signal) : json.Raw("null");
  json.Pair("terminationReason", end.outcome->reason);
  Put("refusals", end.refusals);
  Put("fileRefusals", end.file_refusals);
  Put("permitted", end.permitted);
  Put("lostEvents", end.lost_events);
  json.Close('}');
  json.Close('}');
  SayJson();
}

// The plan's sentence for this end, with what only the end could tell: how much it was, and who held the limit.
void Foreground::TellReason(const Outcome& outcome) {
  uint32_t signal = EndingSignal(outcome.wait_status);
  const Reached& reached = LastReached();
  bool of_memory = strcmp(outcome.reason, "memory") == 0;
  const char* limit = of_memory ? "maxMemory" : strcmp(outcome.reason, "pids") == 0 ? "maxProcesses" : "";
  for (const EndText& known : List(jail_->blob, plan_->ends)) {
    if (strcmp(jail_->Text(known.reason), outcome.reason) != 0) continue;
    if (known.signal != 0 && known.signal != signal) continue;
    Begin().Add(jail_->Text(known.text));
    if (reached.limit != nullptr && strcmp(reached.limit, limit) == 0) {
      if (of_memory && reached.value != 0) sentence.Add(", peak ").AddSize(reached.value);
      sentence.Add(" (").Add(reached.enforced_by).Add(")");
    }
    return Say();
  }
}

// `3 calls were refused (2 connections, 1 system call); ...`: how many, of which kind, and what explains them.
void Foreground::TellRefusals(const End& end) {
  uint64_t all = end.refusals + end.file_refusals - end.tally->routine();
  Begin().AddNumber(all).Add(all == 1 ? " call was refused" : " calls were refused");
  const char* separator = " (";
  for (const RefusalKind& kind : kKinds) {
    uint64_t count = end.tally->Count(kind.prefix);
    if (count == 0) continue;
    sentence.Add(separator).AddNumber(count).Add(" ").Add(count == 1 ? kind.one : kind.many);
    separator = ", ";
  }
  sentence.Add(*separator == ',' ? "); " : "; ");
  const TalliedRefusal* first = end.tally->MostFrequent();
  const char* explained = jail_->Text(plan_->explained);
  if (*explained != 0) {
    sentence.Add(explained);
  } else if (first == nullptr) {
    sentence.Add("--audit FILE tells which");
  } else {
    sentence.Add("qi-jail why ");
    if (first->access[0] != 0) sentence.Add("--").Add(first->access).Add(" ");
    sentence.AddWord(first->what).Add(", with the same options, explains ");
    sentence.Add(end.tally->size() == 1 ? "it" : "the most frequent");
  }
  Say();
}

}  // namespace qi
