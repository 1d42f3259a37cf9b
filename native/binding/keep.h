// What who keeps a plan has to say, or ask, exactly as qi-monitor, which starts from it. Runs in: addon.
#pragma once
#include <napi.h>

Napi::Value CallerFacts(const Napi::CallbackInfo& info);
Napi::Value CacheSecret(const Napi::CallbackInfo& info);
Napi::Value KeyedHash(const Napi::CallbackInfo& info);
Napi::Value AreAsBefore(const Napi::CallbackInfo& info);
