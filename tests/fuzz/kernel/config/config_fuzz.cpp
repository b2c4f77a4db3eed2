// Any bytes are either a configuration, whose disks survive the way through the one-line grammar, or a list of errors
// that each say something.
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
    }
}

void check_disk(const DiskConfig& disk) {
    Result<DiskConfig, ConfigErrors> again = parse_disk(to_string(disk));
    // What has other sectors than the grammar's 512 bytes may be refused there.
    require(!again || to_string(*again) == to_string(disk));
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
                require(lun.location >= 1 && lun.location <= namespace_id_max);
                check_disk(lun.disk);
            }
        }
    }
    if (Result<DiskConfig, ConfigErrors> disk = parse_disk(text)) {
        check_disk(*disk);
    } else {
        check_errors(disk.error());
    }
    return 0;
}
