// Any bytes are either a configuration, whose disks survive the way through the one-line grammar, or a list of errors
// that each say something and whose places lie in the line.
#include <cstdlib>

#include "kernel/config/configuration.hpp"

using namespace undercroft;

namespace {

void require(bool condition) {
    if (!condition) {
        std::abort();
    }
}

void check_errors(const ConfigErrors& errors) {
    require(!errors.empty() && errors.size() <= config_errors_max + 1);
    for (const ConfigError& error : errors) {
        require(!error.message.empty() && to_string(error).size() < 4096);
        require(error.span.column <= disk_line_bytes_max + 1);
    }
}

void check_disk(const DiskConfig& disk) {
    std::string line = to_string(disk);
    if (std::holds_alternative<EmptyDriveConfig>(disk.kind) || line.size() > disk_line_bytes_max) {
        return;
    }
    Result<DiskConfig, ConfigErrors> again = parse_disk(line);
    require(again.has_value() && *again == disk && to_string(*again) == line);
}

void check_line(std::string_view line) {
    Result<DiskConfig, ConfigErrors> disk = parse_disk(line);
    if (disk) {
        check_disk(*disk);
        return;
    }
    check_errors(disk.error());
    for (const ConfigError& error : disk.error()) {
        require(error.span.column <= line.size() + 1);
        require(error.span.column == 0 || error.span.column - 1 + error.span.length <= line.size());
        require((error.span.column == 0) == caret_lines(error, line).empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    Result<Configuration, ConfigErrors> configuration = parse_configuration(text);
    if (!configuration) {
        check_errors(configuration.error());
    } else {
        for (const StorageControllerConfig& controller : configuration->storage_controllers) {
            for (const LunConfig& lun : controller.luns) {
                require(controller.protocol != StorageProtocol::nvme || lun.location >= 1);
                check_disk(lun.disk);
            }
        }
    }
    check_line(text);
    return 0;
}
