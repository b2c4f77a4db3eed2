// Hypercalls of VTL2: see hypercalls.hpp.
#include "kernel/monitor/hypercalls.hpp"

#include <string.h>

#include "boot/exit_status.hpp"
#include "kernel/monitor/firmware_config.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/register_access.hpp"

namespace undercroft::monitor {

using tlfs::Status;

struct Hypercalls::Call {
    VirtualProcessor& vp;
    tlfs::HypercallInput input;
    u64 rdx;
    u64 r8;
    u16 reps_done;

    /// A copy of the input structure at the page RDX names, `offset` bytes in.
    template <typename T>
    Result<T> read(u64 offset = 0) const {
        T value = {};
        memcpy(&value, TRY(image_memory(rdx + offset, sizeof(T))), sizeof(T));
        return value;
    }
};

namespace {

constexpr usize log_text_max = 512;

Status to_status(Error error) {
    switch (error) {
    case Error::invalid_argument:
    case Error::malformed:
    case Error::out_of_range:
    case Error::not_found:
        return Status::invalid_parameter;
    case Error::access_denied:
        return Status::access_denied;
    case Error::out_of_memory:
        return Status::insufficient_memory;
    default:
        return Status::operation_denied;
    }
}

bool is_self(const VirtualProcessor& vp, const tlfs::VpRegistersInput& header) {
    return header.partition_id == tlfs::partition_self &&
           (header.vp_index == tlfs::vp_self || header.vp_index == vp.index());
}

}  // namespace

HypercallOutcome Hypercalls::handle(VirtualProcessor& vp, tlfs::HypercallInput input, u64 rdx, u64 r8) {
    Call call{vp, input, rdx, r8, input.rep_start()};
    bool is_extension = input.call_code() >= static_cast<u16>(vtl2::CallCode::debug_log);
    Status status = is_extension ? extension(call) : standard(call);
    return {static_cast<u64>(status) | (u64{call.reps_done} << 32), call.r8};
}

Status Hypercalls::standard(Call& call) {
    switch (static_cast<tlfs::CallCode>(call.input.call_code())) {
    case tlfs::CallCode::get_vp_registers:
        return get_registers(call);
    case tlfs::CallCode::set_vp_registers:
        return set_registers(call);
    case tlfs::CallCode::modify_vtl_protection_mask:
        return modify_protection(call);
    case tlfs::CallCode::assert_virtual_interrupt:
        return assert_interrupt(call);
    case tlfs::CallCode::start_virtual_processor:
        return start_processor(call);
    default:
        return Status::invalid_hypercall_code;
    }
}

Status Hypercalls::extension(Call& call) {
    switch (static_cast<vtl2::CallCode>(call.input.call_code())) {
    case vtl2::CallCode::debug_log:
        return debug_log(call);
    case vtl2::CallCode::platform_exit:
        end_machine(static_cast<u8>(call.rdx));
    case vtl2::CallCode::firmware_config_read:
        return firmware_config(call);
    case vtl2::CallCode::pci_config_read: {
        require_assigned(call);
        auto value = machine.devices.read_config({call.rdx});
        if (!value) {
            return to_status(value.error());
        }
        call.r8 = *value;
        return Status::success;
    }
    case vtl2::CallCode::pci_config_write: {
        require_assigned(call);
        auto written = machine.devices.write_config({call.rdx}, static_cast<u32>(call.r8));
        return written ? Status::success : to_status(written.error());
    }
    case vtl2::CallCode::map_device_memory: {
        auto offset = machine.devices.map_memory(call.rdx & 0xFFFF, (call.rdx >> 16) & 0xFF);
        if (!offset) {
            return to_status(offset.error());
        }
        call.r8 = *offset;
        return Status::success;
    }
    case vtl2::CallCode::map_device_interrupt:
        return map_interrupt(call, false);
    case vtl2::CallCode::map_line_interrupt:
        return map_interrupt(call, true);
    case vtl2::CallCode::get_statistics:
        return statistics(call);
    default:
        return Status::invalid_hypercall_code;
    }
}

/// A function that VTL2 was never told of: no mistake explains that.
void Hypercalls::require_assigned(Call& call) {
    u16 device = vtl2::PciConfigAddress{call.rdx}.device();
    if (device >= machine.devices.count()) {
        call.vp.violation("unassigned PCI function", device);
    }
}

Status Hypercalls::get_registers(Call& call) {
    auto header = call.read<tlfs::VpRegistersInput>();
    if (!header || !is_self(call.vp, *header)) {
        return header ? Status::invalid_vp_index : Status::invalid_alignment;
    }
    for (; call.reps_done < call.input.rep_count(); ++call.reps_done) {
        u64 index = call.reps_done;
        // Names are 4 bytes; the aligned pair that holds one is read.
        auto pair = call.read<u64>(sizeof(*header) + (index & ~u64{1}) * sizeof(u32));
        auto output = image_memory(call.r8 + index * sizeof(tlfs::RegisterValue), sizeof(tlfs::RegisterValue));
        if (!pair || !output) {
            return Status::invalid_hypercall_input;
        }
        auto name = static_cast<u32>((index & 1) != 0 ? *pair >> 32 : *pair);
        auto value = RegisterAccess::get(call.vp, name);
        if (!value) {
            return Status::invalid_parameter;
        }
        memcpy(*output, &*value, sizeof(*value));
    }
    return Status::success;
}

Status Hypercalls::set_registers(Call& call) {
    auto header = call.read<tlfs::VpRegistersInput>();
    if (!header || !is_self(call.vp, *header)) {
        return header ? Status::invalid_vp_index : Status::invalid_alignment;
    }
    for (; call.reps_done < call.input.rep_count(); ++call.reps_done) {
        auto assignment =
            call.read<tlfs::RegisterAssignment>(sizeof(*header) + call.reps_done * sizeof(tlfs::RegisterAssignment));
        if (!assignment) {
            return Status::invalid_hypercall_input;
        }
        if (auto result = RegisterAccess::set(call.vp, assignment->name, assignment->value); !result) {
            return Status::invalid_parameter;
        }
    }
    return Status::success;
}

Status Hypercalls::modify_protection(Call& call) {
    auto header = call.read<tlfs::ModifyProtectionInput>();
    if (!header) {
        return Status::invalid_alignment;
    }
    if (header->partition_id != tlfs::partition_self || (header->target_vtl & 0xF) != tlfs::vtl0 ||
        (header->map_flags & ~u32{tlfs::protection_read | tlfs::protection_write | tlfs::protection_execute}) != 0) {
        return Status::invalid_parameter;
    }
    Access access{.read = (header->map_flags & tlfs::protection_read) != 0,
                  .write = (header->map_flags & tlfs::protection_write) != 0,
                  .execute = (header->map_flags & tlfs::protection_execute) != 0};
    if (!access.read && (access.write || access.execute)) {
        return Status::invalid_parameter;  // no such page table entry exists
    }
    Status status = Status::success;
    {
        SpinlockGuard guard(machine.view_lock);
        for (; call.reps_done < call.input.rep_count(); ++call.reps_done) {
            auto page = call.read<u64>(sizeof(*header) + call.reps_done * sizeof(u64));
            if (!page) {
                status = Status::invalid_hypercall_input;
                break;
            }
            auto changed = machine.guest.protect(*page * page_size, access);
            if (!changed) {
                status = to_status(changed.error());
                break;
            }
        }
    }
    flush_guest_view();
    return status;
}

Status Hypercalls::assert_interrupt(Call& call) {
    auto input = call.read<tlfs::AssertInterruptInput>();
    if (!input) {
        return Status::invalid_alignment;
    }
    if (input->partition_id != tlfs::partition_self || (input->target_vtl & 0xF) != tlfs::vtl0 || input->vector > 255) {
        return Status::invalid_parameter;
    }
    Interrupt interrupt{.vector = static_cast<u8>(input->vector),
                        .logical = (input->interrupt_control & tlfs::interrupt_logical_destination) != 0,
                        .level_triggered = (input->interrupt_control & tlfs::interrupt_level_triggered) != 0,
                        .destination = static_cast<u32>(input->destination)};
    switch (static_cast<tlfs::InterruptType>(static_cast<u32>(input->interrupt_control))) {
    case tlfs::InterruptType::fixed:
        interrupt.mode = apic::DeliveryMode::fixed;
        break;
    case tlfs::InterruptType::lowest_priority:
        interrupt.mode = apic::DeliveryMode::lowest_priority;
        break;
    case tlfs::InterruptType::nmi:
        interrupt.mode = apic::DeliveryMode::nmi;
        break;
    case tlfs::InterruptType::init:
        interrupt.mode = apic::DeliveryMode::init;
        break;
    case tlfs::InterruptType::sipi:
        interrupt.mode = apic::DeliveryMode::startup;
        break;
    case tlfs::InterruptType::ext_int:
        interrupt.mode = apic::DeliveryMode::external;
        break;
    default:
        return Status::invalid_parameter;
    }
    bool takes_vector =
        interrupt.mode == apic::DeliveryMode::fixed || interrupt.mode == apic::DeliveryMode::lowest_priority;
    if (takes_vector && interrupt.vector < 16) {
        return Status::invalid_parameter;
    }
    deliver_to_guest(interrupt, nullptr);
    return Status::success;
}

Status Hypercalls::start_processor(Call& call) {
    auto input = call.read<tlfs::StartVpInput>();
    if (!input) {
        return Status::invalid_alignment;
    }
    if (input->partition_id != tlfs::partition_self || (input->target_vtl & 0xF) != tlfs::vtl2) {
        return Status::invalid_parameter;
    }
    if (input->vp_index >= machine.vp_count) {
        return Status::invalid_vp_index;
    }
    // VTL2 is a 64-bit program from its first instruction on.
    constexpr u64 required_efer = (1u << 8) | (1u << 10);
    if ((input->context.efer & required_efer) != required_efer ||
        (input->context.efer & ~u64{required_efer | 1 | (1u << 11)}) != 0) {
        return Status::invalid_parameter;
    }
    return machine.vps[input->vp_index].start_image(input->context) ? Status::success : Status::invalid_vp_state;
}

Status Hypercalls::debug_log(Call& call) {
    auto head = call.read<u64>();
    if (!head) {
        return Status::invalid_alignment;
    }
    auto size = static_cast<u32>(*head >> 32);
    u64 text = call.rdx + offsetof(vtl2::DebugLogInput, text);
    char line[log_text_max];
    usize length = size < sizeof(line) ? size : sizeof(line);
    auto bytes = image_memory(text, length);
    if (!bytes) {
        return Status::invalid_parameter;
    }
    memcpy(line, *bytes, length);
    log_image_line({line, length});
    return Status::success;
}

Status Hypercalls::firmware_config(Call& call) {
    auto input = call.read<vtl2::FirmwareConfigInput>();
    if (!input) {
        return Status::invalid_alignment;
    }
    auto result = read_firmware_config(*input);
    return result ? Status::success : to_status(result.error());
}

Status Hypercalls::map_interrupt(Call& call, bool is_line) {
    auto input = call.read<vtl2::MapInterruptInput>();
    if (!input) {
        return Status::invalid_alignment;
    }
    if (input->vp_index >= machine.vp_count) {
        return Status::invalid_vp_index;
    }
    if (input->enable != 0 && input->vector < 32) {
        return Status::invalid_parameter;
    }
    auto result = is_line ? machine.devices.map_line(*input) : machine.devices.map_interrupt(*input);
    return result ? Status::success : to_status(result.error());
}

Status Hypercalls::statistics(Call& call) {
    if (call.rdx >= machine.vp_count) {
        return Status::invalid_vp_index;
    }
    auto output = image_memory(call.r8, sizeof(vtl2::Statistics));
    if (!output) {
        return Status::invalid_parameter;
    }
    memcpy(*output, &machine.vps[call.rdx].statistics(), sizeof(vtl2::Statistics));
    return Status::success;
}

}  // namespace undercroft::monitor
