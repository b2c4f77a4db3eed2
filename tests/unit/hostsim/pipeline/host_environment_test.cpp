// Pipelines on the host: every kind that is a file, keys from files, and the reasons where something cannot be opened.
#include "hostsim/pipeline/host_environment.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

class PipelineFixture : public BackendFixture {
public:
    PipelineFixture() { write_file("key", 64); }

    void write_file(const char* name, usize bytes) {
        std::ofstream file(folder / name, std::ios::binary);
        for (usize index = 0; index < bytes; ++index) {
            file.put(static_cast<char>(index * 37 + 1));
        }
    }
    /// `text` with every `$` replaced by the folder.
    std::string line(std::string text) const {
        for (usize at = text.find('$'); at != std::string::npos; at = text.find('$')) {
            text.replace(at, 1, std::string(folder / ""));
        }
        return text;
    }
    Result<Disk, ConfigErrors> build(const std::string& text) {
        return run(build_pipeline(parse_disk(line(text)).value(), environment));
    }
    std::string refusal(const std::string& text) {
        Result<Disk, ConfigErrors> disk = build(text);
        REQUIRE_FALSE(disk.has_value());
        std::string lines;
        for (const ConfigError& error : disk.error()) {
            lines += to_string(error) + "\n";
        }
        return lines;
    }

    HostPipelineEnvironment environment{{&executor},
                                        {.bounce_pool_bytes = 256 * kib, .cache_folder = folder / "cache"}};
};

}  // namespace

TEST_CASE("every kind of disk that a Linux program has holds what is written") {
    PipelineFixture fixture;
    fixture.write_file("plain.img", mib);
    for (const char* text :
         {"mem:1M", "memdiff:file:$plain.img;ro", "file:$a.img;create=1M",
          "file:$b.img;direct;create=1M;sector_size=4096", "vhd1:$c.vhd;create=1M", "sql:$d.sqlite;create=1M",
          "sqldiff:$e.sqlite;create:file:$plain.img;ro", "autocache:k:file:$f.img;create=1M",
          "crypt:xts-aes-256:$key:file:$g.img;create=1M",
          "crypt:xts-aes-256:$key:autocache:c:crypt:xts-aes-256:$key:file:$h.img;create=1M",
          "striped;chunk=64K:(file:$i.img;create=1M,file:$j.img;create=1M)", "prwrap:file:$k.img;create=1M",
          "delay:1us:mem:1M", "fault:read-fail@1000;seed=3:mem:1M"}) {
        CAPTURE(text);
        Result<Disk, ConfigErrors> disk = fixture.build(text);
        REQUIRE(disk.has_value());
        CHECK(fixture.write(*disk, 7, 0x5a, 20).has_value());
        CHECK(fixture.read(*disk, 7, 20) == 0x5a);
    }
}

TEST_CASE("a memory layer leaves what is below as it was") {
    PipelineFixture fixture;
    {
        Disk disk = fixture.build("file:$a.img;create=1M").value();
        CHECK(fixture.write(disk, 0, 0x11, 8).has_value());
    }
    {
        Disk disk = fixture.build("memdiff:file:$a.img").value();
        CHECK(fixture.write(disk, 2, 0x22, 2).has_value());
        CHECK(fixture.read(disk, 2, 2) == 0x22);
        CHECK(fixture.read(disk, 0, 2) == 0x11);
    }
    CHECK(fixture.read(fixture.build("file:$a.img").value(), 0, 8) == 0x11);
}

TEST_CASE("a disk with reservations of its own says so, and keeps saying so under what stands above") {
    PipelineFixture fixture;
    CHECK(fixture.build("mem:1M").value().reservations() == nullptr);
    CHECK(fixture.build("prwrap:mem:1M").value().reservations() != nullptr);
    CHECK(fixture.build("crypt:xts-aes-256:$key:delay:0:prwrap:mem:1M").value().reservations() != nullptr);
}

TEST_CASE("a rule of a fault disk does what it says") {
    PipelineFixture fixture;
    Disk disk = fixture.build("fault:write-fail-medium_write@8-15/skip=1/count=1:mem:1M").value();
    CHECK(fixture.write(disk, 0, 0x11, 8).has_value());
    CHECK(fixture.write(disk, 8, 0x11, 1).has_value());
    CHECK(fixture.write(disk, 7, 0x11, 2).error() == DiskError::medium_write);
    CHECK(fixture.write(disk, 8, 0x11, 1).has_value());
}

TEST_CASE("keys are files of 64 bytes, and everything else says what it is") {
    PipelineFixture fixture;
    fixture.write_file("short", 63);
    fixture.write_file("long", 5000);
    CHECK(fixture.refusal("striped:(crypt:xts-aes-256:$short:mem:1M,crypt:xts-aes-256:$long:mem:1M)")
              .find("short\" has 63 bytes, and must have 64") != std::string::npos);
    CHECK(fixture.refusal("crypt:xts-aes-256:$long:mem:1M").find("has 4096 bytes") != std::string::npos);
    CHECK(fixture.refusal("crypt:xts-aes-256:$none:mem:1M").find("none\" cannot be read: No such file") !=
          std::string::npos);
    CHECK(fixture.refusal("crypt:xts-aes-256:$:mem:1M").find("cannot be read: Is a directory") != std::string::npos);
    // A pipe whose writer is late, as a shell's <(...) is.
    REQUIRE(mkfifo((fixture.folder / "pipe").c_str(), 0600) == 0);
    int pipe = ::open((fixture.folder / "pipe").c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(pipe >= 0);
    std::thread writer([pipe] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        for (char byte = 0; byte < 64; ++byte) {
            (void)!::write(pipe, &byte, 1);
        }
        (void)::close(pipe);
    });
    CHECK(fixture.build("crypt:xts-aes-256:$pipe:mem:1M").has_value());
    writer.join();
    // Read again after it was wiped.
    CHECK(fixture.build("crypt:xts-aes-256:$key:mem:1M").has_value());
    fixture.environment.wipe_keys();
    CHECK(fixture.build("crypt:xts-aes-256:$key:mem:1M").has_value());
}

TEST_CASE("what cannot be opened is told with its place in the line and the reason of the system") {
    PipelineFixture fixture;
    CHECK(fixture.refusal("memdiff:file:$none").find("column 9: \"") == 0);
    CHECK(fixture.refusal("memdiff:file:$none").find("does not exist") != std::string::npos);
    CHECK(fixture.refusal("nvme:00:03.0/1").find("is for the image") != std::string::npos);
    CHECK(fixture.refusal("block:$key").find("column 1: \"") == 0);
    CHECK(fixture.refusal("sqldiff:$none.sqlite:mem:1M").find("none.sqlite") != std::string::npos);
    std::string blob = fixture.refusal("blob:flat:http://user:secret@127.0.0.1:9/x?token=1");
    CHECK(blob.find("column 1: \"http://127.0.0.1:9/x\": ") == 0);
    CHECK(fixture.refusal("striped:(mem:1M,mem:2M)").find("column 1: ") == 0);
    // Everything that can be told beforehand is, and nothing is opened then.
    std::string errors = fixture.refusal("striped:(file:$made.img;create=1M,nvme:00:03.0/1)");
    CHECK(errors.find("is for the image") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(fixture.folder / "made.img"));
}

}  // namespace undercroft::test
