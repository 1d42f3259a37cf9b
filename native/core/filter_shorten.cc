#include "core/filter_shorten.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace qi {
namespace {

using Program = std::vector<sock_filter>;

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint16_t kJump = BPF_JMP | BPF_JA;
constexpr uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kGreater = BPF_JMP | BPF_JGT | BPF_K;
constexpr uint16_t kAtLeast = BPF_JMP | BPF_JGE | BPF_K;

constexpr uint32_t kAll = ~0u;
constexpr size_t kMaxSteps = 1u << 20;  // far more than the longest of ours takes

/// Four bytes of struct seccomp_data, of which some bits are asked about.
struct Word {
  uint32_t offset = kAll;
  uint32_t mask = 0;
};

/// From this value of the word on, up to the next case, it goes on with that node.
struct Case {
  uint32_t from;
  size_t node;
};

/// A word and what follows from each of its values, or an answer.
struct Node {
  Word word;
  std::vector<Case> cases;  // none: an answer
  uint32_t answer = 0;
};

/// Words whose value is known on the way here.
using Facts = std::map<uint32_t, uint32_t>;

/// The program as a graph of nodes: what jumps after jumps do with one word is one node, what can no longer be true is
/// left out, and what is the same is there once.
class Graph {
 public:
  explicit Graph(const Program& program) : program_(program) {}

  bool Build(size_t* root) {
    *root = Decide(0, {}, {});
    return !failed_;
  }
  const Node& At(size_t node) const { return nodes_[node]; }

 private:
  size_t Decide(size_t pc, Word loaded, const Facts& facts) {
    for (; Step(pc); ++pc) {
      const sock_filter& it = program_[pc];
      if (it.code == kLoad) {
        loaded = {it.k, kAll};
      } else if (it.code == kAnd) {
        loaded.mask &= it.k;
      } else if (it.code == kReturn) {
        return Intern({{}, {}, it.k});
      } else if (it.code == kJump) {
        pc += it.k;
      } else {
        auto known = facts.find(loaded.offset);
        if (loaded.mask != 0 && known == facts.end()) return Ask(pc, loaded, facts);
        uint32_t value = loaded.mask != 0 ? known->second & loaded.mask : 0;
        pc += Holds(it, value) ? it.jt : it.jf;
      }
    }
    return 0;
  }

  size_t Ask(size_t pc, Word loaded, const Facts& facts) {
    Node node = {loaded, {}, 0};
    Split(pc, loaded, 0, loaded.mask, facts, &node.cases);
    return node.cases.size() == 1 ? node.cases[0].node : Intern(std::move(node));
  }

  /// Follows the values `low` to `high` of the word for as long as only they are asked about.
  void Split(size_t pc, Word loaded, uint32_t low, uint32_t high, const Facts& facts, std::vector<Case>* cases) {
    for (; Step(pc); ++pc) {
      const sock_filter& it = program_[pc];
      bool again = it.code == kLoad && it.k == loaded.offset && loaded.mask == kAll;
      if (again) continue;
      if (it.code == kJump) {
        pc += it.k;
      } else if (it.code == kLoad || it.code == kAnd || it.code == kReturn) {
        Facts more = facts;
        if (low == high && loaded.mask == kAll) more[loaded.offset] = low;
        return Add(low, Decide(pc, loaded, more), cases);
      } else if (Holds(it, low) == Holds(it, high) && !(it.code == kEqual && low < it.k && it.k < high)) {
        pc += Holds(it, low) ? it.jt : it.jf;
      } else {
        uint32_t middle = it.code == kGreater || (it.code == kEqual && low == it.k) ? it.k + 1 : it.k;
        Split(pc, loaded, low, middle - 1, facts, cases);
        return Split(pc, loaded, middle, high, facts, cases);
      }
    }
  }

  static bool Holds(const sock_filter& it, uint32_t value) {
    return it.code == kEqual ? value == it.k : it.code == kGreater ? value > it.k : value >= it.k;
  }

  static void Add(uint32_t from, size_t node, std::vector<Case>* cases) {
    if (cases->empty() || cases->back().node != node) cases->push_back({from, node});
  }

  size_t Intern(Node node) {
    std::vector<uint32_t> key = {node.word.offset, node.word.mask, node.answer};
    for (const Case& it : node.cases) key.insert(key.end(), {it.from, static_cast<uint32_t>(it.node)});
    auto [found, fresh] = known_.emplace(std::move(key), nodes_.size());
    if (fresh) nodes_.push_back(std::move(node));
    return found->second;
  }

  /// Whether there is an instruction there that this understands, and patience left.
  bool Step(size_t pc) {
    if (pc < program_.size() && ++steps_ < kMaxSteps) {
      for (uint16_t code : {kLoad, kAnd, kReturn, kJump, kEqual, kGreater, kAtLeast}) {
        if (program_[pc].code == code) return !failed_;
      }
    }
    failed_ = true;
    return false;
  }

  const Program& program_;
  std::vector<Node> nodes_;
  std::map<std::vector<uint32_t>, size_t> known_;
  size_t steps_ = 0;
  bool failed_ = false;
};

/// Writes from the end to the start, since jumps lead forward only: what is written is named by its distance from the
/// end.
class Writer {
 public:
  explicit Writer(const Graph& graph) : graph_(graph) {}

  Program Write(size_t root) {
    (void)Place(root);
    return Program(code_.rbegin(), code_.rend());
  }

 private:
  /// A search among this many cases goes one by one.
  static constexpr size_t kFew = 9;
  /// A conditional jump passes 255 instructions; another two may come between before it is written.
  static constexpr size_t kFar = 250;

  size_t Place(size_t node) {
    auto known = placed_.find(node);
    if (known != placed_.end()) return known->second;
    const Node& it = graph_.At(node);
    if (it.cases.empty()) return placed_[node] = Push(kReturn, it.answer);
    std::vector<Case> targets = it.cases;
    for (Case& target : targets) target.node = Place(target.node);
    (void)Search(targets);
    if (it.word.mask != kAll) (void)Push(kAnd, it.word.mask);
    return placed_[node] = Push(kLoad, it.word.offset);
  }

  /// Of `cases` each `node` is a place here.
  size_t Search(const std::vector<Case>& cases) {
    size_t count = cases.size();
    if (count == 1) return cases[0].node;
    for (size_t i = 1; count <= kFew && i + 1 < count; ++i) {
      if (cases[i - 1].node != cases[i + 1].node || cases[i].from + 1 != cases[i + 1].from) continue;
      std::vector<Case> others = cases;
      others.erase(others.begin() + static_cast<ptrdiff_t>(i), others.begin() + static_cast<ptrdiff_t>(i) + 2);
      return Branch(kEqual, cases[i].from, cases[i].node, Search(others));
    }
    auto middle = cases.begin() + static_cast<ptrdiff_t>(count / 2);
    size_t above = Search({middle, cases.end()});
    return Branch(kAtLeast, middle->from, above, Search({cases.begin(), middle}));
  }

  size_t Branch(uint16_t code, uint32_t value, size_t yes, size_t no) {
    yes = Near(yes);
    no = Near(no);
    size_t here = Push(code, value);
    code_[here].jt = static_cast<uint8_t>(here - yes - 1);
    code_[here].jf = static_cast<uint8_t>(here - no - 1);
    return here;
  }

  /// The place itself, or a new one that leads there: an answer is given again, to anything else it jumps.
  size_t Near(size_t place) {
    if (code_.size() - place < kFar) return place;
    size_t& near = near_[place];
    if (near == 0 || code_.size() - near >= kFar) {
      const sock_filter to = code_[place];
      near = to.code == kReturn ? Push(kReturn, to.k) : Push(kJump, static_cast<uint32_t>(code_.size() - place - 1));
    }
    return near;
  }

  size_t Push(uint16_t code, uint32_t value) {
    code_.push_back({code, 0, 0, value});
    return code_.size() - 1;
  }

  const Graph& graph_;
  Program code_;
  std::map<size_t, size_t> placed_;
  std::map<size_t, size_t> near_;
};

}  // namespace

std::vector<sock_filter> Shorten(const std::vector<sock_filter>& program) {
  Graph graph(program);
  size_t root = 0;
  if (!graph.Build(&root)) return program;
  Program shorter = Writer(graph).Write(root);
  return shorter.size() < program.size() ? shorter : program;
}

}  // namespace qi
