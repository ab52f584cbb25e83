#pragma once

#include "daemon/job_record.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// The state as far as the jobs' records tell it, for a state.json that is gone: the switches that
/// were committed and what followed from them. Pins, holds that people set, pauses and the newest
/// known release stand nowhere else, and are lost. Records that cannot be read are left out.
State state_from_records(const JobRecords& records);

}  // namespace mcpu
