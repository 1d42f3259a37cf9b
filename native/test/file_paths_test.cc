#include "monitor/file_paths.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

namespace {

// Folders of ours under the process's own root, which stands for the jail's.
class Tree {
 public:
  Tree() {
    char name[] = "/tmp/qi-file-paths-XXXXXX";
    if (mkdtemp(name) == nullptr) qi_check::Fail(__FILE__, __LINE__, "mkdtemp");
    path = name;
    mkdir(At("/dir").c_str(), 0700);
    close(open(At("/dir/file").c_str(), O_CREAT | O_WRONLY, 0600));
    (void)!symlink("dir", At("/to-dir").c_str());
    (void)!symlink("dir/file", At("/to-file").c_str());
    (void)!symlink("nowhere/at/all", At("/dangling").c_str());
    root_.reset(open("/", O_PATH | O_DIRECTORY));
    paths.SetRoot(root_.get());
  }
  ~Tree() {
    std::string command = "rm -rf " + path;
    (void)!system(command.c_str());
  }
  std::string At(const std::string& below) const { return path + below; }
  bool Find(const std::string& text, qi::FilePath* found, bool follow = true, int dirfd = AT_FDCWD) const {
    return paths.Find(getpid(), dirfd, text.c_str(), follow, found);
  }

  std::string path;
  qi::FilePaths paths;

 private:
  qi::UniqueFd root_;
};

// What is there, by another way of writing it.
void IsFound(const Tree& tree, const std::string& text, const std::string& canonical, bool follow = true) {
  qi::FilePath found;
  CHECK(tree.Find(text, &found, follow));
  CHECK(found.at && found.parent);
  CHECK_EQ(found.error, 0);
  CHECK_STREQ(found.path, tree.At(canonical));
}

// What is not there: how far it leads, and whether only the last name is missing.
void IsMissing(const Tree& tree, const std::string& text, const std::string& canonical, bool is_last) {
  qi::FilePath found;
  CHECK(tree.Find(text, &found));
  CHECK(!found.at);
  CHECK_STREQ(found.path, tree.At(canonical));
  CHECK_EQ(found.is_last, is_last);
  CHECK_EQ(static_cast<bool>(found.parent), is_last);
}

}  // namespace

TEST(WhatExistsGoesByItsCanonicalName) {
  Tree tree;
  IsFound(tree, tree.At("/dir/file"), "/dir/file");
  IsFound(tree, tree.At("//dir/./file"), "/dir/file");
  IsFound(tree, tree.At("/to-dir/file"), "/dir/file");
  IsFound(tree, tree.At("/to-dir/../to-file"), "/dir/file");
  IsFound(tree, tree.At("/to-file"), "/dir/file");
  IsFound(tree, tree.At("/to-file"), "/to-file", false);
  IsFound(tree, "/proc/self/root" + tree.At("/dir/file"), "/dir/file");
  IsFound(tree, "/proc/self/root/proc/thread-self/root" + tree.At("/dir"), "/dir");
}

TEST(RelativeNamesBeginWhereTheThreadIs) {
  Tree tree;
  REQUIRE(chdir(tree.At("/dir").c_str()) == 0);
  IsFound(tree, "file", "/dir/file");
  IsFound(tree, "../to-dir/file", "/dir/file");
  qi::UniqueFd folder(open(tree.path.c_str(), O_PATH | O_DIRECTORY));
  qi::FilePath found;
  CHECK(tree.Find("dir/file", &found, true, folder.get()));
  CHECK_STREQ(found.path, tree.At("/dir/file"));
  CHECK(tree.Find("", &found, true, folder.get()));  // AT_EMPTY_PATH
  CHECK_STREQ(found.path, tree.path);
}

TEST(WhatIsMissingIsCanonicalAsFarAsItLeads) {
  Tree tree;
  IsMissing(tree, tree.At("/to-dir/new"), "/dir/new", true);
  IsMissing(tree, tree.At("/to-dir/a/b/c"), "/dir/a/b/c", false);
  IsMissing(tree, tree.At("/dir//./a/./b//"), "/dir/a/b", false);
  IsMissing(tree, tree.At("/dir/file/below"), "/dir/file/below", false);
  IsMissing(tree, tree.At("/dangling"), "/dangling", false);
}

TEST(FilesThatHaveNoNameAreNotFoundByOne) {
  Tree tree;
  qi::FilePath found;
  int pair[2];
  REQUIRE(pipe(pair) == 0);
  CHECK(!tree.Find("/proc/self/fd/" + std::to_string(pair[0]), &found));
  CHECK(!tree.Find("x", &found, true, pair[0]));
  CHECK(!tree.Find("/dev/stdin", &found));
  CHECK(!tree.Find("/dev/fd/0", &found));
  CHECK(!tree.Find("x", &found, true, 1000));  // no such descriptor
}

// Deeper than PATH_MAX, by a folder that is held: nobody can tell what it is called.
TEST(WhatIsTooLongToFollowSaysSo) {
  Tree tree;
  qi::FilePath found;
  REQUIRE(chdir(tree.At("/dir").c_str()) == 0);
  CHECK(tree.Find(std::string(PATH_MAX - 10, 'x'), &found));
  CHECK(found.is_unseen);
  CHECK(!found.at && !found.parent);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "/a";
  IsMissing(tree, tree.At("/dir" + many), "/dir" + many, false);
}

CHECK_MAIN()
