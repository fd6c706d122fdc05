// Numbers, times and states as people read them.
#ifndef ATTUNE_CLIENT_TEXT_FORMAT_H_
#define ATTUNE_CLIENT_TEXT_FORMAT_H_

#include <cstdint>
#include <string>

#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace attune {

std::string WithThousands(uint64_t number);  // 51200 -> "51,200"
std::string FormatSeconds(double seconds);   // "4.1 s", "3 min 20 s", "2 h 05 min", "3 d 04 h"
std::string FormatBytes(uint64_t bytes);     // "1.2 MiB"
// "2026-11-23 10:04:42" in UTC; "-" when it is not set.
std::string FormatTime(const google::protobuf::Timestamp& time);
// "RUNNING", without the prefix of the enum.
std::string StateName(v1::JobState state);
// "displacement", without the prefix of the enum.
std::string AlarmName(v1::AlarmKind kind);
// "displacement: Training made ...".
std::string FormatAlarm(const v1::Alarm& alarm);

}  // namespace attune

#endif  // ATTUNE_CLIENT_TEXT_FORMAT_H_
