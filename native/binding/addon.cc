// The addon: converts in, calls core, converts out. Its TypeScript face is src/launch/native.ts.
#include <napi.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <string>
#include <vector>

#include "binding/judge.h"
#include "binding/keep.h"
#include "core/errno_names.h"
#include "core/execute.h"
#include "core/filter_compile.h"
#include "core/plan.h"
#include "core/probe.h"
#include "core/spawn.h"
#include "core/uapi.h"

namespace {

// Leaves a JavaScript exception pending; the addon itself is built without C++ exceptions.
Napi::Value Throw(Napi::Env env, const char* code, const char* what, int error) {
  Napi::Error e = Napi::Error::New(env, std::string(what) + ": " + qi::ErrnoName(error));
  e.Set("code", Napi::String::New(env, code));
  e.Set("errno", Napi::Number::New(env, error));
  e.Set("syscall", Napi::String::New(env, what));
  e.ThrowAsJavaScriptException();
  return env.Undefined();
}

uint64_t ToUint64(const Napi::Value& value) {
  bool lossless = false;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

qi::FilterAction ToAction(const Napi::Value& value) {
  using Kind = qi::FilterAction::Kind;
  Napi::Object object = value.As<Napi::Object>();
  std::string kind = object.Get("kind").As<Napi::String>();
  qi::FilterAction action;
  if (kind == "allow") action.kind = Kind::kAllow;
  if (kind == "notify") action.kind = Kind::kNotify;
  if (kind == "errno") {
    action.kind = Kind::kErrno;
    action.error = object.Get("errno").As<Napi::Number>().Uint32Value();
  }
  return action;  // anything else kills: the default
}

qi::FilterRule ToRule(const Napi::Object& object) {
  qi::FilterRule rule;
  rule.number = object.Get("number").As<Napi::Number>().Uint32Value();
  rule.action = ToAction(object.Get("action"));
  Napi::Array args = object.Get("args").As<Napi::Array>();
  for (uint32_t i = 0; i < args.Length(); ++i) {
    Napi::Object arg = args.Get(i).As<Napi::Object>();
    rule.args.push_back(
        {arg.Get("arg").As<Napi::Number>().Uint32Value(), ToUint64(arg.Get("mask")), ToUint64(arg.Get("value"))});
  }
  return rule;
}

Napi::Value CompileFilter(const Napi::CallbackInfo& info) {
  Napi::Object spec = info[0].As<Napi::Object>();
  qi::FilterInput input;
  input.arch =
      spec.Get("arch").As<Napi::String>().Utf8Value() == "arm64" ? qi::FilterArch::kArm64 : qi::FilterArch::kX64;
  input.fallback = ToAction(spec.Get("fallback"));
  Napi::Array rules = spec.Get("rules").As<Napi::Array>();
  input.rules.reserve(rules.Length());
  for (uint32_t i = 0; i < rules.Length(); ++i) input.rules.push_back(ToRule(rules.Get(i).As<Napi::Object>()));
  std::vector<uint8_t> bpf;
  int error = 0;
  if (!qi::CompileFilter(input, &bpf, &error)) return Throw(info.Env(), "QI_FILTER", "libseccomp", error);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bpf.data(), bpf.size());
}

Napi::Value ProbeHost(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  qi::HostProbe probe = qi::ProbeHost();
  Napi::Object out = Napi::Object::New(env);
  out.Set("uid", Napi::Number::New(env, probe.uid));
  out.Set("gid", Napi::Number::New(env, probe.gid));
  out.Set("capEffective", Napi::BigInt::New(env, probe.effective));
  out.Set("initialUserNamespace", Napi::Boolean::New(env, probe.initial_user_namespace));
  out.Set("landlockAbi", Napi::Number::New(env, probe.landlock_abi));
  out.Set("userNotif", Napi::Boolean::New(env, probe.user_notif));
  out.Set("netnsCookie", Napi::Boolean::New(env, probe.netns_cookie));
  out.Set("waitKillableRecv", Napi::Boolean::New(env, probe.wait_killable_recv));
  out.Set("mountSetattr", Napi::Boolean::New(env, probe.mount_setattr));
  return out;
}

// null when the bytes are a plan that qi-monitor would accept, else what is wrong with them.
Napi::Value CheckPlan(const Napi::CallbackInfo& info) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  qi::PlanBlob blob;
  qi::Result r = qi::CheckPlan(bytes.Data(), bytes.ByteLength(), &blob);
  return r.ok() ? info.Env().Null() : Napi::String::New(info.Env(), r.detail);
}

// A value of another type would end the whole process in the first conversion: without C++ exceptions there is no other
// way.
bool IsSpawnRequest(const Napi::Value& value) {
  if (!value.IsObject()) return false;
  Napi::Object options = value.As<Napi::Object>();
  Napi::Value stdio = options.Get("stdio");
  if (!options.Get("monitor").IsString() || !options.Get("plan").IsTypedArray() || !stdio.IsArray()) return false;
  for (uint32_t i = 0; i < 3; ++i) {
    if (!stdio.As<Napi::Array>().Get(i).IsNumber()) return false;
  }
  if (options.Get("plan").As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return false;
  return options.Get("auditFd").IsNumber();
}

std::vector<std::string> ToStrings(const Napi::Value& value) {
  std::vector<std::string> strings;
  if (!value.IsArray()) return strings;
  Napi::Array list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) strings.push_back(list.Get(i).As<Napi::String>());
  return strings;
}

// As execve takes them; valid as long as `texts`.
std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What both ways to start it are told. `monitor` holds the text that the request refers to.
qi::SpawnRequest ToRequest(const Napi::Object& options, std::string* monitor) {
  *monitor = options.Get("monitor").As<Napi::String>();
  auto plan = options.Get("plan").As<Napi::Uint8Array>();
  Napi::Array stdio = options.Get("stdio").As<Napi::Array>();
  qi::SpawnRequest request;
  request.monitor = monitor->c_str();
  request.plan = plan.Data();
  request.plan_size = plan.ByteLength();
  for (uint32_t i = 0; i < 3; ++i) request.stdio[i] = stdio.Get(i).As<Napi::Number>().Int32Value();
  request.audit = options.Get("auditFd").As<Napi::Number>().Int32Value();
  return request;
}

Napi::Value Spawn(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!IsSpawnRequest(info[0])) return Throw(env, "QI_SPAWN", "arguments of spawn", EINVAL);
  Napi::Object options = info[0].As<Napi::Object>();
  std::string monitor;
  qi::SpawnRequest request = ToRequest(options, &monitor);
  std::vector<std::string> environment = ToStrings(options.Get("environment"));
  std::vector<char*> pointers = Pointers(&environment);
  request.environment = pointers.data();
  qi::Spawned spawned;
  const char* what = "";
  int error = qi::SpawnMonitor(request, &spawned, &what);
  if (error != 0) return Throw(env, "QI_SPAWN", what, error);
  Napi::Object out = Napi::Object::New(env);
  out.Set("pid", Napi::Number::New(env, spawned.pid));
  out.Set("pidfd", Napi::Number::New(env, spawned.pidfd.release()));
  out.Set("control", Napi::Number::New(env, spawned.control.release()));
  Napi::Array pipes = Napi::Array::New(env, 3);
  for (uint32_t i = 0; i < 3; ++i) pipes.Set(i, Napi::Number::New(env, spawned.pipes[i].release()));
  out.Set("pipes", pipes);
  return out;
}

// Texts as bytes, each with its NUL: arguments and variables need not be UTF-8. False for anything else.
bool ToTexts(const Napi::Value& value, std::vector<std::string>* texts) {
  if (!value.IsArray()) return false;
  Napi::Array list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    Napi::Value one = list.Get(i);
    if (!one.IsBuffer()) return false;
    auto bytes = one.As<Napi::Buffer<char>>();
    texts->emplace_back(bytes.Data(), bytes.Length());
  }
  return true;
}

Napi::Value Execute(const Napi::CallbackInfo& info) {
  std::vector<std::string> argv;
  std::vector<std::string> envp;
  bool ok = info.Length() >= 4 && info[0].IsString() && ToTexts(info[1], &argv) && ToTexts(info[2], &envp) &&
            info[3].IsNumber();
  if (!ok || argv.empty()) return Throw(info.Env(), "QI_INTERNAL", "execute(file, argv, envp, openFiles)", EINVAL);
  auto open_files = static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value());
  std::string file = info[0].As<Napi::String>();
  int error = qi::Execute(file.c_str(), Pointers(&argv).data(), Pointers(&envp).data(), open_files);
  return Throw(info.Env(), "QI_EXECUTE", "execve", error);
}

// Does not return where it succeeds: this process is qi-monitor then.
Napi::Value BecomeMonitor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!IsSpawnRequest(info[0])) return Throw(env, "QI_SPAWN", "arguments of becomeMonitor", EINVAL);
  Napi::Object options = info[0].As<Napi::Object>();
  std::string monitor;
  qi::SpawnRequest request = ToRequest(options, &monitor);
  std::vector<std::string> argv = ToStrings(options.Get("argv"));
  const char* what = "";
  int error = qi::BecomeMonitor(request, Pointers(&argv).data(), &what);
  return Throw(env, "QI_SPAWN", what, error);
}

// send(2): false when not all of it was taken at once.
Napi::Value Send(const Napi::CallbackInfo& info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  std::string text = info[1].As<Napi::String>();
  ssize_t n = qi::RetryEintr([&] { return send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  return Napi::Boolean::New(info.Env(), n == static_cast<ssize_t>(text.size()));
}

void Kill(const Napi::CallbackInfo& info) {
  int pidfd = info[0].As<Napi::Number>().Int32Value();
  int signal = info[1].As<Napi::Number>().Int32Value();
  if (qi::uapi::PidfdSendSignal(pidfd, signal) != 0 && errno != ESRCH) {
    (void)Throw(info.Env(), "QI_KILL", "pidfd_send_signal", errno);
  }
}

Napi::Object WaitStatus(Napi::Env env, int status) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("code", Napi::Number::New(env, WIFEXITED(status) ? WEXITSTATUS(status) : -1));
  out.Set("signal", Napi::Number::New(env, WIFSIGNALED(status) ? WTERMSIG(status) : 0));
  return out;
}

// waitpid on a pool thread: libuv reaps only the children it started itself.
class ReapWorker : public Napi::AsyncWorker {
 public:
  ReapWorker(Napi::Env env, pid_t pid, int pidfd)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), pid_(pid), pidfd_(pidfd) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    if (qi::RetryEintr([&] { return waitpid(pid_, &status_, 0); }) < 0) status_ = 125 << 8;
    pidfd_.reset();
  }

  void OnOK() override { deferred_.Resolve(WaitStatus(Env(), status_)); }

 private:
  Napi::Promise::Deferred deferred_;
  pid_t pid_;
  qi::UniqueFd pidfd_;
  int status_ = 0;
};

// Asked for when qi-monitor has said its last, and has nothing left to do but to end: a moment on this thread is less
// than the way to another and back. It may be stopped, or have no processor: then the rest is that thread's.
Napi::Value Reap(const Napi::CallbackInfo& info) {
  constexpr timespec kMoment = {0, 1000 * 1000};
  pid_t pid = info[0].As<Napi::Number>().Int32Value();
  qi::UniqueFd pidfd(info[1].As<Napi::Number>().Int32Value());
  int status = 0;
  pollfd end = {pidfd.get(), POLLIN, 0};  // -1, without pidfds: waits for nothing
  if (pidfd) (void)ppoll(&end, 1, &kMoment, nullptr);
  if (waitpid(pid, &status, WNOHANG) == pid) return WaitStatus(info.Env(), status);
  auto* worker = new ReapWorker(info.Env(), pid, pidfd.release());
  Napi::Promise promise = worker->promise();
  worker->Queue();  // deletes itself when done
  return promise;
}

// The delegation mark that systemd puts on cgroups.
Napi::Value GetXattr(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsString()) {
    return Throw(env, "QI_INTERNAL", "getXattr(path, name)", 0);
  }
  char value[256];
  std::string path = info[0].As<Napi::String>();
  std::string name = info[1].As<Napi::String>();
  ssize_t size = lgetxattr(path.c_str(), name.c_str(), value, sizeof value - 1);
  return size < 0 ? env.Null() : Napi::String::New(env, value, static_cast<size_t>(size));
}

Napi::Value ErrnoName(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), qi::ErrnoName(info[0].As<Napi::Number>().Int32Value()));
}

Napi::Value RandomBytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t size = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0;
  uint8_t bytes[256];  // so many at once are never cut short (getrandom(2))
  if (size == 0 || size > sizeof(bytes)) return Throw(env, "QI_INTERNAL", "randomBytes(1 to 256)", 0);
  ssize_t got = qi::RetryEintr([&] { return getrandom(bytes, size, 0); });
  if (got != static_cast<ssize_t>(size)) return Throw(env, "QI_INTERNAL", "getrandom", got < 0 ? errno : EIO);
  return Napi::Buffer<uint8_t>::Copy(env, bytes, size);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("compileFilter", Napi::Function::New(env, CompileFilter));
  exports.Set("probeHost", Napi::Function::New(env, ProbeHost));
  exports.Set("checkPlan", Napi::Function::New(env, CheckPlan));
  exports.Set("spawn", Napi::Function::New(env, Spawn));
  exports.Set("execute", Napi::Function::New(env, Execute));
  exports.Set("becomeMonitor", Napi::Function::New(env, BecomeMonitor));
  exports.Set("send", Napi::Function::New(env, Send));
  exports.Set("kill", Napi::Function::New(env, Kill));
  exports.Set("reap", Napi::Function::New(env, Reap));
  exports.Set("getXattr", Napi::Function::New(env, GetXattr));
  exports.Set("judgeHost", Napi::Function::New(env, JudgeHost));
  exports.Set("callerFacts", Napi::Function::New(env, CallerFacts));
  exports.Set("cacheSecret", Napi::Function::New(env, CacheSecret));
  exports.Set("keyedHash", Napi::Function::New(env, KeyedHash));
  exports.Set("randomBytes", Napi::Function::New(env, RandomBytes));
  exports.Set("areAsBefore", Napi::Function::New(env, AreAsBefore));
  exports.Set("errnoName", Napi::Function::New(env, ErrnoName));
  return exports;
}

}  // namespace

NODE_API_MODULE(qi_jail, Init)
