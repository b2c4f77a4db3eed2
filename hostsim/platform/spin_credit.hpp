// Whether looking out for work, instead of sleeping until it comes, pays: it does while it has found something lately.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

class SpinCredit {
public:
    /// Asked once before looking out. Without credit, the first of so many asks is granted, to find out.
    bool allows() { return credit_ > 0 || refused_++ % retry == 0; }
    /// Looking out found something.
    void earn() { credit_ = credit_max; }
    /// It was in vain.
    void spend() { credit_ -= credit_ > 0 ? 1 : 0; }

private:
    static constexpr u64 credit_max = 16;
    static constexpr u64 retry = 64;
    u64 credit_ = 0;
    u64 refused_ = 0;
};

}  // namespace undercroft
