// How the controller presents itself, and the Identify structures made from that. Source: base 2.0 section 5.17; NVM
// 1.0 section 4.1.5.
#pragma once

#include "kernel/spec/nvme_identify.hpp"
#include "storage/frontends/nvme/namespaces.hpp"

namespace undercroft::nvme {

/// Texts are copied, cut to the field's length and padded as the standard says.
struct Identity {
    std::string_view model = "Undercroft NVMe";
    std::string_view serial = "UC0000000001";
    std::string_view firmware = "1.0";
    /// Also the seed of namespace ids that nothing else gives.
    std::string_view subsystem_name = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-000000000000";
    /// PCI ids. The vendor id is not one that the PCI-SIG gave out: no driver has special cases for it.
    u16 vendor_id = 0x554e;
    u16 device_id = 0x4e56;
    u16 controller_id = 0;
};

/// The same with storage of its own.
class IdentityFields {
public:
    explicit IdentityFields(const Identity& identity);

    u16 controller_id() const { return controller_id_; }
    std::span<const char, 8> firmware() const { return firmware_; }

    /// CNS 01h.
    void fill(IdentifyController& data, const NamespaceTable& namespaces) const;

private:
    char serial_[20] = {};
    char model_[40] = {};
    char firmware_[8] = {};
    char subsystem_name_[256] = {};
    u16 vendor_id_;
    u16 controller_id_;
};

/// CNS 00h and 11h.
void fill(IdentifyNamespace& data, const Namespace& source);
/// CNS 08h.
void fill(IdentifyIndependentNamespace& data, const Namespace& source);
/// CNS 06h.
void fill(IdentifyNvmController& data);
/// CNS 03h, into `data` (zeroed, `identify_bytes`).
void fill_descriptors(std::span<std::byte> data, const Namespace& source);
/// CNS 02h, 07h, 10h: ids above `after`.
void fill(NamespaceList& data, const NamespaceTable& namespaces, u32 after);

}  // namespace undercroft::nvme
