// Drawing a plan, and filters.
#include "hostsim/simulation/plan.hpp"

#include <charconv>
#include <iterator>

namespace undercroft::simulation {

namespace {

using Kind = PipelineNode::Kind;

constexpr const char* hazard_names[hazard_count] = {
    "delay",      "medium_error", "stuck",  "wedged",      "fatal",       "lost_interrupt", "wrong_id",    "removal",
    "power_loss", "resize",       "cancel", "guest_reset", "guest_abort", "guest_queues",   "fault_layer", "rival",
};

std::string describe_node(const PipelineNode& node) {
    std::string below;
    for (const PipelineNode& member : node.below) {
        below += (below.empty() ? "" : ",") + describe_node(member);
    }
    switch (node.kind) {
    case Kind::medium:
        return "medium" + std::to_string(node.number);
    case Kind::nvme:
        return "nvme" + std::to_string(node.number);
    case Kind::memory:
        return "mem";
    case Kind::crypt:
        return "crypt:" + below;
    case Kind::delay:
        return "delay:" + below;
    case Kind::striped:
        return "striped;chunk=" + std::to_string(node.number) + "sectors:(" + below + ")";
    case Kind::overlay:
        return "memdiff:" + below;
    case Kind::cache:
        return "cache:" + below;
    case Kind::faulty:
        return "fault:" + below;
    case Kind::reservations:
        return "prwrap:" + below;
    }
    return "?";
}

bool contains(const PipelineNode& node, Kind kind) {
    if (node.kind == kind) {
        return true;
    }
    for (const PipelineNode& below : node.below) {
        if (contains(below, kind)) {
            return true;
        }
    }
    return false;
}

/// A number, decimal or with 0x.
bool parse_number(std::string_view text, u64& number) {
    int base = 10;
    if (text.starts_with("0x")) {
        text.remove_prefix(2);
        base = 16;
    }
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && end == text.data() + text.size();
}

Result<u32, std::string> parse_hazards(std::string_view text) {
    u32 mask = 0;
    while (!text.empty()) {
        std::string_view name = text.substr(0, text.find('+'));
        text.remove_prefix(std::min(text.size(), name.size() + 1));
        u32 before = mask;
        for (u32 index = 0; index < hazard_count; ++index) {
            mask |= name == hazard_names[index] ? u32{1} << index : 0;
        }
        if (mask == before) {
            std::string names;
            for (const char* known : hazard_names) {
                names += std::string(names.empty() ? "" : ", ") + known;
            }
            return fail("there is no hazard '" + std::string(name) + "'; there are " + names);
        }
    }
    return mask;
}

}  // namespace

const char* to_string(Hazard hazard) { return hazard_names[static_cast<usize>(hazard)]; }

std::string to_string(const Filter& filter) {
    std::string text;
    auto add = [&text](std::string part) { text += (text.empty() ? "" : ",") + std::move(part); };
    if (filter.workers != ~u64{0}) {
        char digits[17] = {};
        std::to_chars(digits, digits + 16, filter.workers, 16);
        add(std::string("workers=0x") + digits);
    }
    if (filter.operations_max != ~u64{0}) {
        add("operations=" + std::to_string(filter.operations_max));
    }
    if (filter.lives_max != ~u64{0}) {
        add("lives=" + std::to_string(filter.lives_max));
    }
    std::string hazards;
    for (u32 index = 0; index < hazard_count; ++index) {
        if (!filter.allows(static_cast<Hazard>(index))) {
            hazards += std::string(hazards.empty() ? "" : "+") + hazard_names[index];
        }
    }
    if (!hazards.empty()) {
        add("without=" + hazards);
    }
    return text;
}

Result<Filter, std::string> parse_filter(std::string_view text) {
    Filter filter;
    while (!text.empty()) {
        std::string_view part = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        usize equals = part.find('=');
        std::string_view name = part.substr(0, equals);
        std::string_view value = equals == part.npos ? std::string_view() : part.substr(equals + 1);
        if (name == "without") {
            filter.without = TRY(parse_hazards(value));
            continue;
        }
        u64* number = name == "workers"      ? &filter.workers
                      : name == "operations" ? &filter.operations_max
                      : name == "lives"      ? &filter.lives_max
                                             : nullptr;
        if (number == nullptr) {
            return fail("there is no '" + std::string(name) +
                        "' to keep; there are workers, operations, lives, without");
        }
        if (!parse_number(value, *number)) {
            return fail("'" + std::string(value) + "' is no number (in '" + std::string(part) + "')");
        }
    }
    return filter;
}

Plan::Plan(u64 from_seed, const Filter& with_filter) : seed(from_seed), filter(with_filter) {
    // Each part draws from a generator of its own, so that one may change without changing the others.
    SeededRandom random(seed);
    draw_machine(random.fork());
    draw_pipeline(random.fork());
    draw_guest(random.fork());
    draw_workload(random.fork());
    draw_faults(random.fork());
    apply_filter();
}

void Plan::draw_machine(SeededRandom random) {
    processors = 1 + random.below(4);
    vectors = random.chance(200) ? 2 : 9;
    lives = 2 + random.below(3);
    medium.sector_size = random.below(2) == 0 ? 512 : 4096;
    medium.fua_respected = !random.chance(200);
    medium.unmap = random.chance(300) ? UnmapBehavior::ignored : UnmapBehavior::zeroes;
    medium.knows_holes = medium.unmap == UnmapBehavior::zeroes && random.chance(500);
    driver.queue_entries_max = static_cast<u32>(2 + random.below(40));
}

void Plan::draw_pipeline(SeededRandom random) {
    u64 choice = random.below(100);
    PipelineNode leaf{.kind = choice < 55 ? Kind::nvme : choice < 90 ? Kind::medium : Kind::memory};
    pipeline = leaf;
    if (leaf.kind != Kind::memory && random.chance(200)) {
        devices = random.chance(700) ? 2 : 4;
        pipeline = PipelineNode{.kind = Kind::striped, .number = u64{1} << random.below(4)};
        for (usize index = 0; index < devices; ++index) {
            leaf.number = index;
            pipeline.below.push_back(leaf);
        }
    }
    auto put_on_top = [this](Kind kind) { pipeline = PipelineNode{.kind = kind, .below = {pipeline}}; };
    for (int layers = 0; layers < 2; ++layers) {
        u64 layer = random.below(100);
        if (layer < 35 && !contains(pipeline, Kind::crypt)) {
            put_on_top(Kind::crypt);
        } else if (layer >= 35 && layer < 41) {
            put_on_top(Kind::delay);
        } else if (layer >= 41 && layer < 48 && !contains(pipeline, Kind::memory)) {
            put_on_top(Kind::overlay);
        } else if (layer >= 48 && layer < 58) {
            put_on_top(Kind::cache);
        } else if (layer >= 58 && layer < 70 && !contains(pipeline, Kind::faulty)) {
            put_on_top(Kind::faulty);
        } else if (layer >= 70 && layer < 82 && !contains(pipeline, Kind::reservations)) {
            put_on_top(Kind::reservations);
        }
    }
}

void Plan::draw_guest(SeededRandom random) {
    guest.is_there = random.chance(400);
    guest.queues = static_cast<u16>(1 + random.below(4));
    guest.queue_entries = static_cast<u32>(2 + random.below(31));
    guest.shadow_doorbells = random.chance(500);
    bool hasty = random.chance(300);
    guest.command_timeout_ns =
        hasty ? nanoseconds_per_millisecond * (1 + random.below(200)) : 30 * nanoseconds_per_second;
    guest.aborts = random.chance(700);
    guest.attempts_max = static_cast<u32>(1 + random.below(5));
    guest.resets = random.chance(400) ? static_cast<u32>(random.below(40)) : 0;
    guest.queue_deletions = random.chance(300) ? static_cast<u32>(random.below(40)) : 0;
    guest.coalescing_threshold = static_cast<u32>(random.below(8));
    guest.coalescing_100us = static_cast<u32>(random.below(6));
    guest.is_windows = guest.is_there && random.chance(400);
    if (guest.is_windows) {
        guest.queues = static_cast<u16>(processors);
        guest.shadow_doorbells = guest.aborts = false;
        guest.queue_deletions = 0;
        guest.command_timeout_ns = hasty ? guest.command_timeout_ns : 60 * nanoseconds_per_second;
    }
}

void Plan::draw_workload(SeededRandom random) {
    workers = 3 + random.below(10);
    workers_per_region = random.chance(300) ? 1 + random.below(4) : 1;
    regions = (workers + workers_per_region - 1) / workers_per_region;
    operations_per_worker = 60;
    written_first = random.chance(500);
    mix.write = 200 + static_cast<u32>(random.below(400));
    mix.durable = static_cast<u32>(random.below(300));
    mix.flush = 20 + static_cast<u32>(random.below(120));
    mix.unmap = static_cast<u32>(random.below(100));
    mix.write_zeroes = static_cast<u32>(random.below(100));
    mix.cancelled = random.chance(300) ? static_cast<u32>(random.below(60)) : 0;
    mix.pause_max_ns = nanoseconds_per_microsecond << random.below(15);
    resizes = random.chance(250);
}

void Plan::draw_faults(SeededRandom random) {
    bool calm = random.chance(250);
    bool slow = random.chance(300);
    medium_faults = {.delayed = static_cast<u32>(random.below(300)),
                     .delay_max_ns =
                         1 + random.below(slow ? 15 * nanoseconds_per_second : 50 * nanoseconds_per_millisecond),
                     .failed = calm ? 0 : static_cast<u32>(random.below(60)),
                     .stuck = calm ? 0 : static_cast<u32>(random.below(12)),
                     .wedged = random.chance(150) ? 2u : 0u};
    controller_faults = {.fatal = random.chance(300) ? static_cast<u32>(random.below(8)) : 0,
                         .lost_interrupt = random.chance(300) ? static_cast<u32>(random.below(40)) : 0,
                         .wrong_id = random.chance(300) ? static_cast<u32>(random.below(10)) : 0};
    // Nobody above a bare medium has deadlines: what sticks there, sticks.
    if (!has_nvme()) {
        medium_faults.stuck = medium_faults.wedged = 0;
    }
    resizes = resizes && can_be_resized();
    for (u64 rules = contains(pipeline, Kind::faulty) ? 1 + random.below(3) : 0; rules > 0; --rules) {
        fault_rules.push_back(draw_fault_rule(random));
    }
    has_rival = contains(pipeline, Kind::reservations) && random.chance(800);
}

/// None that lies: what is torn says so, and nothing is corrupted. That those are found is for planted bugs to show.
FaultRule Plan::draw_fault_rule(SeededRandom& random) const {
    constexpr DiskError errors[] = {DiskError::io,           DiskError::medium_read,          DiskError::medium_write,
                                    DiskError::medium_guard, DiskError::medium_reference_tag, DiskError::timed_out};
    FaultRule rule{.operations = static_cast<FaultOperations>(1 + random.below(all_fault_operations))};
    rule.one_in = 4 + random.below(40);
    rule.delay_ns = 1 + random.below(50 * nanoseconds_per_millisecond);
    DiskError error = errors[random.below(std::size(errors))];
    if (random.chance(300)) {
        rule.range = SectorRange{.start = random.below(sectors()), .count = 1 + random.below(region_sectors)};
    }
    u64 choice = random.below(100);
    if (choice < 40) {
        rule.action = FaultAction::fail;
        rule.error = error;
    } else if (choice < 60) {
        rule.action = FaultAction::delay;
    } else if (choice < 75) {
        rule.action = FaultAction::hold;
    } else {
        rule.action = FaultAction::tear;
        rule.operations = static_cast<FaultOperations>(FaultOperation::write);
        rule.error = error;
    }
    return rule;
}

void Plan::apply_filter() {
    auto drop = [this](Hazard hazard, auto&... values) {
        if (!filter.allows(hazard)) {
            ((values = {}), ...);
        }
    };
    drop(Hazard::delay, medium_faults.delayed);
    drop(Hazard::medium_error, medium_faults.failed);
    drop(Hazard::stuck, medium_faults.stuck);
    drop(Hazard::wedged, medium_faults.wedged);
    drop(Hazard::fatal, controller_faults.fatal);
    drop(Hazard::lost_interrupt, controller_faults.lost_interrupt);
    drop(Hazard::wrong_id, controller_faults.wrong_id);
    drop(Hazard::resize, resizes);
    drop(Hazard::cancel, mix.cancelled);
    drop(Hazard::guest_reset, guest.resets);
    drop(Hazard::guest_abort, guest.aborts);
    drop(Hazard::guest_queues, guest.queue_deletions);
    drop(Hazard::fault_layer, fault_rules);
    drop(Hazard::rival, has_rival);
    lives = std::min(lives, filter.lives_max);
}

bool Plan::has_nvme() const { return contains(pipeline, Kind::nvme); }
bool Plan::is_volatile() const { return contains(pipeline, Kind::memory) || contains(pipeline, Kind::overlay); }

bool Plan::writes_reach_reservations() const {
    const PipelineNode* node = &pipeline;
    while (node->kind != Kind::reservations && node->kind != Kind::overlay && node->below.size() == 1) {
        node = &node->below[0];
    }
    return node->kind == Kind::reservations;
}

bool Plan::reads_reach_reservations() const {
    const PipelineNode* node = &pipeline;
    while (node->kind != Kind::reservations && node->kind != Kind::overlay && node->kind != Kind::cache &&
           node->below.size() == 1) {
        node = &node->below[0];
    }
    return node->kind == Kind::reservations;
}

/// A layered disk may miss a size that is there for a moment, and stripes round theirs.
bool Plan::can_be_resized() const {
    return devices == 1 && !contains(pipeline, Kind::memory) && !contains(pipeline, Kind::overlay) &&
           !contains(pipeline, Kind::cache);
}

std::string Plan::describe() const {
    std::string text = guest.is_there ? std::string(guest.is_windows ? "Windows guest, " : "guest, ") +
                                            std::to_string(guest.queues) + " queues" +
                                            (guest.shadow_doorbells ? " with shadow doorbells" : "") + ", over "
                                      : "";
    text += describe_node(pipeline) + ", sectors of " + std::to_string(medium.sector_size) + " bytes, " +
            std::to_string(processors) + " processors, " + std::to_string(workers) + " workers on " +
            std::to_string(regions) + " regions, " + std::to_string(lives) + " lives";
    return text;
}

}  // namespace undercroft::simulation
