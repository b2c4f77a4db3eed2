// Waiting for what was aborted.
#include "storage/in_flight.hpp"

namespace undercroft {

Task<void> InFlightList::finish_abort(InFlight& flight) {
    (void)co_await flight.abort_arrived_.wait();  // the post is on its way and cannot fail to come
    SpinlockGuard guard(lock_);
    --aborting_;
    aborts_ended_.set(aborts_ended_.get() + 1);
}

Task<DiskResult<void>> InFlightList::wait_for_aborted(CancelToken cancel) {
    while (true) {
        u64 ended = aborts_ended_.get();
        bool none_left = false;
        {
            SpinlockGuard guard(lock_);
            none_left = aborting_ == 0;
        }
        if (none_left) {
            co_return DiskResult<void>{};
        }
        CO_TRY(co_await aborts_ended_.wait(ended, cancel));
    }
}

}  // namespace undercroft
