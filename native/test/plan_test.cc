#include <fcntl.h>
#include <sys/mman.h>

#include <functional>

#include "check.h"
#include "core/plan.h"
#include "core/spawn.h"
#include "plan_builder.h"

using qi_check::PlanBuilder;

namespace {

std::string Refusal(const std::vector<uint8_t>& bytes) {
  qi::PlanBlob blob;
  qi::Result r = qi::CheckPlan(bytes.data(), bytes.size(), &blob);
  return r.ok() ? "" : r.detail;
}

std::string RefusalAfter(const std::function<void(PlanBuilder*)>& spoil) {
  PlanBuilder builder;
  spoil(&builder);
  return Refusal(builder.Finish());
}

int SealedCopy(const std::vector<uint8_t>& bytes, int seals) {
  int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) return -1;
  return fcntl(fd, F_ADD_SEALS, seals) == 0 ? fd : -1;
}

}  // namespace

TEST(AcceptsWhatIsWhole) { CHECK_STREQ(Refusal(PlanBuilder().Finish()), ""); }

TEST(RefusesTheHead) {
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) { b->plan().magic ^= 1; }), "plan magic");
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) { b->plan().version += 1; }), "plan version");
  std::vector<uint8_t> bytes = PlanBuilder().Finish();
  bytes.push_back(0);
  CHECK_STREQ(Refusal(bytes), "plan size field");
  bytes.resize(sizeof(qi::Plan) - 1);
  CHECK_STREQ(Refusal(bytes), "plan length");
  CHECK_STREQ(Refusal({}), "plan length");
}

TEST(RefusesTextsOutside) {
  const std::string outside = "a reference points outside the plan";
  for (uint32_t offset : {0xffffffffu, 0xfffffff0u, 100000u}) {
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().cwd.offset = offset; }), outside);
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().cwd.length = offset; }), outside);
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().argv.offset = offset; }), outside);
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().argv.count = offset; }), outside);
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().init_filter.offset = offset; }), outside);
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->plan().init_filter.length = offset; }), outside);
  }
}

TEST(RefusesTextsThatAreNotOneText) {
  const std::string outside = "a reference points outside the plan";
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) { b->plan().cwd.length -= 1; }), outside);  // no NUL after it
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) { b->Set(&qi::Plan::cwd, std::string("/t\0mp", 5)); }), outside);
  // The last text of the plan, one byte too long: its NUL would lie outside.
  PlanBuilder builder;
  builder.Set(&qi::Plan::command_line, "last");
  std::vector<uint8_t> bytes = builder.Finish();
  bytes.pop_back();
  reinterpret_cast<qi::Plan*>(bytes.data())->size -= 1;
  CHECK_STREQ(Refusal(bytes), outside);
}

TEST(RefusesListsThatAreNotAligned) {
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) { b->plan().argv.offset += 4; }), "a reference points outside the plan");
}

TEST(TextsMayOverlapOnlyWithinTheBudget) {
  // 60,000 arguments that are all one text of 100,000 bytes would cost six thousand million bytes to check.
  PlanBuilder builder;
  qi::PlanString text = builder.Text(std::string(100000, 'x'));
  builder.SetList(&qi::Plan::argv, std::vector<qi::PlanString>(60000, text));
  CHECK_STREQ(Refusal(builder.Finish()), "a reference points outside the plan");
  PlanBuilder small;
  qi::PlanString one = small.Text("x");
  small.SetList(&qi::Plan::argv, std::vector<qi::PlanString>(60000, one));
  CHECK_STREQ(Refusal(small.Finish()), "");
}

TEST(RefusesTooManyItems) {
  PlanBuilder builder;
  qi::PlanString one = builder.Text("x");
  builder.SetList(&qi::Plan::argv, std::vector<qi::PlanString>(qi::kPlanMaxItems + 1, one));
  CHECK_STREQ(Refusal(builder.Finish()), "a reference points outside the plan");
}

TEST(RefusesUnknownKindsAndReservedBits) {
  const std::string outside = "a reference points outside the plan";
  for (uint32_t kind : {0u, 11u, 0xffffffffu}) {
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) {
                  b->SetList(&qi::Plan::mounts, {b->Mount(static_cast<qi::MountKind>(kind), "/a", "/a")});
                }),
                outside);
  }
  CHECK_STREQ(RefusalAfter([](PlanBuilder* b) {
                qi::MountOp op = b->Mount(qi::MountKind::kDir, "", "/a");
                op.reserved = 1;
                b->SetList(&qi::Plan::mounts, {op});
              }),
              outside);
}

TEST(RefusesPathsThatAreNotPlain) {
  for (const char* path : {"", "tmp", "/tmp/..", "/../tmp", "/tmp/./x", "/.", "/..", "/tmp//x", "//"}) {
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->Set(&qi::Plan::cwd, path); }),
                "cwd is not a plain absolute path");
    CHECK_STREQ(
        RefusalAfter([=](PlanBuilder* b) { b->SetList(&qi::Plan::mounts, {b->Mount(qi::MountKind::kDir, "", path)}); }),
        "mount target is not a plain absolute path");
  }
  for (const char* path : {"/", "/tmp", "/tmp/...", "/.x", "/..x/y.."}) {
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->Set(&qi::Plan::cwd, path); }), "");
  }
  for (qi::MountKind kind : {qi::MountKind::kBind, qi::MountKind::kDevice, qi::MountKind::kMask}) {
    CHECK_STREQ(RefusalAfter([=](PlanBuilder* b) { b->SetList(&qi::Plan::mounts, {b->Mount(kind, "a", "/a")}); }),
                "mount source is not a plain absolute path");
  }
}

TEST(RefusesFiltersTheKernelWould) {
  for (uint32_t length : {0u, 4u, 8u * 4097u}) {
    PlanBuilder builder;
    builder.Text(std::string(8 * 4097, 'x'));
    builder.plan().payload_filter.length = length;
    CHECK_STREQ(Refusal(builder.Finish()), "filter length");
  }
}

TEST(ARunWithoutAHostHasOneRecordAndAnIdThatIsAName) {
  auto with = [](const std::string& id, const std::string& folder, uint32_t flags = 0) {
    return RefusalAfter([=](PlanBuilder* b) {
      b->SetForeground(id, folder);
      b->plan().flags |= flags;
    });
  };
  CHECK_STREQ(with("one", "/run/user/0/qi-jail"), "");
  CHECK_STREQ(with("", "/tmp/x"), "");
  for (const char* id : {"..", ".hidden", "a/b", "/"}) CHECK_STREQ(with(id, "/tmp"), "id of the jail");
  CHECK_STREQ(with(std::string(65, 'x'), "/tmp"), "id of the jail");
  for (const char* folder : {"", "tmp", "/tmp/../etc", "/tmp//x"})
    CHECK_STREQ(with("one", folder), "control folder is not a plain absolute path");
  CHECK_STREQ(with("one", "/tmp", qi::kPlanControl), "a run without a host has one");
  CHECK_STREQ(with("one", "/tmp", qi::kPlanPrivileged), "filter length");  // it needs a keeper
}

TEST(ReadsOnlySealedPlans) {
  constexpr int kAll = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  std::vector<uint8_t> bytes = PlanBuilder().Finish();
  qi::PlanBlob blob;
  CHECK(qi::ReadPlan(SealedCopy(bytes, kAll), &blob).ok());
  for (int missing : {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW}) {
    qi::Result r = qi::ReadPlan(SealedCopy(bytes, kAll & ~missing), &blob);
    CHECK_EQ(r.step, qi::Step::kReadPlan);
    CHECK_EQ(r.error, EPERM);
  }
  CHECK_EQ(qi::ReadPlan(SealedCopy({}, kAll), &blob).error, EFBIG);
  CHECK_EQ(qi::ReadPlan(-1, &blob).error, EBADF);
  int pipe_fds[2];
  REQUIRE(pipe(pipe_fds) == 0);
  CHECK_EQ(qi::ReadPlan(pipe_fds[0], &blob).error, EINVAL);
}

TEST(ReadPlanChecksWhatItReads) {
  std::vector<uint8_t> bytes = PlanBuilder().Finish();
  bytes[0] ^= 1;
  qi::PlanBlob blob;
  qi::Result r = qi::ReadPlan(SealedCopy(bytes, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), &blob);
  CHECK_EQ(r.step, qi::Step::kCheckPlan);
  CHECK_EQ(r.error, EINVAL);
}

CHECK_MAIN()
