// Test tool: counts the instructions that a command and everything it starts execute in user mode, by stepping through
// all of them (ptrace(2), instructions_stepper.h). It counts where valgrind does not know a system call and a virtual
// machine counts nothing.
#include "instructions_stepper.h"

#include <getopt.h>
#include <sys/time.h>

namespace {

using stepping::Counter, stepping::Die, stepping::kOwnFailure, stepping::Options;

constexpr char kUsage[] =
    "usage: instructions [--from NAME]... [--except NAME]... [--max N] [--seconds N] -- CMD [ARG...]\n"
    "Runs CMD, and prints a line of JSON with how many instructions it and all that it starts execute in user mode:\n"
    "in all, and by process and program (each exec begins another). Waits for all of them; its status is that of CMD.\n"
    "  --from NAME     count from where a program of that name is executed on: it and what it starts\n"
    "  --except NAME   do not count programs of that name, nor what they start. They begin when all others sleep\n"
    "  --max N         instructions after which everything is killed (50000000)\n"
    "  --seconds N     seconds after which everything is killed (60)\n"
    "Who is not counted is not stepped either. Names are those of /proc/PID/comm: of 15 letters at most.\n"
    "125: it cannot count, or a limit was reached; 127: CMD cannot be executed. Then there is no JSON.\n";

uint64_t NumberOf(const char* text) {
  char* end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno != 0 || *text < '0' || *text > '9' || *end != 0 || number == 0) Die(text, "not a number");
  return number;
}

Options OptionsOf(int argc, char** argv) {
  constexpr option kOptions[] = {
      {"from", required_argument, nullptr, 'f'}, {"except", required_argument, nullptr, 'e'},
      {"max", required_argument, nullptr, 'm'},  {"seconds", required_argument, nullptr, 's'},
      {"help", no_argument, nullptr, 'h'},       {}};
  Options options;
  for (int option; (option = getopt_long(argc, argv, "+h", kOptions, nullptr)) != -1;) {
    if (option == 'f') options.from.insert(optarg);
    if (option == 'e') options.except.insert(optarg);
    if (option == 'm') options.max = NumberOf(optarg);
    if (option == 's') options.seconds = NumberOf(optarg);
    if (option == 'h' || option == '?') {
      fputs(kUsage, option == 'h' ? stdout : stderr);
      exit(option == 'h' ? 0 : kOwnFailure);
    }
  }
  options.command = argv + optind;
  if (options.command[0] != nullptr) return options;
  fputs(kUsage, stderr);
  exit(kOwnFailure);
}

// Again and again: one that comes just before a wait begins would not end it.
void StartTicks() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stepping::ticks = stepping::ticks + 1; };
  itimerval timer = {{0, stepping::kTickMs * 1000}, {0, stepping::kTickMs * 1000}};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);  // whoever started us may have blocked it
  bool ok = sigaction(SIGALRM, &action, nullptr) == 0 && sigprocmask(SIG_UNBLOCK, &set, nullptr) == 0;
  if (!ok || setitimer(ITIMER_REAL, &timer, nullptr) != 0) Die("timer", strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  Options options = OptionsOf(argc, argv);
  (void)signal(SIGCHLD, SIG_DFL);  // ignored, as we may have inherited it, nobody would tell how a child ended
  Counter counter(options);
  counter.Start();
  StartTicks();
  if (const char* error = counter.Follow()) Die(options.command[0], error);
  if (!counter.HasExecuted()) return counter.status();  // the child said why
  if (!counter.HasCounted()) Die(options.command[0], "nothing that was to be counted was executed (--from, --except)");
  counter.Print();
  return counter.status();
}
