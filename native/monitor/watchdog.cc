#include "monitor/watchdog.h"

#include <cstring>

#include "monitor/proportional.h"

namespace qi {
namespace {

constexpr uint64_t kMs = 1000000;
// For descriptors, and again for page walks: qi-monitor has other things to do than to look.
constexpr uint64_t kBudgetNs = 20 * kMs;
// Of page walks on a busy host, or where a process keeps its mappings locked.
constexpr uint64_t kPatienceNs = 1000 * kMs;
// A vfork(2) lasts until the child's exec. Who stretches it, or stages one, is believed this long for the same
// processes; whoever stages it, twice the limit is the most that is taken for less (Pair).
constexpr uint64_t kDoubtNs = 1000 * kMs;

}  // namespace

uint64_t NextLook(uint64_t headroom, uint64_t cost_ns) {
  constexpr uint64_t kBytesPerNs = 4, kShortestMs = 2, kLongestMs = 500;
  uint64_t ms = headroom / kBytesPerNs / kMs;
  if (ms < kShortestMs) ms = kShortestMs;
  if (ms > kLongestMs) ms = kLongestMs;
  uint64_t rest = 10 * cost_ns / kMs;
  return ms > rest ? ms : rest;
}

bool Watchdog::Open(const Jail& jail, int root, int system_v, pid_t ancestor) {
  max_ = jail.plan->memory_max;
  tasks_max_ = jail.plan->processes_max;
  // The plan is in a memfd.
  return table_.Open(root, ancestor) && shared_.Open(root, system_v, kPlanFd, table_, ancestor == 0);
}

void Watchdog::NoteTasks() {
  sight_.tasks = table_.tasks();
  sight_.biggest = table_.count() > 0 ? table_[0].pid : 0;
  if (sight_.tasks > peak_tasks_) peak_tasks_ = sight_.tasks;
}

const Watchdog::Sight& Watchdog::Look(uint64_t threshold) {
  constexpr int kMostLooks = 3;
  // Its own time, not the clock's: on a busy host a look is long without being dear, and a jail that keeps the host
  // busy must not be looked at less often for it.
  uint64_t used = NowNs(CLOCK_THREAD_CPUTIME_ID);
  uint64_t level = threshold != 0 && threshold < max_ ? threshold : max_;
  uint64_t sure = LookOnce(level);
  // One is read after the other. When those who share memory come and go meanwhile, the shares that were read are not
  // of one whole: then it takes more than one look to be sure, but no more than these.
  for (int i = 1; i < kMostLooks && sight_.over_memory && !OneIsOver(); ++i) sure = LookOnce(level);
  if (sure > peak_) peak_ = sure;
  sight_.next_ms = NextLook(sight_.memory < max_ ? max_ - sight_.memory : 0, NowNs(CLOCK_THREAD_CPUTIME_ID) - used);
  return sight_;
}

// Returns what is there without any doubt.
uint64_t Watchdog::LookOnce(uint64_t level) {
  table_.Read();
  shared_.Look(table_, NowNs() + kBudgetNs);
  NoteTasks();
  uint64_t bound = table_.bytes() + shared_.bytes();
  Doubt doubt;
  sight_.memory = bound < level ? bound : Refine(bound, level, &doubt);
  sight_.over_memory = IsOver(sight_.memory, doubt);
  return sight_.memory - doubt.bytes;
}

bool Watchdog::OneIsOver() const {
  bool over = shared_.bytes() >= max_;
  for (size_t i = 0; i < table_.count() && !over; ++i) over = counted_[i] >= max_;
  return over;
}

// From the biggest on, until it is known to be less than `enough`.
uint64_t Watchdog::Refine(uint64_t bound, uint64_t enough, Doubt* doubt) {
  // What is not read in time counts in full, and may end the jail for what it only shares: so it is our own time that
  // counts, not what a busy host takes of it.
  uint64_t until = NowNs(CLOCK_THREAD_CPUTIME_ID) + kBudgetNs, patience = NowNs() + kPatienceNs;
  for (size_t i = 0; i < table_.count(); ++i) {
    counted_[i] = table_[i].bytes;
    partner_[i] = kNobody;
  }
  for (size_t i = 0; i < table_.count() && bound >= enough && NowNs() < patience; ++i) {
    if (NowNs(CLOCK_THREAD_CPUTIME_ID) >= until) break;
    Pair(i);  // first: it may end in between, and then nothing is borrowed
    counted_[i] = ProportionalBytes(table_, table_[i], shared_, until);
    bound -= table_[i].bytes - counted_[i];
  }
  for (size_t i = 0; i < table_.count(); ++i) {
    size_t other = partner_[i];
    if (other == kNobody || other < i) continue;  // of two the first stands for both
    doubt->bytes += counted_[i] < counted_[other] ? counted_[i] : counted_[other];
    doubt->processes += static_cast<uint64_t>(table_[i].pid) + static_cast<uint64_t>(table_[other].pid);
  }
  return bound;
}

// Nobody is in two pairs, neither as another one's lender nor because it lends what it has borrowed: of each pair the
// bigger one is always counted, so what is doubted is never more than half of it all.
void Watchdog::Pair(size_t index) {
  if (partner_[index] != kNobody) return;
  pid_t parent = MayBorrowFrom(table_, table_[index].pid);
  for (size_t i = 0; i < table_.count() && parent != 0; ++i) {
    if (table_[i].pid != parent) continue;
    if (i == index || partner_[i] != kNobody || !BorrowsMemory(table_, table_[index], table_[i])) return;
    partner_[index] = i;
    partner_[i] = index;
    return;
  }
}

bool Watchdog::IsOver(uint64_t bytes, const Doubt& doubt) {
  if (bytes < max_) {
    doubt_since_ns_ = 0;
    return false;
  }
  if (bytes - doubt.bytes >= max_) return true;
  uint64_t now = NowNs();
  if (doubt_since_ns_ == 0 || doubted_ != doubt.processes) doubt_since_ns_ = now;
  doubted_ = doubt.processes;
  return now - doubt_since_ns_ > kDoubtNs;
}

uint64_t Watchdog::Measure() {
  Doubt doubt;
  table_.Read();
  shared_.Look(table_, NowNs() + kBudgetNs);
  NoteTasks();
  uint64_t bytes = Refine(table_.bytes() + shared_.bytes(), 0, &doubt) - doubt.bytes;
  if (bytes > peak_) peak_ = bytes;
  return bytes;
}

const Watchdog::Sight& Watchdog::LookAtTasks() {
  constexpr uint64_t kShortestMs = 1000, kLongestMs = 8000;
  table_.Read();
  NoteTasks();
  bool many = sight_.tasks >= tasks_max_ / 2;
  tasks_ms_ = many || tasks_ms_ == 0 ? kShortestMs : tasks_ms_ * 2;
  if (tasks_ms_ > kLongestMs) tasks_ms_ = kLongestMs;
  sight_.next_ms = tasks_ms_;
  return sight_;
}

}  // namespace qi
