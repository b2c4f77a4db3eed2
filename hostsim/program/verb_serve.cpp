// Verb serve: disk pipelines for clients of this machine, over NBD and vhost-user (blk and scsi).
#include <stdio.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <thread>

#include "hostsim/inspect/control_place.hpp"
#include "hostsim/inspect/served_program.hpp"
#include "hostsim/pipeline/host_environment.hpp"
#include "hostsim/platform/executor_threads.hpp"
#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/stop_signal.hpp"
#include "hostsim/program/verbs.hpp"
#include "hostsim/servers/nbd/server.hpp"
#include "hostsim/servers/vhost_user/device_server.hpp"
#include "kernel/base/log.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/scsi_device.hpp"
#include "storage/scsi/block_unit.hpp"

namespace undercroft {

namespace {

constexpr u64 threads_max = 64;
constexpr u64 spin_us_default = 50;
constexpr u64 spin_us_max = 100'000;
constexpr u16 queues_default = 4;

constexpr OptionSpec options[] = {
    {.name = "nbd", .value = "WHERE", .help = "serve NBD at unix:PATH or tcp:127.0.0.1:PORT", .repeatable = true},
    {.name = "export", .value = "NAME=DISK", .help = "serve DISK under NAME (NBD)", .repeatable = true},
    {.name = "config", .value = "FILE", .help = "serve every disk of a configuration, named CONTROLLER.LOCATION"},
    {.name = "vhost-user-blk",
     .value = "PATH",
     .help = "serve DISK to a virtual machine at this socket (vhost-user-blk)"},
    {.name = "vhost-user-scsi",
     .value = "PATH",
     .help = "serve all disks to a virtual machine at this socket, as LUNs in their order (vhost-user-scsi)"},
    {.name = "queues", .value = "N", .help = "queues of the vhost-user device (default: 4)"},
    {.name = "read-only", .value = nullptr, .help = "refuse every change"},
    {.name = "control",
     .value = "WHERE",
     .help = "be looked into at unix:PATH (undercroft inspect), or none (default: a socket of this user's)"},
    {.name = "threads", .value = "N", .help = "threads that connections are spread over (default: one a CPU)"},
    {.name = "spin", .value = "MICROSECONDS", .help = "look so long for work before sleeping (default: 50)"},
};

constexpr char help[] =
    "DISK is in the one-line grammar (docs/disks.md), for example mem:1G. It is the export without a name.\n"
    "The program prints `ready` once clients can connect, and ends cleanly on SIGINT or SIGTERM.\n"
    "Exit status: 0 stopped, 1 wrong command line, 13 disk refused, 20 no socket or io_uring, 21 failed.";

int refuse(int status, const std::string& why) {
    (void)fprintf(stderr, "undercroft: %s\n", why.c_str());
    return status;
}

/// What is wrong with a disk, and the line that said it.
struct DiskErrors {
    std::string line;
    ConfigErrors errors;
};

int refuse(const std::vector<DiskErrors>& disks) {
    for (const DiskErrors& disk : disks) {
        for (const ConfigError& error : disk.errors) {
            (void)fprintf(stderr, "undercroft: %s\n%s", to_string(error).c_str(),
                          caret_lines(error, disk.line).c_str());
        }
    }
    return exit_status::configuration_refused;
}

struct NamedDisk {
    std::string name;
    std::string line;
    DiskConfig disk;
};

/// Every disk of the configuration in the file `path`, under CONTROLLER.LOCATION, both as the document numbers them.
Result<std::vector<NamedDisk>, ConfigErrors> read_configuration(const std::string& path) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "rbe"), &fclose);
    std::string text(config_bytes_max + 1, '\0');
    if (file == nullptr) {
        return std::unexpected(ConfigErrors{{.path = path, .message = "cannot be read; is there such a file?"}});
    }
    text.resize(fread(text.data(), 1, text.size(), file.get()));
    Configuration configuration = TRY(parse_configuration(text));
    std::vector<NamedDisk> disks;
    usize number = 0;
    for (StorageControllerConfig& controller : configuration.storage_controllers) {
        for (LunConfig& lun : controller.luns) {
            std::string line = to_string(lun.disk);
            disks.push_back({.name = std::to_string(number) + "." + std::to_string(lun.location),
                             .line = std::move(line),
                             .disk = std::move(lun.disk)});
        }
        ++number;
    }
    return disks;
}

Result<std::vector<NamedDisk>, std::vector<DiskErrors>> read_disks(const CommandLine& line) {
    std::vector<NamedDisk> disks;
    std::vector<DiskErrors> errors;
    auto refused = [&](std::string_view text, std::string path, std::string message) {
        ConfigErrors one;
        one.push_back({.path = std::move(path), .message = std::move(message)});
        errors.push_back({.line = std::string(text), .errors = std::move(one)});
    };
    auto add = [&](std::string name, std::string_view text) {
        Result<DiskConfig, ConfigErrors> disk = parse_disk(text, name.empty() ? "DISK" : name);
        bool twice = std::ranges::any_of(disks, [&](const NamedDisk& other) { return other.name == name; });
        if (!disk) {
            errors.push_back({.line = std::string(text), .errors = std::move(disk.error())});
        } else if (twice) {
            refused(text, name, "this name is given twice");
        } else {
            disks.push_back({.name = std::move(name), .line = std::string(text), .disk = std::move(*disk)});
        }
    };
    for (const std::string& text : line.positional()) {
        add("", text);
    }
    for (const std::string& text : line.values("export")) {
        usize equals = text.find('=');
        if (equals == std::string::npos) {
            refused(text, "--export", "needs NAME=DISK, and is \"" + text + "\"");
        } else {
            add(text.substr(0, equals), std::string_view(text).substr(equals + 1));
        }
    }
    if (line.has("config")) {
        Result<std::vector<NamedDisk>, ConfigErrors> more = read_configuration(std::string(line.value("config")));
        if (!more) {
            errors.push_back({.line = "", .errors = std::move(more.error())});
        } else {
            std::ranges::move(*more, std::back_inserter(disks));
        }
    }
    if (!errors.empty()) {
        return std::unexpected(std::move(errors));
    }
    return disks;
}

/// Where clients may come, and what holds for all of them.
struct Offer {
    std::vector<Listener> nbd;
    std::optional<Listener> vhost_user_block;
    std::optional<Listener> vhost_user_scsi;
    std::optional<Listener> control;
    u16 queues = queues_default;
    bool read_only = false;
};

void add_units(scsi::Target& target, const std::vector<Disk>& disks, bool read_only) {
    for (u32 lun = 0; lun < disks.size(); ++lun) {
        scsi::BlockUnitConfig config{
            .disk = disks[lun], .identity = {.serial = "undercroft-" + std::to_string(lun), .read_only = read_only}};
        ASSERT(target.add(lun, std::make_shared<scsi::BlockUnit>(std::move(config))).has_value());
    }
}

Task<int> serve(std::vector<NamedDisk> disks, Offer offer, ExecutorThreads& threads,
                HostPipelineEnvironment& environment, DiskCollector& collector, StopSignal& signal) {
    std::vector<nbd::Export> exports;
    std::vector<InspectedDisk> pipelines;
    for (NamedDisk& disk : disks) {
        Result<Disk, ConfigErrors> opened = co_await build_pipeline(disk.disk, environment);
        if (!opened) {
            std::vector<DiskErrors> errors;
            errors.push_back({.line = disk.line, .errors = std::move(opened.error())});
            co_return refuse(errors);
        }
        std::optional<InspectedDisk> pipeline = collector.take();
        ASSERT(pipeline);
        pipelines.push_back(std::move(*pipeline));
        exports.push_back({.name = disk.name,
                           .description = public_text(disk.disk),
                           .disk = std::move(*opened),
                           .read_only = offer.read_only});
    }
    environment.wipe_keys();
    Disk first = exports.front().disk;
    virtio::BlockDevice block(first, {.serial = "undercroft", .read_only = offer.read_only, .queues = offer.queues});
    std::vector<Disk> units;
    std::ranges::transform(exports, std::back_inserter(units), &nbd::Export::disk);
    nbd::Server server(std::move(exports), threads.executors());
    vhost_user::DeviceRecord block_record;
    vhost_user::DeviceRecord scsi_record;
    ServedProgram program(server, pipelines, threads);
    ControlServer control(program);
    TaskGroup accepting;
    for (Listener& listener : offer.nbd) {
        accepting.spawn(server.accept(listener, accepting.token()));
        log_info("serving NBD at %s", listener.where().c_str());
    }
    if (offer.vhost_user_block) {
        program.add("vhost_user_blk", block_record);
        accepting.spawn(vhost_user::serve_device(*offer.vhost_user_block, block, block_record, accepting.token()));
        log_info("serving vhost-user-blk at %s", offer.vhost_user_block->where().c_str());
    }
    virtio::ScsiDevice scsi(static_cast<u16>(std::min<u16>(offer.queues, vhost_user::queues_max - 2)));
    if (offer.vhost_user_scsi) {
        add_units(scsi.target(), units, offer.read_only);
        program.add("vhost_user_scsi", scsi_record);
        accepting.spawn(vhost_user::serve_device(*offer.vhost_user_scsi, scsi, scsi_record, accepting.token()));
        log_info("serving vhost-user-scsi with %zu LUNs at %s", units.size(), offer.vhost_user_scsi->where().c_str());
    }
    if (offer.control) {
        accepting.spawn(control.accept(*offer.control, accepting.token()));
    }
    (void)puts("ready");
    (void)fflush(stdout);
    Result<int> number = co_await signal.wait();
    log_info("signal %d: stopping", number.value_or(0));
    accepting.stop();
    (void)co_await accepting.join();
    co_await scsi.close();
    co_await server.stop();
    co_return exit_status::done;
}

// Where nothing was asked for, serving goes on without it.
Result<std::optional<Listener>, std::string> listen_for_control(const CommandLine& line) {
    std::string_view where = line.value("control");
    if (where == "none") {
        return std::nullopt;
    }
    if (!where.empty() && !where.starts_with("unix:")) {
        return std::unexpected("--control is " + quoted(where) + "; it has to be unix:PATH, or none");
    }
    if (!where.empty()) {
        return std::optional<Listener>(TRY(Listener::open(where)));
    }
    Result<std::string, std::string> path = make_control_path();
    Result<Listener, std::string> listener =
        path ? Listener::open("unix:" + *path) : Result<Listener, std::string>(std::unexpected(path.error()));
    if (!listener) {
        log_warning("undercroft inspect cannot look in here: %s", listener.error().c_str());
        return std::nullopt;
    }
    return std::optional<Listener>(std::move(*listener));
}

Result<Offer, std::string> listen(const CommandLine& line) {
    Offer offer;
    for (const std::string& where : line.values("nbd")) {
        offer.nbd.push_back(TRY(Listener::open(where)));
    }
    if (line.has("vhost-user-blk")) {
        offer.vhost_user_block.emplace(TRY(Listener::open("unix:" + std::string(line.value("vhost-user-blk")))));
    }
    if (line.has("vhost-user-scsi")) {
        offer.vhost_user_scsi.emplace(TRY(Listener::open("unix:" + std::string(line.value("vhost-user-scsi")))));
    }
    std::optional<Listener> control = TRY(listen_for_control(line));
    if (control) {
        offer.control.emplace(std::move(*control));
    }
    return offer;
}

int run(const CommandLine& line) {
    u64 processors = std::clamp<u64>(std::thread::hardware_concurrency(), 1, threads_max);
    Result<u64, std::string> count = line.number("threads", processors, 1, threads_max);
    Result<u64, std::string> spin_us = line.number("spin", spin_us_default, 0, spin_us_max);
    Result<u64, std::string> queues = line.number("queues", queues_default, 1, vhost_user::queues_max);
    for (const auto* number : {&count, &spin_us, &queues}) {
        if (!*number) {
            return refuse(exit_status::usage, number->error());
        }
    }
    Result<std::vector<NamedDisk>, std::vector<DiskErrors>> disks = read_disks(line);
    if (!disks) {
        return refuse(disks.error());
    }
    if (disks->empty() || !(line.has("nbd") || line.has("vhost-user-blk") || line.has("vhost-user-scsi"))) {
        return refuse(exit_status::usage, "serve needs a DISK, and --nbd WHERE, --vhost-user-blk PATH or "
                                          "--vhost-user-scsi PATH; see undercroft serve --help");
    }
    if (line.has("vhost-user-scsi") && disks->size() > scsi::luns_max) {
        return refuse(exit_status::usage, "vhost-user-scsi has room for " + std::to_string(scsi::luns_max) + " LUNs");
    }
    StopSignal signal;
    auto threads = ExecutorThreads::create(*count, {.spin_ns = *spin_us * nanoseconds_per_microsecond});
    if (!threads) {
        return refuse(exit_status::refused_by_system, threads.error());
    }
    Result<Offer, std::string> offer = listen(line);
    if (!offer) {
        return refuse(exit_status::refused_by_system, offer.error());
    }
    offer->queues = static_cast<u16>(*queues);
    offer->read_only = line.has("read-only");
    DiskCollector collector;
    HostPipelineEnvironment environment((*threads)->executors(), {.collector = &collector});
    return (*threads)->run(serve(std::move(*disks), std::move(*offer), **threads, environment, collector, signal));
}

}  // namespace

const Verb verb_serve{.name = "serve",
                      .summary = "Serve disks to clients of this machine",
                      .arguments = "[DISK]",
                      .help = help,
                      .options = options,
                      .positional_max = 1,
                      .run = &run};

}  // namespace undercroft
