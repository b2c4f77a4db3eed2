// Texts of `Error`.
#include "kernel/base/result.hpp"

namespace undercroft {

const char* to_string(Error error) {
    switch (error) {
    case Error::invalid_argument:
        return "invalid argument";
    case Error::out_of_range:
        return "out of range";
    case Error::out_of_memory:
        return "out of memory";
    case Error::not_found:
        return "not found";
    case Error::access_denied:
        return "access denied";
    case Error::unsupported:
        return "unsupported";
    case Error::timed_out:
        return "timed out";
    case Error::cancelled:
        return "cancelled";
    case Error::device_error:
        return "device error";
    case Error::gone:
        return "gone";
    case Error::busy:
        return "busy";
    case Error::malformed:
        return "malformed";
    }
    return "unknown error";
}

}  // namespace undercroft
