// Who joined the suite.
#include "tests/conformance/disk_fixture.hpp"

namespace undercroft::test {

namespace {

// Made when first asked for: registrations come from initialisers of other sources, in any order.
template <typename T>
std::vector<T>& registered() {
    static std::vector<T> entries;
    return entries;
}

template <typename T>
void add(std::initializer_list<T> entries) {
    registered<T>().insert(registered<T>().end(), entries);
}

}  // namespace

const std::vector<DiskFactory>& all_disks() { return registered<DiskFactory>(); }

const std::vector<DiskWrapper>& all_wrappers() { return registered<DiskWrapper>(); }

RegisterDisks::RegisterDisks(std::initializer_list<DiskFactory> factories) { add(factories); }

RegisterWrappers::RegisterWrappers(std::initializer_list<DiskWrapper> wrappers) { add(wrappers); }

}  // namespace undercroft::test
