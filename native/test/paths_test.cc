#include "monitor/paths.h"

#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "check.h"
#include "core/fd.h"
#include "core/uapi.h"

namespace {

// Before 5.6, or in a container whose filter does not know it.
void ForgetOpenat2(int error) {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, qi::uapi::kOpenat2, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (qi::uapi::Seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) != 0) qi_check::Fail(__FILE__, __LINE__, "seccomp");
}

class Tree {
 public:
  Tree() {
    strcpy(path_, "/tmp/qi-paths-XXXXXX");
    if (mkdtemp(path_) == nullptr) qi_check::Fail(__FILE__, __LINE__, "mkdtemp");
    root_.reset(open(path_, O_PATH | O_DIRECTORY));
    mkdirat(root_.get(), "dir", 0700);
    mkdirat(root_.get(), "dir/inner", 0700);
    close(openat(root_.get(), "dir/file", O_CREAT | O_WRONLY, 0600));
    (void)!symlinkat("dir", root_.get(), "to-dir");
    (void)!symlinkat("dir/file", root_.get(), "to-file");
    (void)!symlinkat("/", root_.get(), "to-root");
  }
  ~Tree() {
    std::string command = "rm -rf " + std::string(path_);
    (void)!system(command.c_str());
  }
  int root() const { return root_.get(); }
  const char* path() const { return path_; }

 private:
  char path_[32];
  qi::UniqueFd root_;
};

int ErrorOf(int root, const char* path) {
  qi::UniqueFd fd(qi::OpenPlain(root, path));
  return fd ? 0 : errno;
}

bool SameFile(int fd, int dir, const char* path) {
  struct stat a, b;
  return fstat(fd, &a) == 0 && fstatat(dir, path, &b, 0) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

void CheckTree() {
  Tree tree;
  for (const char* path : {"/dir", "dir", "/dir/inner", "/dir/file", "/dir/"}) {
    qi::UniqueFd fd(qi::OpenPlain(tree.root(), path));
    CHECK(fd && SameFile(fd.get(), tree.root(), path[0] == '/' ? path + 1 : path));
  }
  qi::UniqueFd top(qi::OpenPlain(tree.root(), "/"));
  CHECK(top && SameFile(top.get(), tree.root(), "."));
  CHECK_EQ(ErrorOf(tree.root(), "/missing"), ENOENT);
  CHECK_EQ(ErrorOf(tree.root(), "/dir/file/x"), ENOTDIR);
  std::string long_name = "/" + std::string(300, 'x');
  CHECK_EQ(ErrorOf(tree.root(), long_name.c_str()), ENAMETOOLONG);
}

// A link on the way must never be followed; at the end it is opened itself or refused.
void CheckLinks() {
  Tree tree;
  for (const char* path : {"/to-dir/file", "/to-dir/inner", "/to-root/etc"}) {
    int error = ErrorOf(tree.root(), path);
    CHECK(error == ELOOP || error == ENOTDIR);
  }
  for (const char* path : {"/to-dir", "/to-file", "/to-root"}) {
    qi::UniqueFd fd(qi::OpenPlain(tree.root(), path));
    struct stat st;
    CHECK(!fd || (fstat(fd.get(), &st) == 0 && S_ISLNK(st.st_mode)));
  }
}

void CheckHostRoot() {
  qi::UniqueFd null(qi::OpenPlain(-1, "/dev/null"));
  CHECK(null && SameFile(null.get(), AT_FDCWD, "/dev/null"));
  Tree tree;
  qi::UniqueFd same(qi::OpenPlain(-1, tree.path()));
  CHECK(same && SameFile(same.get(), AT_FDCWD, tree.path()));
}

}  // namespace

TEST(Openat2Tree) { CheckTree(); }
TEST(Openat2Links) { CheckLinks(); }
TEST(Openat2HostRoot) { CheckHostRoot(); }

TEST(WalkTree) { ForgetOpenat2(ENOSYS), CheckTree(); }
TEST(WalkLinks) { ForgetOpenat2(ENOSYS), CheckLinks(); }
TEST(WalkHostRoot) { ForgetOpenat2(EPERM), CheckHostRoot(); }

TEST(Openat2StaysBeneath) {
  Tree tree;
  CHECK_EQ(ErrorOf(tree.root(), "/../etc"), EXDEV);
  CHECK_EQ(ErrorOf(tree.root(), "/dir/../../etc"), EXDEV);
}

TEST(ParentAndName) {
  Tree tree;
  const char* name = nullptr;
  qi::UniqueFd parent(qi::OpenParent(tree.root(), "/dir/new", &name));
  CHECK(parent && SameFile(parent.get(), tree.root(), "dir"));
  CHECK_STREQ(name, "new");
  parent.reset(qi::OpenParent(tree.root(), "/new", &name));
  CHECK(parent && SameFile(parent.get(), tree.root(), "."));
  for (const char* path : {"", "new", "/", "/dir/"}) CHECK_EQ(qi::OpenParent(tree.root(), path, &name), -1);
  std::string deep = "/" + std::string(5000, 'x') + "/y";
  CHECK_EQ(qi::OpenParent(tree.root(), deep.c_str(), &name), -1);
}

CHECK_MAIN()
