// What a target and its units show.
#include "kernel/config/identifiers.hpp"
#include "storage/scsi/target.hpp"

namespace undercroft::scsi {

namespace {

const char* to_string(AdditionalSense readiness) {
    switch (readiness) {
    case AdditionalSense::none:
        return "ready";
    case AdditionalSense::initializing_command_required:
        return "stopped";
    case AdditionalSense::sanitize_in_progress:
        return "sanitizing";
    case AdditionalSense::sanitize_failed:
        return "sanitize failed";
    case AdditionalSense::medium_not_present_tray_open:
        return "tray open";
    default:
        return "no medium";
    }
}

}  // namespace

void LogicalUnit::describe(inspect::Node& node) const {
    node.text("kind", kind_ == UnitKind::optical ? "optical" : "block");
    node.text("product", identity_.product);
    node.text("serial_number", identity_.serial);
    node.text("state", to_string(readiness()));
    node.boolean("reserved", is_reserved());
    node.boolean("removal_prevented", is_removal_prevented());
}

void Target::describe(inspect::Node& node) const {
    node.child("units", [&](inspect::Node& units) {
        for (i32 lun = next_lun(-1); lun >= 0; lun = next_lun(lun)) {
            std::shared_ptr<LogicalUnit> there = unit(static_cast<u32>(lun));
            units.child(decimal(static_cast<u64>(lun)), [&](inspect::Node& below) {
                below.number("in_flight", commands_of(static_cast<u32>(lun)));
                if (there != nullptr) {
                    there->describe(below);
                }
            });
        }
    });
}

}  // namespace undercroft::scsi
