// NVM Express, all of what this tree speaks of it: registers, commands, Identify data, logs.
// Sources: NVM Express Base Specification 2.0 ("base"), NVM Command Set Specification 1.0 ("NVM").
#pragma once

#include "kernel/spec/nvme_commands.hpp"
#include "kernel/spec/nvme_identify.hpp"
#include "kernel/spec/nvme_logs.hpp"
#include "kernel/spec/nvme_registers.hpp"
