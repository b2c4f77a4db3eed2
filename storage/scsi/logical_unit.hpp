// A logical unit: what carries out commands. This is the part that all kinds share (SPC-4): finding the command, unit
// attentions, reservations of whole units, identity. What a block device is, is in block_unit.hpp; an optical drive,
// optical_unit.hpp; a LUN that is not there is a unit too, and the base is enough for it (`Target`).
//
// - `execute` may be called on any executor, also several times at once; each task ends on the executor that awaits it.
// - A unit works without a `Target` (ATAPI): it is LUN 0 then, and the transport has one command at a time.
// - Leaves out asymmetric access, ACA and the order of tasks: see `TaskAttribute`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/async/task.hpp"
#include "kernel/inspect/node.hpp"
#include "kernel/spec/scsi_data.hpp"
#include "storage/scsi/command_table.hpp"
#include "storage/scsi/mode_pages.hpp"
#include "storage/scsi/request.hpp"
#include "storage/scsi/unit_attention.hpp"

namespace undercroft::scsi {

/// What a unit says of itself, from the configuration. Texts are ASCII; what is too long is cut.
struct UnitIdentity {
    std::string vendor = "UNDRCRFT";       ///< 8 characters
    std::string product = "Virtual Disk";  ///< 16
    std::string revision = "1.0";          ///< 4
    std::string serial = {};               ///< up to 64; unique, and the same after each start
    u32 nexuses = 1;                       ///< initiators that will ask, at most `nexuses_max`
    bool read_only = false;                ///< although the disk would take writes
    /// For transports without autosense (ATAPI): the sense of a command is kept for the REQUEST SENSE after it.
    bool keeps_sense = false;
};

inline constexpr u32 nexuses_max = 32;
inline constexpr usize serial_bytes_max = 64;
/// Of a vital product data page, without its header.
inline constexpr usize vital_page_bytes_max = 252;

/// What happened to a unit without a command: for transports that tell their initiators at once (virtio-scsi's event
/// queue), beside the unit attention that waits for the next command anyway.
enum class UnitEvent : u8 {
    capacity_changed,
    medium_changed,      ///< inserted, removed, ejected by the guest
    parameters_changed,  ///< the mode pages
    added,               ///< only from a `Target`
    removed,             ///< only from a `Target`
};

class UnitListener {
public:
    virtual ~UnitListener() = default;
    /// Called on the executor where it was noticed; must not wait. `lun` is 0 for a unit without a target.
    virtual void unit_event(u32 lun, UnitEvent event) = 0;
};

/// The units beside this one: what REPORT LUNS lists.
class LunList {
public:
    virtual ~LunList() = default;
    /// The next LUN after `lun` that has a unit; -1 starts, and says that there is none.
    virtual i32 next_lun(i32 lun) const = 0;
    /// `nexus` has been told of all LUNs: no unit needs to say so.
    virtual void reported(u32 nexus) = 0;
    /// How many commands of the unit there are under way now.
    virtual usize commands_of(u32 lun) const = 0;
};

/// What MODE SENSE says beside the pages.
struct ModeGeometry {
    u64 blocks = 0;
    u32 block_bytes = 0;  ///< 0: no block descriptor
    u8 device_specific = 0;
};

class LogicalUnit {
public:
    /// `pages` are constants, and may be none.
    LogicalUnit(UnitKind kind, DeviceType type, UnitIdentity identity, std::span<const ModePage> pages = {});
    LogicalUnit(const LogicalUnit&) = delete;
    LogicalUnit& operator=(const LogicalUnit&) = delete;
    virtual ~LogicalUnit();

    /// Carries out one command. `request` stays valid until the task has ended.
    Task<Completion> execute(const Request& request);

    /// Every initiator will be told, but for `except`.
    void raise(UnitAttention attention, u32 except = nexuses_max);
    void raise_for(u32 nexus, UnitAttention attention) { nexuses_[nexus].attentions.raise(attention); }
    void clear_for(u32 nexus, UnitAttention attention) { nexuses_[nexus].attentions.clear(attention); }

    /// What a reset does to a unit whose commands have ended: the reservation of RESERVE, PREVENT and changed mode
    /// parameters go, and every initiator is told (SAM-5 6.3).
    virtual void reset(UnitAttention why);
    /// A lost nexus: what it alone held goes, and it is told when it comes back (SAM-5 6.3.4).
    void lose_nexus(u32 nexus);
    /// Notices what happens below (a disk's new size) until `cancel` asks. Runs beside the commands; whoever owns the
    /// unit starts it: a `Target` does.
    virtual Task<void> watch(CancelToken cancel);

    /// Set before the first command, by whoever owns the unit; each may be null.
    void attach(u32 lun, UnitListener* listener, LunList* neighbours);
    /// Its identity and state, for `inspect`. Any executor.
    void describe(inspect::Node& node) const;
    const UnitIdentity& identity() const { return identity_; }
    UnitKind kind() const { return kind_; }

protected:
    /// A command of the table for which nothing stands in the way. Those of SPC are here.
    virtual Task<Completion> run(const Command& command, Cdb cdb, const Request& request);
    /// Whether a command of the table is there on this unit, what it stands on being as it is.
    virtual bool offers(const Command&) const { return true; }
    /// The pages beside those of SPC, in ascending order.
    virtual std::span<const VitalPage> vital_pages() const { return {}; }
    /// What is behind the header of one of `vital_pages`; returns its size.
    virtual usize vital_page(VitalPage page, std::span<std::byte, vital_page_bytes_max> into) const;
    /// Version descriptor of the command set.
    virtual u16 command_set_version() const { return version_spc_4; }

    /// With persistent reservations, which `watch_reservations` announces: raises what `nexus` has to hear of them,
    virtual void look_around(u32) {}
    /// tells whether they forbid it a command that reaches no medium,
    virtual bool is_kept_out(const Cdb&, u32) const { return false; }
    /// and whether anybody is registered.
    virtual bool has_registrants() const { return false; }
    void watch_reservations() { watches_reservations_ = true; }
    bool is_reserved() const { return reserved_by_.load(std::memory_order_acquire) != 0; }

    virtual ModeGeometry mode_geometry() const { return {}; }
    /// MODE SELECT or a reset changed the pages: whoever keeps copies of their bits takes them again.
    virtual void modes_changed();
    /// PREVENT ALLOW MEDIUM REMOVAL was carried out.
    virtual void prevention_changed() {}
    ModePages& modes() { return modes_; }

    /// READ: `bytes`, which are whole sectors, from `sector` on into what the initiator offers.
    Task<Completion> read_blocks(const Disk& disk, u64 sector, u64 bytes, bool flush_first, const Request& request);

    /// The unit cannot be used for the reason; `none`: it can.
    void set_readiness(AdditionalSense why_not) { readiness_.store(why_not, std::memory_order_release); }
    AdditionalSense readiness() const { return readiness_.load(std::memory_order_acquire); }
    /// Sets it where it is `from`; returns whether it was.
    bool change_readiness(AdditionalSense from, AdditionalSense to) {
        return readiness_.compare_exchange_strong(from, to, std::memory_order_acq_rel);
    }
    /// What a command is told that the readiness keeps from being carried out.
    virtual Sense unready_sense(AdditionalSense why_not) const { return {.key = SenseKey::not_ready, .code = why_not}; }
    /// Commands under way on this unit now, as far as is known.
    usize commands_under_way() const { return neighbours_ != nullptr ? neighbours_->commands_of(lun_) : 0; }
    void tell(UnitEvent event) const;
    bool is_removal_prevented() const;

    static Completion succeed(const Request& request, u64 transferred = 0);
    Completion check(const Request& request, Sense sense) const;
    Completion check(const Request& request, SenseKey key, AdditionalSense code) const;
    /// ILLEGAL REQUEST, INVALID FIELD IN CDB, and where.
    Completion refuse_field(const Request& request, u8 byte) const;
    /// INVALID FIELD IN PARAMETER LIST, and where.
    Completion refuse_parameter(const Request& request, u16 byte) const;
    Completion failed(const Request& request, DiskError error) const;
    /// The buffers are too small for the CDB: nothing is done.
    Completion overrun(const Request& request) const;

private:
    struct NexusState {
        AttentionQueue attentions;
        std::atomic<bool> prevents_removal{false};
        Sense last_sense;  ///< where `keeps_sense`
    };
    u8 peripheral() const;
    Completion refuse_cdb(const Request& request, const Result<const Command*, CdbFault>& command) const;
    Completion answer_alone(const Command& command, const Cdb& cdb, const Request& request);
    Completion inquiry(const Cdb& cdb, const Request& request) const;
    Completion vital_product_data(const Cdb& cdb, const Request& request) const;
    Completion request_sense(const Cdb& cdb, const Request& request);
    Completion report_luns(const Cdb& cdb, const Request& request);
    Completion report_opcodes(const Cdb& cdb, const Request& request) const;
    Completion report_task_management(const Cdb& cdb, const Request& request) const;
    Completion mode_sense(const Cdb& cdb, const Request& request) const;
    Completion mode_select(const Cdb& cdb, const Request& request);
    Completion log_sense(const Cdb& cdb, const Request& request) const;
    Completion reserve(const Request& request);
    Completion release(const Request& request);
    Completion prevent_removal(const Cdb& cdb, const Request& request);
    Completion send_diagnostic(const Cdb& cdb, const Request& request);

    UnitKind kind_;
    DeviceType type_;
    UnitIdentity identity_;
    ModePages modes_;
    std::unique_ptr<NexusState[]> nexuses_;
    std::atomic<AdditionalSense> readiness_{AdditionalSense::none};
    std::atomic<bool> descriptor_sense_{false};  ///< D_SENSE of the control mode page
    std::atomic<u32> reserved_by_{0};            ///< RESERVE: nexus + 1; 0: nobody
    bool watches_reservations_ = false;
    u32 lun_ = 0;
    UnitListener* listener_ = nullptr;
    LunList* neighbours_ = nullptr;
};

}  // namespace undercroft::scsi
