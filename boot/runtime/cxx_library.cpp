// What the compiler and libc++'s headers expect in libc++.a and libc++abi.a, which are built for Linux and cannot be linked here.
// Templates that libc++ declares extern are instantiated from its own headers.
#include "kernel/base/assert.hpp"
#include "kernel/base/types.hpp"

#include <stdarg.h>
#include <stdio.h>

#include <__verbose_abort>
#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <string>

extern "C" {

[[noreturn]] void __cxa_pure_virtual() { PANIC("pure virtual function called"); }
[[noreturn]] void __cxa_deleted_virtual() { PANIC("deleted virtual function called"); }

// An image never exits, so nothing registered here would ever run.
int atexit(void (*)()) { return 0; }

}  // extern "C"

// Not in the versioned namespace, unlike all below.
const std::nothrow_t std::nothrow{};

_LIBCPP_BEGIN_NAMESPACE_STD

[[noreturn]] void __libcpp_verbose_abort(const char* format, ...) {
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    static_cast<void>(vsnprintf(message, sizeof(message), format, arguments));
    va_end(arguments);
    PANIC("%s", message);
}

template class basic_string<char>;
template string operator+ <char, char_traits<char>, allocator<char>>(const char*, const string&);

// The bucket counts of unordered containers: the smallest prime at or above. They are small here, so trial division will do.
size_t __next_prime(size_t wanted) {
    auto is_prime = [](size_t candidate) {
        for (size_t divisor = 3; divisor * divisor <= candidate; divisor += 2) {
            if (candidate % divisor == 0) {
                return false;
            }
        }
        return true;
    };
    if (wanted <= 2) {
        return wanted;
    }
    size_t candidate = wanted | 1;
    while (!is_prime(candidate)) {
        candidate += 2;
    }
    return candidate;
}

__shared_count::~__shared_count() {}
__shared_weak_count::~__shared_weak_count() {}

void __shared_weak_count::__release_weak() noexcept {
    // The last weak owner need not decrement: nobody else can see the count any more.
    if (__atomic_load_n(&__shared_weak_owners_, __ATOMIC_ACQUIRE) == 0 ||
        __libcpp_atomic_refcount_decrement(__shared_weak_owners_) == -1) {
        __on_zero_shared_weak();
    }
}

const void* __shared_weak_count::__get_deleter(const type_info&) const noexcept { return nullptr; }

__shared_weak_count* __shared_weak_count::lock() noexcept {
    long owners = __atomic_load_n(&__shared_owners_, __ATOMIC_SEQ_CST);
    while (owners != -1) {
        if (__atomic_compare_exchange_n(&__shared_owners_, &owners, owners + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
            return this;
        }
    }
    return nullptr;
}

// std::sort of arithmetic types with std::less is extern in libc++; a comparator of our own leads to the code in the header.
template <class Comparator, class Iterator>
void __sort(Iterator first, Iterator last, Comparator) {
    std::sort(first, last, [](const auto& left, const auto& right) { return left < right; });
}
template void __sort<__less<int>&, int*>(int*, int*, __less<int>&);
template void __sort<__less<unsigned>&, unsigned*>(unsigned*, unsigned*, __less<unsigned>&);
template void __sort<__less<long>&, long*>(long*, long*, __less<long>&);
template void __sort<__less<unsigned long>&, unsigned long*>(unsigned long*, unsigned long*, __less<unsigned long>&);

_LIBCPP_END_NAMESPACE_STD
