// judgeHost of the addon: what the network rules of a jail say of one host, by the code that decides in qi-monitor.
#pragma once
#include <napi.h>

// (rules: string, host: string, port: number, udp: boolean) -> {allowed, ask, inspect, reason, rule} | null
Napi::Value JudgeHost(const Napi::CallbackInfo& info);
