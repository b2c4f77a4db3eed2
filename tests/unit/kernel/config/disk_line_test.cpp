// The one-line grammar: what it means, that it reads back what it prints, and where its errors point.
#include <catch2/catch.hpp>
#include <random>

#include "kernel/config/configuration.hpp"
#include "storage/disk_error.hpp"

namespace undercroft {
namespace {

using Random = std::mt19937_64;

DiskConfig disk_of(DiskKind kind) { return {.path = {}, .span = {}, .kind = std::move(kind)}; }

template <typename Kind>
const Kind& parsed(const Result<DiskConfig, ConfigErrors>& disk) {
    REQUIRE(disk.has_value());
    REQUIRE(std::holds_alternative<Kind>(disk->kind));
    return *std::get_if<Kind>(&disk->kind);
}

std::string errors_of(std::string_view line) {
    Result<DiskConfig, ConfigErrors> disk = parse_disk(line);
    std::string lines;
    if (!disk) {
        for (const ConfigError& error : disk.error()) {
            lines += to_string(error) + "\n";
        }
    }
    return lines;
}

// Texts that a grammar can stumble over, besides ordinary ones.
std::string some_text(Random& random) {
    constexpr std::string_view characters = "abzAZ09/._-:;,()'\"= \\%?&#+@~\xc3\xa9";
    std::string text;
    usize length = 1 + random() % 12;
    while (text.size() < length) {
        text += characters[random() % characters.size()];
    }
    return text;
}

template <typename T>
std::optional<T> maybe(Random& random, T value) {
    return random() % 2 == 0 ? std::optional<T>(value) : std::nullopt;
}

DelayTimeConfig some_time(Random& random) {
    u64 average = random() % 3 == 0 ? 0 : 1 + random() % 5'000'000'000;
    bool spread = average != 0 && random() % 2 == 0;
    return {.average_ns = average, .p99_ns = spread ? average * (1 + random() % delay_p99_factor_max) : 0};
}

FaultRuleConfig some_rule(Random& random) {
    FaultRuleConfig rule;
    rule.action = static_cast<FaultRuleConfig::Action>(random() % 5);
    rule.operation = static_cast<FaultRuleConfig::Operation>(random() % 8);
    if (rule.action == FaultRuleConfig::Action::corrupt) {
        rule.operation = FaultRuleConfig::Operation::read;
    }
    if (rule.action == FaultRuleConfig::Action::tear) {
        rule.operation = FaultRuleConfig::Operation::write;
        rule.error = maybe<u8>(random, static_cast<u8>(random() % disk_error_count));
    }
    if (rule.action == FaultRuleConfig::Action::fail) {
        rule.error = static_cast<u8>(random() % disk_error_count);
    }
    rule.delay_ns = rule.action == FaultRuleConfig::Action::delay ? 1 + random() % delay_ns_max : 0;
    if (random() % 2 == 0) {
        rule.first_sector = random() % 1000;
        rule.last_sector = rule.first_sector + random() % 3;
    }
    rule.skip = random() % 3;
    rule.count = random() % 3;
    rule.one_in = 1 + random() % 3;
    return rule;
}

DiskKind some_leaf(Random& random) {
    switch (random() % 9) {
    case 0:
        return NvmeDiskConfig{.device = {.segment = static_cast<u16>(random()),
                                         .bus = static_cast<u8>(random()),
                                         .device = static_cast<u8>(random() % 32),
                                         .function = static_cast<u8>(random() % 8)},
                              .namespace_id = static_cast<u32>(1 + random() % namespace_id_max)};
    case 1:
        return RamDiskConfig{.size_bytes = 4096 * (1 + random() % 100000), .sector_size = 4096};
    case 2: {
        FileDiskConfig file{.path = some_text(random), .direct = random() % 2 == 0};
        file.read_only = random() % 2 == 0;
        file.create_bytes = file.read_only ? std::nullopt : maybe<u64>(random, 512 * (1 + random() % 999));
        return file;
    }
    case 3:
        return BlockDeviceConfig{.path = some_text(random), .read_only = random() % 2 == 0};
    case 4:
        return Vhd1DiskConfig{.path = some_text(random), .direct = random() % 2 == 0};
    case 5:
        return BlobDiskConfig{.format = BlobDiskConfig::Format::vhd1, .url = "https://h/a?b=(c);d,e:'f'"};
    case 6:
        return SqliteDiskConfig{.path = some_text(random), .create_bytes = gib, .sector_size = 4096};
    case 7: {
        VmbusDiskConfig vmbus{.type = random() % 2 == 0 ? VmbusDiskConfig::Type::nvme : VmbusDiskConfig::Type::vscsi,
                              .instance_id = {},
                              .sub_device = static_cast<u32>(1 + random() % 64)};
        for (u8& byte : vmbus.instance_id.bytes) {
            byte = static_cast<u8>(random());
        }
        return vmbus;
    }
    default:
        return RamDiskConfig{.size_bytes = 512 * (1 + random() % 100000), .sector_size = 512};
    }
}

DiskConfig some_disk(Random& random, usize depth, usize crypts) {
    if (depth == 0) {
        return disk_of(some_leaf(random));
    }
    bool crypt = crypts < crypt_nesting_max && random() % 4 == 0;
    auto below = [&] { return DiskBelow(some_disk(random, depth - 1, crypts + (crypt ? 1 : 0))); };
    if (crypt) {
        return disk_of(CryptDiskConfig{.key = some_text(random), .over = below()});
    }
    switch (random() % 7) {
    case 0:
        return disk_of(MemoryDiffConfig{.over = below()});
    case 1: {
        StripedDiskConfig striped{.chunk_bytes = u64{512} << random() % 12, .over = {}};
        for (usize member = 0; member < 2 + random() % 2; ++member) {
            striped.over.push_back(some_disk(random, depth - 1, crypts));
        }
        return disk_of(std::move(striped));
    }
    case 2:
        return disk_of(ReservationsConfig{.over = below()});
    case 3: {
        DelayDiskConfig delay{.all = some_time(random), .read = maybe(random, some_time(random))};
        delay.flush = maybe(random, some_time(random));
        delay.seed = random() % 3;
        delay.over = below();
        return disk_of(std::move(delay));
    }
    case 4: {
        FaultDiskConfig fault{.rules = {some_rule(random)}, .seed = random()};
        if (random() % 2 == 0) {
            fault.rules.push_back(some_rule(random));
        }
        fault.over = below();
        return disk_of(std::move(fault));
    }
    case 5:
        return disk_of(SqliteDiffConfig{.path = some_text(random), .create = random() % 2 == 0, .over = below()});
    default:
        return disk_of(AutoCacheConfig{.key = random() % 3 == 0 ? "" : some_text(random), .over = below()});
    }
}

}  // namespace

TEST_CASE("every kind of disk as a line") {
    CHECK(parsed<RamDiskConfig>(parse_disk("mem:1G")).size_bytes == gib);
    CHECK(parsed<RamDiskConfig>(parse_disk("mem:1M;sector_size=4096")).sector_size == 4096);
    const auto nvme = parse_disk("nvme:00:03.0/7");
    CHECK(parsed<NvmeDiskConfig>(nvme) == NvmeDiskConfig{.device = {.device = 3}, .namespace_id = 7});
    const auto crypt = parse_disk("crypt:xts-aes-256:/etc/key file:mem:1M");
    CHECK(parsed<CryptDiskConfig>(crypt).key == "/etc/key file");
    const auto file = parse_disk("file:C:/a:b.img;direct;create=1G;sector_size=4096");
    CHECK(parsed<FileDiskConfig>(file) ==
          FileDiskConfig{.path = "C:/a:b.img", .direct = true, .create_bytes = gib, .sector_size = 4096});
    CHECK(parsed<FileDiskConfig>(parse_disk("file:/a;ro")).read_only);
    CHECK(parsed<FileDiskConfig>(parse_disk("file:'it''s; (a) \"b\", c'")).path == "it's; (a) \"b\", c");
    CHECK(parsed<FileDiskConfig>(parse_disk(R"(file:"a;b")")).path == "a;b");
    CHECK(parsed<SqliteDiskConfig>(parse_disk("sql:/a.dbhd;create=1G")).create_bytes == gib);
    const auto diff = parse_disk("sqldiff:'/a:b';create:file:/c:d");
    CHECK(parsed<SqliteDiffConfig>(diff).path == "/a:b");
    CHECK(parsed<SqliteDiffConfig>(diff).create);
    CHECK(std::get_if<FileDiskConfig>(&parsed<SqliteDiffConfig>(diff).over->kind)->path == "/c:d");
    CHECK(parsed<AutoCacheConfig>(parse_disk("autocache:one:blob:flat:http://h/x")).key == "one");
    CHECK(parsed<AutoCacheConfig>(parse_disk("autocache::blob:flat:http://h/x")).key.empty());
    CHECK(parsed<BlobDiskConfig>(parse_disk("blob:vhd1:https://h:8/x?y=z&a=b")).url == "https://h:8/x?y=z&a=b");
    CHECK(parsed<Vhd1DiskConfig>(parse_disk("vhd1:/a.vhd;create=64M")).create_bytes == 64 * mib);
    CHECK(parsed<BlockDeviceConfig>(parse_disk("block:/dev/sdb;ro")).read_only);
    CHECK(parsed<ReservationsConfig>(parse_disk("prwrap:mem:1M")).over.get() != nullptr);
    const auto delay = parse_disk("delay:10ms;write=20ms/1s:mem:1M");
    CHECK(parsed<DelayDiskConfig>(delay).all.average_ns == 10'000'000);
    CHECK(parsed<DelayDiskConfig>(delay).write == DelayTimeConfig{.average_ns = 20'000'000, .p99_ns = 1'000'000'000});
    const auto striped = parse_disk("striped;chunk=64K:(mem:1M,memdiff:mem:1M, striped:(mem:1M,mem:1M))");
    CHECK(parsed<StripedDiskConfig>(striped).chunk_bytes == 64 * kib);
    CHECK(parsed<StripedDiskConfig>(striped).over.size() == 3);
    CHECK(parsed<VmbusDiskConfig>(parse_disk("vscsi:00112233-4455-6677-8899-aabbccddeeff/5")).sub_device == 5);
}

TEST_CASE("fault rules") {
    const auto disk = parse_disk(
        "fault:write-fail-medium_write@2048-4095/skip=5/count=3/one_in=10+read-corrupt@7+flush-hold+any-delay-5ms"
        "+write-tear;seed=9:mem:1M");
    const auto& fault = parsed<FaultDiskConfig>(disk);
    REQUIRE(fault.rules.size() == 5);
    CHECK(fault.seed == 9);
    CHECK(fault.rules[0] == FaultRuleConfig{.operation = FaultRuleConfig::Operation::write,
                                            .error = static_cast<u8>(DiskError::medium_write),
                                            .first_sector = 2048,
                                            .last_sector = 4095,
                                            .skip = 5,
                                            .count = 3,
                                            .one_in = 10});
    CHECK(fault.rules[1].first_sector == 7);
    CHECK(fault.rules[1].last_sector == 7);
    CHECK(fault.rules[3].delay_ns == 5'000'000);
    CHECK_FALSE(fault.rules[4].error.has_value());
    CHECK(parsed<FaultDiskConfig>(parse_disk("fault:read-fail:mem:1M")).rules[0].error ==
          static_cast<u8>(DiskError::io));
    for (std::string_view rules : {"",
                                   "write",
                                   "write-",
                                   "write-explode",
                                   "writes-fail",
                                   "write-fail-bad",
                                   "write-fail@",
                                   "write-fail@7-6",
                                   "write-fail/count=0",
                                   "write-fail/count",
                                   "write-fail/count=1/count=2",
                                   "write-fail/often=1",
                                   "write-delay",
                                   "write-delay-5",
                                   "write-delay-0",
                                   "flush-corrupt",
                                   "read-tear",
                                   "write-fail+",
                                   "write-fail@1@2",
                                   "write-fail@99999999999999999999"}) {
        CAPTURE(rules);
        CHECK(errors_of("fault:" + std::string(rules) + ":mem:1M").starts_with("column "));
    }
}

TEST_CASE("the errors of fault rules are those of disks, in their order") {
    REQUIRE(fault_error_names().size() == disk_error_count);
    auto name_of = [](DiskError error) { return fault_error_names()[static_cast<usize>(error)]; };
    CHECK(name_of(DiskError::aborted_by_preempt) == "aborted_by_preempt");
    CHECK(name_of(DiskError::illegal_block) == "illegal_block");
    CHECK(name_of(DiskError::invalid_input) == "invalid_input");
    CHECK(name_of(DiskError::io) == "io");
    CHECK(name_of(DiskError::medium_guard) == "medium_guard");
    CHECK(name_of(DiskError::medium_reference_tag) == "medium_reference_tag");
    CHECK(name_of(DiskError::medium_application_tag) == "medium_application_tag");
    CHECK(name_of(DiskError::medium_read) == "medium_read");
    CHECK(name_of(DiskError::medium_write) == "medium_write");
    CHECK(name_of(DiskError::memory_access) == "memory_access");
    CHECK(name_of(DiskError::read_only) == "read_only");
    CHECK(name_of(DiskError::reservation_conflict) == "reservation_conflict");
    CHECK(name_of(DiskError::unsupported_eject) == "unsupported_eject");
    CHECK(name_of(DiskError::timed_out) == "timed_out");
    CHECK(name_of(DiskError::gone) == "gone");
    CHECK(name_of(DiskError::cancelled) == "cancelled");
}

TEST_CASE("what is printed is read back as the same disk") {
    Random random(20251121);
    for (usize round = 0; round < 3000; ++round) {
        DiskConfig disk = some_disk(random, random() % 5, 0);
        std::string line = to_string(disk);
        CAPTURE(line);
        Result<DiskConfig, ConfigErrors> again = parse_disk(line);
        REQUIRE(again.has_value());
        REQUIRE(*again == disk);
        REQUIRE(to_string(*again) == line);
    }
}

TEST_CASE("errors point at the character") {
    CHECK(errors_of("crypt:xts-aes-128::mem:1") ==
          "column 7: cipher: unknown cipher \"xts-aes-128\"; did you mean \"xts-aes-256\"?\n"
          "column 19: key: missing\n"
          "column 24: size: is no whole number of sectors of 512 bytes\n");
    CHECK(errors_of("fil:/a") == "column 1: unknown disk kind \"fil\"; did you mean \"file\"?\n");
    CHECK(errors_of("memdiff:file:/a;dirct;ro=1;ro") ==
          "column 17: \"file\" has no option \"dirct\"; did you mean \"direct\"?\n"
          "column 28: option \"ro\" is given twice\n"
          "column 26: ro: takes no value\n");
    CHECK(errors_of("file:/a;create;sector_size") ==
          "column 16: sector_size: needs a value\n"
          "column 9: create: must be a number of bytes, or one with K, M, G or T such as \"64M\"\n");
    CHECK(errors_of("file:/a,ro") ==
          "column 8: the disk ends before this character; a text that holds it must be quoted\n");
    CHECK(errors_of("striped:(mem:1M,fil:/a,nvme:x)") ==
          "column 17: unknown disk kind \"fil\"; did you mean \"file\"?\n"
          "column 30: \"nvme\" goes on otherwise: it is written nvme:0000:00:03.0/1\n");
    CHECK(errors_of("striped:(mem:1M)") == "column 1: has from 2 to 64 disks; there are 1\n");
    CHECK(errors_of("striped:(mem:1M,mem:1M") == "column 23: the list of disks is not closed by ')'\n");
    CHECK(errors_of("file:'/a") == "column 6: this quote is not closed\n");
    CHECK(errors_of("file:'/a'b") == "column 10: a quoted text ends before ';', ':', ',' or ')'\n");
    CHECK(errors_of("file:it's") == "column 8: a text that holds a quote must be quoted as a whole\n");
    CHECK(errors_of("memdiff:") == "column 9: \"memdiff\" goes on otherwise: it is written memdiff:DISK\n");
    CHECK(errors_of("fault:write-fail-medium_raed:mem:1M") ==
          "column 18: unknown error \"medium_raed\"; did you mean \"medium_read\"?\n");
    CHECK(errors_of("file:/a;ro;create=1G") == "column 19: create: does not go with \"ro\"\n");
    CHECK(errors_of("blob:flat:ftp://h/x") ==
          "column 11: url: must be an address that begins with http:// or https:// and has no spaces\n");
    CHECK(errors_of("delay:10ms/9ms:mem:1M") ==
          "column 7: all: the 99th percentile must be from the average to 50 times that\n");
    CHECK(errors_of(std::string("file:/a\nb")) == "column 6: path: may hold no control characters\n");
    CHECK(errors_of(std::string(5000, 'x')) == "is longer than 4096 bytes\n");
    std::string deep;
    for (usize depth = 0; depth < disk_nesting_max; ++depth) {
        deep += "memdiff:";
    }
    CHECK(errors_of(deep + "mem:1M") == "column 129: more than 16 disks inside each other\n");
}

TEST_CASE("carets stand under the part of the line that is wrong") {
    std::string_view line = "crypt:xts-aes-128:k\xc3\xa9y:mem:1Q";
    Result<DiskConfig, ConfigErrors> disk = parse_disk(line, "--disk");
    REQUIRE_FALSE(disk.has_value());
    REQUIRE(disk.error().size() == 2);
    CHECK(to_string(disk.error()[0]).starts_with("--disk, column 7: "));
    CHECK(caret_lines(disk.error()[0], line) == "  " + std::string(line) +
                                                    "\n"
                                                    "        ^~~~~~~~~~~\n");
    CHECK(caret_lines(disk.error()[1], line) == "  " + std::string(line) +
                                                    "\n"
                                                    "                            ^~\n");
    CHECK(caret_lines({.path = "a", .message = "b"}, line).empty());
    std::string long_line = "file:" + std::string(200, 'x') + ",";
    Result<DiskConfig, ConfigErrors> bad = parse_disk(long_line);
    REQUIRE_FALSE(bad.has_value());
    CHECK(caret_lines(bad.error()[0], long_line) ==
          "  ..." + std::string(50, 'x') + ",\n" + std::string(55, ' ') + "^\n");
}

TEST_CASE("what may be secret in a URL is left out of logs") {
    DiskConfig disk = parse_disk("memdiff:blob:flat:'https://me:pass@host:8/a@b?key=1#x'").value();
    CHECK(public_text(disk) == "memdiff:blob:flat:https://host:8/a@b");
    CHECK(to_string(disk) == "memdiff:blob:flat:https://me:pass@host:8/a@b?key=1#x");
    CHECK(public_url("http://host") == "http://host");
    CHECK(public_url("http://me@host") == "http://host");
    CHECK(public_url("nonsense?x") == "nonsense");
    CHECK(public_url("").empty());
}

TEST_CASE("disks below know their own place in the line") {
    Result<DiskConfig, ConfigErrors> disk = parse_disk("memdiff:crypt:xts-aes-256:k:striped:(mem:1M,file:/a;ro)", "d");
    REQUIRE(disk.has_value());
    const DiskConfig& striped = disks_below(disks_below(*disk)[0])[0];
    const DiskConfig& file = disks_below(striped)[1];
    CHECK(kind_name(file) == "file");
    CHECK(file.span.column == 45);
    CHECK(file.span.length == 10);
    CHECK(to_string(error_at(file, "is locked")) == "d, column 45: is locked");
    CHECK(disks_below(file).empty());
}

}  // namespace undercroft
