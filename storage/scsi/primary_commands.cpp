// The commands of SPC-4 that every unit has and that touch no medium.
#include <algorithm>
#include <cstring>

#include "storage/scsi/logical_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

/// ASCII on the left, spaces behind (SPC-4 4.4.1). What is no printable ASCII becomes a space.
void put_text(std::span<u8> into, std::string_view text) {
    for (usize at = 0; at < into.size(); ++at) {
        bool is_graphic = at < text.size() && text[at] > ' ' && text[at] <= '~';
        into[at] = is_graphic ? static_cast<u8>(text[at]) : u8{' '};
    }
}

/// FNV-1a: for an identifier that has only to differ where the text does.
u64 hash_of(std::string_view text) {
    u64 hash = 0xcbf29ce484222325;
    for (char character : text) {
        hash = (hash ^ static_cast<u8>(character)) * 0x100000001b3;
    }
    return hash;
}

constexpr VitalPage common_pages[] = {VitalPage::supported_pages, VitalPage::unit_serial_number,
                                      VitalPage::device_identification, VitalPage::extended_inquiry};

/// Adds one designator (SPC-4 7.8.6) behind `used` bytes.
usize put_designator(std::span<std::byte> into, usize used, DesignatorHeader header, std::span<const u8> bytes) {
    header.bytes = static_cast<u8>(bytes.size());
    std::memcpy(into.data() + used, &header, sizeof(header));
    std::memcpy(into.data() + used + sizeof(header), bytes.data(), bytes.size());
    return used + sizeof(header) + bytes.size();
}

/// The unit by vendor, product and serial number, by a locally assigned NAA identifier, and its port.
usize identification(const UnitIdentity& identity, std::span<std::byte> into) {
    u8 text[8 + 16 + serial_bytes_max];
    put_text(std::span(text, 8), identity.vendor);
    put_text(std::span(text + 8, 16), identity.product);
    usize serial_bytes = identity.serial.size();
    put_text(std::span(text + 24, serial_bytes), identity.serial);
    usize text_bytes = 24 + serial_bytes;
    usize used = put_designator(into, 0, {.code_set = 2, .type = 1}, std::span(text, text_bytes));
    u64 name = hash_of({reinterpret_cast<const char*>(text), text_bytes});  // SAFETY: bytes as characters
    Be<u64> naa = u64{3} << 60 | name >> 4;
    u8 naa_bytes[sizeof(naa)];
    std::memcpy(naa_bytes, &naa, sizeof(naa));
    used = put_designator(into, used, {.code_set = 1, .type = 3}, naa_bytes);
    constexpr u8 port[] = {0, 0, 0, 1};
    return put_designator(into, used, {.code_set = 1, .type = 0x14}, port);
}

}  // namespace

u8 LogicalUnit::peripheral() const {
    return static_cast<u8>(static_cast<u8>(type_) | (kind_ == UnitKind::missing ? peripheral_not_here : 0));
}

Task<Completion> LogicalUnit::run(const Command& command, Cdb cdb, const Request& request) {
    return Task<Completion>::ready(answer_alone(command, cdb, request));
}

Completion LogicalUnit::answer_alone(const Command& command, const Cdb& cdb, const Request& request) {
    switch (command.opcode) {
    case Opcode::inquiry:
        return cdb[1] != 0 ? vital_product_data(cdb, request) : inquiry(cdb, request);
    case Opcode::request_sense:
        return request_sense(cdb, request);
    case Opcode::report_luns:
        return report_luns(cdb, request);
    case Opcode::maintenance_in:
        return command.service_action == service_report_supported_opcodes ? report_opcodes(cdb, request)
                                                                          : report_task_management(cdb, request);
    case Opcode::test_unit_ready:
        return succeed(request);
    case Opcode::mode_sense_6:
    case Opcode::mode_sense_10:
        return mode_sense(cdb, request);
    case Opcode::mode_select_6:
    case Opcode::mode_select_10:
        return mode_select(cdb, request);
    case Opcode::log_sense:
        return log_sense(cdb, request);
    case Opcode::reserve_6:
    case Opcode::reserve_10:
        return reserve(request);
    case Opcode::release_6:
    case Opcode::release_10:
        return release(request);
    case Opcode::prevent_allow_medium_removal:
        return prevent_removal(cdb, request);
    case Opcode::send_diagnostic:
        return send_diagnostic(cdb, request);
    default:
        return check(request, SenseKey::illegal_request, AdditionalSense::invalid_operation_code);
    }
}

Completion LogicalUnit::inquiry(const Cdb& cdb, const Request& request) const {
    if (cdb[2] != 0) {
        return refuse_field(request, 2);
    }
    StandardInquiry data;
    data.peripheral = peripheral();
    data.removable = type_ == DeviceType::optical ? 0x80 : 0;
    data.additional_bytes = sizeof(data) - 5;
    put_text(data.vendor, identity_.vendor);
    put_text(data.product, identity_.product);
    put_text(data.revision, identity_.revision);
    data.version_descriptors[0] = version_sam_5;
    data.version_descriptors[1] = version_spc_4;
    data.version_descriptors[2] = command_set_version();
    return respond(request, cdb.be16(3), data);
}

usize LogicalUnit::vital_page(VitalPage, std::span<std::byte, vital_page_bytes_max>) const { return 0; }

Completion LogicalUnit::vital_product_data(const Cdb& cdb, const Request& request) const {
    auto page = static_cast<VitalPage>(cdb[2]);
    std::byte body[vital_page_bytes_max] = {};
    usize used = 0;
    std::span<const VitalPage> others = vital_pages();
    if (page == VitalPage::supported_pages) {
        auto put_number = [&](VitalPage number) { body[used++] = static_cast<std::byte>(number); };
        std::for_each(std::begin(common_pages), std::end(common_pages), put_number);
        std::for_each(others.begin(), others.end(), put_number);
    } else if (page == VitalPage::unit_serial_number) {
        std::memcpy(body, identity_.serial.data(), identity_.serial.size());
        used = identity_.serial.size();
    } else if (page == VitalPage::device_identification) {
        used = identification(identity_, body);
    } else if (page == VitalPage::extended_inquiry) {
        ExtendedInquiry data;
        data.task_attributes = extended_simple_tasks;
        data.cache = extended_volatile_cache;
        data.sense_bytes_max = sense_bytes_max;
        std::memcpy(body, &data, sizeof(data));
        used = sizeof(data);
    } else if (std::find(others.begin(), others.end(), page) != others.end()) {
        used = vital_page(page, body);
    } else {
        return refuse_field(request, 2);
    }
    ResponseWriter writer(request, cdb.be16(3));
    writer.put_part(VitalPageHeader{.peripheral = peripheral(), .page = cdb[2], .page_bytes = static_cast<u16>(used)});
    writer.put(std::span(body, used));
    return completion_of(request, writer);
}

Completion LogicalUnit::request_sense(const Cdb& cdb, const Request& request) {
    NexusState& nexus = nexuses_[request.nexus];
    Sense sense = std::exchange(nexus.last_sense, Sense{});
    if (kind_ == UnitKind::missing) {
        sense = {.key = SenseKey::illegal_request, .code = AdditionalSense::logical_unit_not_supported};
    } else if (sense.key != SenseKey::no_sense) {
        // What a transport without autosense asks for.
    } else if (std::optional<UnitAttention> attention = nexus.attentions.take()) {
        sense = {.key = SenseKey::unit_attention, .code = sense_of(*attention)};
    } else if (readiness() != AdditionalSense::none) {
        sense = unready_sense(readiness());
    }
    sense.as_descriptors = cdb[1] != 0;
    std::byte data[sense_bytes_max];
    usize used = encode_sense(sense, data);
    ResponseWriter writer(request, cdb[4]);
    writer.put(std::span(data, used));
    return completion_of(request, writer);
}

Completion LogicalUnit::report_luns(const Cdb& cdb, const Request& request) {
    constexpr u8 without_well_known = 0;
    constexpr u8 well_known_alone = 1;
    constexpr u8 all = 2;
    u8 select = cdb[2];
    if (select > all) {
        return refuse_field(request, 2);
    }
    auto next = [this](i32 lun) { return neighbours_ != nullptr ? neighbours_->next_lun(lun) : (lun < 0 ? 0 : -1); };
    u32 count = select == without_well_known ? 0 : 1;
    if (select != well_known_alone) {
        for (i32 lun = next(-1); lun >= 0; lun = next(lun)) {
            ++count;
        }
    }
    ResponseWriter writer(request, cdb.be32(6));
    writer.put_part(Be<u32>(count * 8));
    writer.put_part(Be<u32>(0));
    u32 left = count;
    if (select != without_well_known) {
        writer.put_part(
            Be<u64>(0xc101'0000'0000'0000));  // extended addressing, well known, REPORT LUNS (SAM-5 4.7.7.5)
        --left;
    }
    for (i32 lun = next(-1); lun >= 0 && left > 0; lun = next(lun), --left) {
        // Peripheral addressing below 256, flat above (SAM-5 4.7.7.2, 4.7.7.3).
        u64 address = lun < 256 ? static_cast<u64>(lun) : 0x4000 | static_cast<u64>(lun);
        writer.put_part(Be<u64>(address << 48));
    }
    for (; left > 0; --left) {
        writer.put_part(Be<u64>(0));  // one was removed meanwhile, and the length is written
    }
    if (neighbours_ != nullptr) {
        neighbours_->reported(request.nexus);
    }
    return completion_of(request, writer);
}

namespace {

/// SPC-4 table 276; follows the usage data, or a descriptor.
struct TimeoutsDescriptor {
    Be<u16> bytes = 10;
    u8 reserved = 0;
    u8 command_specific = 0;
    Be<u32> nominal_seconds = 0;      // not told
    Be<u32> recommended_seconds = 0;  // not told
};
static_assert(sizeof(TimeoutsDescriptor) == 12 && offsetof(TimeoutsDescriptor, recommended_seconds) == 8);

/// SPC-4 table 273.
struct CommandDescriptor {
    u8 opcode = 0;
    u8 reserved = 0;
    Be<u16> service_action = 0;
    u8 reserved_too = 0;
    u8 flags = 0;
    Be<u16> cdb_bytes = 0;
};
static_assert(sizeof(CommandDescriptor) == 8 && offsetof(CommandDescriptor, cdb_bytes) == 6);

constexpr u8 has_service_action = 0x01;  // SERVACTV
constexpr u8 has_timeouts = 0x02;        // CTDP of table 273
constexpr u8 return_timeouts = 0x80;     // RCTD of the CDB, CTDP of table 274
constexpr u8 is_not_supported = 0x01;    // SUPPORT of table 274
constexpr u8 is_as_in_standard = 0x03;

/// SPC-4 table 274: one command and its usage bits.
void put_one_command(ResponseWriter& writer, const Command* command, bool with_timeouts) {
    if (command == nullptr) {
        writer.put_part(Be<u32>(u32{is_not_supported} << 16));
        return;
    }
    writer.put_part(Be<u16>(static_cast<u16>((with_timeouts ? return_timeouts : 0) | is_as_in_standard)));
    writer.put_part(Be<u16>(command->length));
    writer.put_part(command->opcode);
    std::array<u8, cdb_bytes_max - 1> usage = command->usage;
    usage[0] |= command->has_service_action() ? command->service_action : 0;
    writer.put(std::as_bytes(std::span(usage)).first(command->length - 1U));
    if (with_timeouts) {
        writer.put_part(TimeoutsDescriptor{});
    }
}

}  // namespace

Completion LogicalUnit::report_opcodes(const Cdb& cdb, const Request& request) const {
    u8 reporting = cdb[2] & 0x07;
    auto is_here = [this](const Command& command) { return command.is_for(kind_) && offers(command); };
    bool with_timeouts = (cdb[2] & return_timeouts) != 0;
    ResponseWriter writer(request, cdb.be32(6));
    if (reporting > 3) {
        return refuse_field(request, 2);
    }
    if (reporting == 0) {
        u32 count = 0;
        for (const Command& command : command_table()) {
            count += is_here(command) ? 1 : 0;
        }
        usize each = sizeof(CommandDescriptor) + (with_timeouts ? sizeof(TimeoutsDescriptor) : 0);
        writer.put_part(Be<u32>(static_cast<u32>(count * each)));
        for (const Command& command : command_table()) {
            if (!is_here(command)) {
                continue;
            }
            bool actions = command.has_service_action();
            writer.put_part(CommandDescriptor{
                .opcode = static_cast<u8>(command.opcode),
                .service_action = actions ? u16{command.service_action} : u16{0},
                .flags = static_cast<u8>((with_timeouts ? has_timeouts : 0) | (actions ? has_service_action : 0)),
                .cdb_bytes = command.length});
            if (with_timeouts) {
                writer.put_part(TimeoutsDescriptor{});
            }
        }
        return completion_of(request, writer);
    }
    // 1: an operation code alone; 2: with a service action; 3: whichever of the two it is (SPC-4 table 270).
    const Command* found = nullptr;
    for (const Command& command : commands_with(cdb[3])) {
        if (!is_here(command)) {
            continue;
        }
        if (command.has_service_action() ? reporting == 1 : reporting == 2) {
            return refuse_field(request, 2);
        }
        bool matches =
            command.has_service_action() ? cdb.be16(4) == command.service_action : reporting == 1 || cdb.be16(4) == 0;
        found = matches ? &command : found;
    }
    put_one_command(writer, found, with_timeouts);
    return completion_of(request, writer);
}

Completion LogicalUnit::report_task_management(const Cdb& cdb, const Request& request) const {
    // SPC-4 table 278: ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK, TARGET RESET; then
    // QUERY TASK SET and I_T NEXUS RESET.
    constexpr u8 functions[] = {0x80 | 0x40 | 0x10 | 0x08 | 0x04 | 0x02, 0x02 | 0x01};
    bool extended = (cdb[2] & 0x80) != 0;
    struct {
        u8 functions[2] = {};
        u8 reserved = 0;
        u8 additional_bytes = 0;
        u8 timeouts[12] = {};  // none told
    } data{.functions = {functions[0], functions[1]}, .additional_bytes = extended ? u8{12} : u8{0}};
    static_assert(sizeof(data) == 16);
    ResponseWriter writer(request, cdb.be32(6));
    writer.put(std::as_bytes(std::span(&data, 1)).first(extended ? 16 : 4));
    return completion_of(request, writer);
}

}  // namespace undercroft::scsi
