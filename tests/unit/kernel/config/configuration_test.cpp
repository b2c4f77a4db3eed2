// The example documents: each good one is accepted by the parser and by the schema, each bad one gives exactly the
// errors that stand beside it, and is refused by the schema as well unless the file says why no schema can tell.
// tests/tidy/check_schema.py looks closer, LUN by LUN, with another validator. To write the expectations anew: UNDERCROFT_WRITE_EXPECTATIONS=1 unit_tests "[config-documents]", and read the
// difference.
#include "kernel/config/configuration.hpp"

#include <rapidjson/schema.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace undercroft {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view beyond_schema = "# no schema can tell";

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>(file), {}};
}

fs::path document(const char* folder, const char* name) {
    return fs::path(__FILE__).parent_path() / "documents" / folder / name;
}

std::vector<fs::path> documents(const char* folder) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(fs::path(__FILE__).parent_path() / "documents" / folder)) {
        if (entry.path().extension() == ".json") {
            paths.push_back(entry.path());
        }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

std::string lines_of(const ConfigErrors& errors) {
    std::string lines;
    for (const ConfigError& error : errors) {
        lines += to_string(error) + "\n";
    }
    return lines;
}

class Schema {
public:
    Schema() : document_(parsed(read_file(root() / "docs" / "config.schema.json"))), schema_(document_) {}
    bool accepts(const std::string& text) const {
        rapidjson::Document document;
        document.Parse(text.data(), text.size());
        if (document.HasParseError()) {
            return false;
        }
        rapidjson::SchemaValidator validator(schema_);
        return document.Accept(validator);
    }

private:
    static fs::path root() {
        return fs::path(__FILE__).parent_path().parent_path().parent_path().parent_path().parent_path();
    }
    static rapidjson::Document parsed(const std::string& text) {
        rapidjson::Document document;
        document.Parse(text.data(), text.size());
        REQUIRE_FALSE(document.HasParseError());
        return document;
    }
    rapidjson::Document document_;
    rapidjson::SchemaDocument schema_;
};

// With its end; of an expectation that is about to be written for the first time, the words to complete.
std::string first_line(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string line;
    std::getline(file, line);
    return line.starts_with(beyond_schema) ? line + "\n" : std::string(beyond_schema) + ": \n";
}

std::string parse_errors(std::string_view text) {
    Result<Configuration, ConfigErrors> result = parse_configuration(text);
    return result ? "" : lines_of(result.error());
}

}  // namespace

TEST_CASE("good documents are accepted by parser and schema", "[config-documents]") {
    Schema schema;
    std::vector<fs::path> paths = documents("good");
    REQUIRE(paths.size() >= 5);
    for (const fs::path& path : paths) {
        CAPTURE(path.filename().string());
        std::string text = read_file(path);
        CHECK(parse_errors(text) == "");
        CHECK(schema.accepts(text));
    }
}

TEST_CASE("bad documents give the errors beside them", "[config-documents]") {
    Schema schema;
    std::vector<fs::path> paths = documents("bad");
    REQUIRE(paths.size() >= 20);
    bool write = std::getenv("UNDERCROFT_WRITE_EXPECTATIONS") != nullptr;
    for (const fs::path& path : paths) {
        CAPTURE(path.filename().string());
        std::string text = read_file(path);
        std::string errors = parse_errors(text);
        bool accepted = schema.accepts(text);
        fs::path expectation = path;
        expectation.replace_extension(".errors");
        if (write) {
            std::string reason = accepted ? first_line(expectation) : "";
            std::ofstream(expectation, std::ios::binary) << reason << errors;
        }
        std::string expected = read_file(expectation);
        bool schema_cannot_tell = expected.starts_with(beyond_schema);
        CHECK(expected == (schema_cannot_tell ? first_line(expectation) : "") + errors);
        CHECK(errors != "");
        CHECK(accepted == schema_cannot_tell);
    }
}

TEST_CASE("the default document becomes the tree that it describes") {
    Result<Configuration, ConfigErrors> result = parse_configuration(read_file(documents("good")[0]));
    REQUIRE(result.has_value());
    REQUIRE(result->storage_controllers.size() == 1);
    const StorageControllerConfig& controller = result->storage_controllers[0];
    CHECK(controller.protocol == StorageProtocol::nvme);
    CHECK(controller.instance_id == parse_guid("7a8203e1-4c4d-4b0a-9d0c-6f3d7d1c5a01"));
    REQUIRE(controller.luns.size() == 1);
    CHECK(controller.luns[0].location == 1);
    const auto* crypt = std::get_if<CryptDiskConfig>(&controller.luns[0].disk.kind);
    REQUIRE(crypt != nullptr);
    CHECK(crypt->key == "demo");
    CHECK(controller.luns[0].disk.path == "storage_controllers[0].luns[0].disk.crypt");
    const auto* nvme = std::get_if<NvmeDiskConfig>(&crypt->over->kind);
    REQUIRE(nvme != nullptr);
    CHECK(nvme->device == PciAddress{.segment = 0, .bus = 0, .device = 3, .function = 0});
    CHECK(nvme->namespace_id == 1);
    CHECK(result->warnings.empty());
}

TEST_CASE("what OpenHCL's settings have and we do not is a warning") {
    std::vector<fs::path> paths = documents("good");
    auto openhcl =
        std::find_if(paths.begin(), paths.end(), [](const fs::path& path) { return path.stem() == "openhcl"; });
    REQUIRE(openhcl != paths.end());
    Result<Configuration, ConfigErrors> result = parse_configuration("\xef\xbb\xbf" + read_file(*openhcl));
    REQUIRE(result.has_value());
    CHECK(lines_of(result->warnings).find("fixed: has no effect") != std::string::npos);
    CHECK(lines_of(result->warnings).find("dynamic.storage_controllers[0].luns[0].channel: has no effect") !=
          std::string::npos);
    CHECK(lines_of(result->warnings).find(".fua") == std::string::npos);
    CHECK(result->storage_controllers[0].luns[0].vendor_id == "OpenVMM");
}

TEST_CASE("OpenHCL's documents become the disks that they describe") {
    auto lines = [](const char* name) {
        std::string text;
        Result<Configuration, ConfigErrors> result = parse_configuration(read_file(document("good", name)));
        REQUIRE(result.has_value());
        for (const StorageControllerConfig& controller : result->storage_controllers) {
            for (const LunConfig& lun : controller.luns) {
                text += std::to_string(lun.channel) + "." + std::to_string(lun.location) +
                        (lun.is_dvd ? " dvd " : " ") + to_string(lun.disk) + "\n";
            }
        }
        return text;
    };
    CHECK(lines("openhcl-striped.json") == "0.1 striped;chunk=64K:(nvme:0000:00:03.0/1,nvme:0000:00:04.0/1)\n"
                                           "0.2 striped;chunk=128K:(nvme:0000:00:03.0/2,nvme:0000:00:04.0/2)\n"
                                           "0.0 nvme:0000:00:05.0/1\n"
                                           "1.0 dvd empty\n");
    CHECK(lines("openhcl-relay.json") == "0.15 vscsi:5b2a7c90-1e44-4c1f-8b3a-6d2f1f0e9a22/5\n"
                                         "0.16 striped;chunk=128K:(nvme:5b2a7c90-1e44-4c1f-8b3a-6d2f1f0e9a33/1,"
                                         "nvme:5b2a7c90-1e44-4c1f-8b3a-6d2f1f0e9a44/1)\n"
                                         "0.17 dvd empty\n");
}

TEST_CASE("an object and the line that it is printed as are the same disk") {
    usize count = 0;
    for (const fs::path& path : documents("good")) {
        Result<Configuration, ConfigErrors> result = parse_configuration(read_file(path));
        REQUIRE(result.has_value());
        for (const StorageControllerConfig& controller : result->storage_controllers) {
            for (const LunConfig& lun : controller.luns) {
                if (!std::holds_alternative<EmptyDriveConfig>(lun.disk.kind)) {
                    CAPTURE(lun.path, to_string(lun.disk));
                    CHECK(parse_disk(to_string(lun.disk)).value() == lun.disk);
                    ++count;
                }
            }
        }
    }
    CHECK(count > 30);
}

TEST_CASE("a document is bounded in size") {
    std::string text = R"({"version":1,"storage_controllers":[]})";
    text.resize(config_bytes_max, ' ');
    CHECK(parse_errors(text) == "");
    text += ' ';
    CHECK(parse_errors(text) == "the document has 65537 bytes, and may have 65536\n");
}

}  // namespace undercroft
