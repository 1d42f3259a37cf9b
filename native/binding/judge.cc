#include "binding/judge.h"

#include <string>

#include "gateway/reach.h"
#include "network/rules.h"

namespace {

// What a name is taken to lead to: some public address. A private one has to be listed as itself.
constexpr const char* kSomePublicAddress = "1.2.4.8";

qi::Judgement JudgeName(const qi::Rules& rules, const qi::Name& name, uint16_t port, qi::Transport transport) {
  qi::Judgement by_name = rules.JudgeName(name);
  if (!by_name.allowed && !by_name.permit) return by_name;
  qi::Record record;
  record.name = name;
  record.expires_ms = 1;
  (void)qi::ParseAddress(kSomePublicAddress, &record.address);
  qi::Records records;
  records.Add(record, 0);
  return rules.Judge(record.address, port, transport, records, 0);
}

}  // namespace

// null: rules that qi-monitor would not take, or neither an address nor a name.
Napi::Value JudgeHost(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 4 || !info[0].IsString() || !info[1].IsString() || !info[2].IsNumber() || !info[3].IsBoolean()) {
    return env.Null();
  }
  std::string text = info[0].As<Napi::String>();
  std::string host = info[1].As<Napi::String>();
  auto port = static_cast<uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  qi::Transport transport = info[3].As<Napi::Boolean>() ? qi::Transport::kUdp : qi::Transport::kTcp;
  qi::Rules rules;
  if (rules.Parse(text.data(), text.size(), false) != 0) return env.Null();
  qi::Judgement judgement;
  qi::IpAddress address;
  qi::Name name;
  if (qi::ParseAddress(host.c_str(), &address)) {
    judgement = qi::JudgeReach(rules, address, port, transport, qi::Records(), 0);
  } else if (qi::ParseName(host.data(), host.size(), &name)) {
    judgement = JudgeName(rules, name, port, transport);
  } else {
    return env.Null();
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("allowed", Napi::Boolean::New(env, judgement.allowed));
  out.Set("ask", Napi::Boolean::New(env, judgement.ask));
  out.Set("permit", Napi::Boolean::New(env, judgement.permit));
  out.Set("inspect", Napi::Boolean::New(env, judgement.inspect));
  out.Set("reason", Napi::String::New(env, judgement.reason));
  out.Set("rule", Napi::Number::New(env, rules.IndexOf(judgement.rule)));
  return out;
}
