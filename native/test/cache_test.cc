// A kept plan: read only when it is whole and signed, used only while everything is as it was, filled in for each
// launch.
#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <functional>

#include "cache/entry.h"
#include "cache/looks.h"
#include "check.h"
#include "core/plan.h"
#include "core/siphash.h"
#include "plan_builder.h"

namespace {

const uint8_t kSecret[qi::kSipKeyBytes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const std::string kKey("/work\0--\0true\0", 14);
const std::string kFacts = "host 1000 1000";

std::string Hash(const std::vector<uint8_t>& data) {
  uint8_t out[qi::kSipHashBytes];
  qi::SipHash(kSecret, data.data(), data.size(), out);
  std::string hex;
  char digits[3];
  for (uint8_t byte : out) {
    snprintf(digits, sizeof(digits), "%02x", byte);
    hex += digits;
  }
  return hex;
}

// An entry as src/cache/store.ts makes it; what a test changes before Finish() is signed, what after it is not.
class EntryBuilder {
 public:
  EntryBuilder() : bytes_(sizeof(qi::CacheEntry)) {
    qi_check::PlanBuilder builder;
    builder.SetList(&qi::Plan::envp, std::vector<qi::PlanString>{builder.Text("TOKEN=then")});
    uint32_t session_at = builder.Text(std::string(36, '0')).offset;
    std::vector<uint8_t> plan = builder.Finish();
    entry().magic = qi::kCacheMagic;
    entry().version = qi::kCacheFormat;
    entry().key = Bytes(kKey);
    entry().facts = Bytes(kFacts);
    entry().audit_file = Text("");
    entry().plan = Bytes(std::string(plan.begin(), plan.end()));
    entry().session_at = session_at;
  }

  qi::CacheEntry& entry() { return *reinterpret_cast<qi::CacheEntry*>(bytes_.data()); }

  qi::PlanBytes Bytes(const std::string& content) {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    qi::PlanBytes ref = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(content.size())};
    bytes_.insert(bytes_.end(), content.begin(), content.end());
    return ref;
  }

  qi::PlanString Text(const std::string& text) {
    qi::PlanBytes ref = Bytes(text);
    bytes_.push_back(0);
    return {ref.offset, ref.length};
  }

  void Add(qi::CacheLook look, const std::string& path, const std::string& value = "") {
    look.path = Text(path);
    look.name = Text("user.name");
    look.value = Bytes(value);
    looks_.push_back(look);
  }

  void Add(qi::VariableKind kind, const std::string& name, const std::string& value = "", uint32_t at = 0) {
    qi::CacheVariable variable = {kind, at, Text(name), Text(value)};
    variables_.push_back(variable);
  }

  std::vector<uint8_t> Finish() {
    entry().looks = List<qi::CacheLook>(looks_);
    entry().variables = List<qi::CacheVariable>(variables_);
    entry().size = static_cast<uint32_t>(bytes_.size());
    return Signed(bytes_);
  }

  static std::vector<uint8_t> Signed(std::vector<uint8_t> bytes) {
    uint8_t code[qi::kSipHashBytes];
    qi::SipHash(kSecret, bytes.data(), bytes.size(), code);
    bytes.insert(bytes.end(), code, code + sizeof(code));
    return bytes;
  }

 private:
  template <typename T>
  qi::PlanList<T> List(const std::vector<T>& items) {
    qi::PlanBytes ref = Bytes(std::string(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T)));
    return {ref.offset, static_cast<uint32_t>(items.size())};
  }

  std::vector<uint8_t> bytes_;
  std::vector<qi::CacheLook> looks_;
  std::vector<qi::CacheVariable> variables_;
};

bool IsRead(const std::vector<uint8_t>& bytes) {
  qi::PlanBlob blob;
  return qi::ReadEntry(bytes.data(), bytes.size(), kSecret, &blob) != nullptr;
}

qi::Caller CallerWith(const char* const* variables) {
  return {variables, reinterpret_cast<const uint8_t*>(kKey.data()), kKey.size(), kFacts.data(), kFacts.size()};
}

bool IsCurrent(EntryBuilder* builder, std::vector<const char*> variables = {}) {
  std::vector<uint8_t> bytes = builder->Finish();
  variables.push_back(nullptr);
  qi::PlanBlob blob;
  const qi::CacheEntry* entry = qi::ReadEntry(bytes.data(), bytes.size(), kSecret, &blob);
  if (entry == nullptr) {
    qi_check::Fail(__FILE__, __LINE__, "the entry is not read");
    return false;
  }
  return qi::IsCurrent(blob, *entry, CallerWith(variables.data()));
}

bool HoldsOf(const qi::CacheLook& look, const std::string& path, const std::string& value = "") {
  EntryBuilder builder;
  builder.Add(look, path, value);
  return IsCurrent(&builder);
}

qi::CacheLook LookOf(qi::LookKind kind, const std::string& path) {
  qi::CacheLook look = {};
  look.kind = kind;
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return look;
  look.mode = st.st_mode;
  look.uid = st.st_uid;
  look.gid = st.st_gid;
  look.dev = st.st_dev;
  look.ino = st.st_ino;
  look.length = static_cast<uint64_t>(st.st_size);
  look.changed = static_cast<uint64_t>(st.st_ctim.tv_sec) * 1000000000u + static_cast<uint64_t>(st.st_ctim.tv_nsec);
  return look;
}

std::string TemporaryFile() {
  char path[] = "/tmp/qi-cache-test-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0 || write(fd, "text", 4) != 4) exit(qi_check::kFailed);
  close(fd);
  return path;
}

std::vector<uint8_t> Assembled(EntryBuilder* builder, std::vector<const char*> variables = {}) {
  std::vector<uint8_t> bytes = builder->Finish();
  variables.push_back(nullptr);
  qi::PlanBlob blob;
  const qi::CacheEntry* entry = qi::ReadEntry(bytes.data(), bytes.size(), kSecret, &blob);
  qi::Drawn drawn = {};
  for (size_t i = 0; i < sizeof(drawn.bytes); ++i) drawn.bytes[i] = static_cast<uint8_t>(0xa0 + i);
  size_t size = 0;
  uint8_t* plan =
      entry == nullptr ? nullptr : qi::AssemblePlan(blob, *entry, CallerWith(variables.data()), drawn, &size);
  std::vector<uint8_t> out(plan, plan + size);
  free(plan);
  return out;
}

}  // namespace

// Of the reference implementation (vectors.h): SipHash-2-4-128 of 0, 1, 2, … under this very key.
TEST(HashesAsPublished) {
  CHECK_STREQ(Hash({}), "a3817f04ba25a8e66df67214c7550293");
  CHECK_STREQ(Hash({0}), "da87c1d86b99af44347659119b22fc45");
}

TEST(ReadsWhatIsWholeAndSigned) {
  EntryBuilder builder;
  std::vector<uint8_t> bytes = builder.Finish();
  CHECK(IsRead(bytes));
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::vector<uint8_t> spoiled = bytes;
    spoiled[at] ^= 1;
    CHECK(!IsRead(spoiled));
  }
  for (size_t size = 0; size < bytes.size(); size += 13) {
    CHECK(!IsRead(std::vector<uint8_t>(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size))));
  }
}

TEST(ReadsNothingLargerThanIsKept) {
  EntryBuilder largest;
  size_t size = EntryBuilder().Finish().size();
  (void)largest.Bytes(std::string(qi::kCacheMaxBytes - size, 'x'));
  CHECK(largest.Finish().size() == qi::kCacheMaxBytes);
  CHECK(IsRead(largest.Finish()));
  EntryBuilder larger;
  (void)larger.Bytes(std::string(qi::kCacheMaxBytes - size + 8, 'x'));
  CHECK(!IsRead(larger.Finish()));
}

TEST(RefusesReferencesOutsideAlsoWhenTheyAreSigned) {
  for (uint32_t offset : {0xffffffffu, 0xfffffff8u, 1u << 20}) {
    for (const auto& spoil : std::vector<std::function<void(qi::CacheEntry*)>>{
             [=](qi::CacheEntry* e) { e->key.offset = offset; }, [=](qi::CacheEntry* e) { e->plan.length = offset; },
             [=](qi::CacheEntry* e) { e->looks.count = offset; },
             [=](qi::CacheEntry* e) { e->temp_at.length = offset; },
             [=](qi::CacheEntry* e) { e->audit_file.offset = offset; }}) {
      std::vector<uint8_t> bytes = EntryBuilder().Finish();
      bytes.resize(bytes.size() - qi::kSipHashBytes);
      spoil(reinterpret_cast<qi::CacheEntry*>(bytes.data()));
      CHECK(!IsRead(EntryBuilder::Signed(bytes)));
    }
  }
}

TEST(HoldsForTheSameRequestOnly) {
  EntryBuilder same;
  CHECK(IsCurrent(&same));
  EntryBuilder other;
  other.entry().key = other.Bytes(std::string("/work\0--\0false\0", 15));
  CHECK(!IsCurrent(&other));
  EntryBuilder host;
  host.entry().facts = host.Bytes("host 1000 1001");
  CHECK(!IsCurrent(&host));
}

TEST(HoldsWhileAPathLooksTheSame) {
  std::string path = TemporaryFile();
  qi::CacheLook whole = LookOf(qi::LookKind::kWhole, path), status = LookOf(qi::LookKind::kStatus, path);
  qi::CacheLook absent = LookOf(qi::LookKind::kAbsent, path + ".none");
  CHECK(HoldsOf(whole, path));
  CHECK(HoldsOf(status, path));
  CHECK(HoldsOf(absent, path + ".none"));
  CHECK(!HoldsOf(absent, path));
  CHECK(!HoldsOf(whole, path + ".none"));
  int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  CHECK(write(fd, "more", 4) == 4);
  close(fd);
  CHECK(!HoldsOf(whole, path));
  CHECK(HoldsOf(status, path));
  CHECK(chmod(path.c_str(), 0640) == 0);
  CHECK(!HoldsOf(status, path));
  unlink(path.c_str());
}

TEST(HoldsWhileNamesStayAway) {
  char made[] = "/tmp/qi-cache-test-XXXXXX";
  const std::string folder = mkdtemp(made), name = folder + "/b", other = folder + "/c";
  qi::CacheLook without = LookOf(qi::LookKind::kWithout, folder);
  const std::string names("a\0b\0", 4);
  CHECK(HoldsOf(without, folder, names));
  without.changed = 1;  // as if it had changed since: they are looked for one by one
  CHECK(HoldsOf(without, folder, names));
  CHECK(!HoldsOf(without, folder, "a"));
  CHECK(!HoldsOf(without, folder, ""));
  CHECK(!HoldsOf(without, folder, std::string(PATH_MAX, 'a') + std::string(1, 0)));
  CHECK(close(open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
  CHECK(HoldsOf(without, folder, names));
  CHECK(symlink("nowhere", name.c_str()) == 0);
  CHECK(!HoldsOf(without, folder, names));
  unlink(name.c_str());
  CHECK(HoldsOf(without, folder, names));
  CHECK(chmod(folder.c_str(), 0755) == 0);
  CHECK(!HoldsOf(without, folder, names));
  unlink(other.c_str());
  rmdir(folder.c_str());
  CHECK(!HoldsOf(without, folder, names));
}

TEST(HoldsWhileAFileSaysTheSame) {
  std::string path = TemporaryFile();
  qi::CacheLook text = {};
  text.kind = qi::LookKind::kText;
  CHECK(!HoldsOf(text, path));
  CHECK(HoldsOf(text, path + ".none"));
  text.mode = 1;
  CHECK(HoldsOf(text, path, "text"));
  CHECK(!HoldsOf(text, path, "tex"));
  CHECK(!HoldsOf(text, path, "texts"));
  CHECK(!HoldsOf(text, path + ".none", ""));
  unlink(path.c_str());
}

TEST(HoldsWhatWasNotedInAProcess) {
  std::string path = TemporaryFile();
  struct {
    qi::CacheLooks head;
    qi::CacheLook look;
    char text[64];
  } noted = {};
  noted.look = LookOf(qi::LookKind::kWhole, path);
  const auto text_at = static_cast<uint32_t>(offsetof(decltype(noted), text));
  snprintf(noted.text, sizeof(noted.text), "%s", path.c_str());
  noted.look.path = {text_at, static_cast<uint32_t>(path.size())};
  noted.look.name = {text_at + 63, 0};
  noted.look.value = {0, 0};
  noted.head.looks = {static_cast<uint32_t>(offsetof(decltype(noted), look)), 1};
  const auto* bytes = reinterpret_cast<const uint8_t*>(&noted);
  CHECK(qi::NotedAreAsBefore(bytes, sizeof(noted)));
  CHECK(!qi::NotedAreAsBefore(bytes, sizeof(noted) - 1));
  CHECK(!qi::NotedAreAsBefore(bytes, sizeof(qi::CacheLooks) - 1));
  CHECK(!qi::NotedAreAsBefore(bytes + 1, sizeof(noted) - 1));
  noted.head.looks.count = 1u << 31;
  CHECK(!qi::NotedAreAsBefore(bytes, sizeof(noted)));
  noted.head.looks.count = 1;
  CHECK(chmod(path.c_str(), 0640) == 0);
  CHECK(!qi::NotedAreAsBefore(bytes, sizeof(noted)));
  unlink(path.c_str());
}

TEST(HoldsForTheSameVariables) {
  auto current = [](std::vector<const char*> variables) {
    EntryBuilder builder;
    builder.Add(qi::VariableKind::kSame, "PATH", "/bin");
    builder.Add(qi::VariableKind::kAbsent, "QI_LOG");
    builder.Add(qi::VariableKind::kPassed, "LC_ALL");
    return IsCurrent(&builder, std::move(variables));
  };
  CHECK(current({"PATH=/bin", "LC_ALL=C", "OTHER=1"}));
  CHECK(current({"PATH=/bin", "LC_ALL=de"}));
  CHECK(!current({"PATH=/bin"}));
  CHECK(!current({"PATH=/usr/bin", "LC_ALL=C"}));
  CHECK(!current({"LC_ALL=C"}));
  CHECK(!current({"PATH=/bin", "LC_ALL=C", "QI_LOG="}));
  CHECK(!current({"PATH=/bin", "LC_ALL=C", "LC_TIME=C"}));
  CHECK(!current({"PATH=/bin", "PATH=/evil", "LC_ALL=C"}));
}

TEST(DrawsForEachLaunch) {
  EntryBuilder builder;
  builder.entry().first_uid = 100000;
  std::vector<uint8_t> plan = Assembled(&builder);
  CHECK(plan.size() > sizeof(qi::Plan));
  const auto* head = reinterpret_cast<const qi::Plan*>(plan.data());
  CHECK(head->uid_outside >= 100000 && head->uid_outside < 165536 && head->gid_outside == head->uid_outside);
  CHECK_STREQ(std::string(plan.end() - 37, plan.end() - 1), "a0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf");
}

TEST(RefusesToWriteOutsideOfThePlan) {
  for (uint32_t at : {0u, 8u, 0xfffffff0u, 1u << 20}) {
    EntryBuilder builder;
    builder.entry().session_at = at;
    CHECK(Assembled(&builder).empty());
  }
}

TEST(PassesOnWhatAVariableSaysNow) {
  EntryBuilder builder;
  builder.Add(qi::VariableKind::kPassed, "TOKEN", "", 0);
  std::vector<uint8_t> bytes = Assembled(&builder, {"TOKEN=now, and longer than it was"});
  qi::PlanBlob blob = {bytes.data(), bytes.size(), bytes.size()};
  const auto* plan = reinterpret_cast<const qi::Plan*>(bytes.data());
  CHECK(plan->size == bytes.size() && plan->envp.count > 0);
  CHECK_STREQ(qi::Str(blob, qi::List(blob, plan->envp)[0]), "TOKEN=now, and longer than it was");
  EntryBuilder outside;
  outside.Add(qi::VariableKind::kPassed, "TOKEN", "", 1u << 30);
  CHECK(Assembled(&outside, {"TOKEN=1"}).empty());
}

CHECK_MAIN()
