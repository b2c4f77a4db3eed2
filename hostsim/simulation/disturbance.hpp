// What befalls a pipeline from within, while a simulated machine lives: rules of a fault layer, with operations that are
// held and let go of; and a rival, another host that reserves the disk, now against us and now with us. While the rival
// excludes us, no write of ours may succeed, nor a read where it excludes those. SPC-4 5.13, NVMe Base 2.0 8.19.
#pragma once

#include <memory>

#include "hostsim/devices/seeded_random.hpp"
#include "hostsim/simulation/plan.hpp"
#include "hostsim/simulation/report.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/layers/reservations_disk.hpp"

namespace undercroft::simulation {

/// Whether another host excludes us just now. Its rule for whoever uses the disk: an operation that was excluded when it
/// began, and is by the same exclusion when it ends, has failed.
class Fence {
public:
    void close(bool excludes_reads) {
        ++closings_;
        is_closed_ = true;
        excludes_reads_ = excludes_reads;
    }
    void open() { is_closed_ = false; }
    /// Which exclusion keeps us from writing, or reading; 0 where none does.
    u64 against_writes() const { return is_closed_ ? closings_ : 0; }
    u64 against_reads() const { return is_closed_ && excludes_reads_ ? closings_ : 0; }

private:
    u64 closings_ = 0;
    bool is_closed_ = false;
    bool excludes_reads_ = false;
};

class Disturbance {
public:
    Disturbance(const Plan& plan, Recorder& recorder, Fence& fence)
        : plan_(plan), recorder_(recorder), fence_(fence), random_(plan.seed ^ 0x6469'7374) {}

    /// `below` with the plan's faults, once they begin.
    std::shared_ptr<DiskInterface> faulty(Disk below);
    /// Our way to `below`; the rival has its own.
    std::shared_ptr<DiskInterface> reserved(const Disk& below);

    /// On processor 0, once the pipeline stands.
    void begin();
    /// Lets go of what is held, clears what the rival reserved, and ends.
    Task<Result<void>> end();

private:
    Task<void> let_go_now_and_then(SeededRandom random);
    Task<void> contend(SeededRandom random);
    Task<void> contend_once(SeededRandom& random);
    Task<void> preempt_us(SeededRandom& random, ReservationType held);
    Task<void> exclude_for(u64 pause_ns, ReservationType type);
    void expect(const DiskResult<void>& result, const char* what);

    const Plan& plan_;
    Recorder& recorder_;
    Fence& fence_;
    SeededRandom random_;
    std::shared_ptr<FaultDisk> fault_;
    std::shared_ptr<ReservationsDisk> ours_;
    std::shared_ptr<ReservationsDisk> rivals_;
    TaskGroup tasks_;
};

}  // namespace undercroft::simulation
