// What is measured: lines of a table, each a way to do one 4 KiB read or write, in nanoseconds and instructions. Rounds
// are interleaved (each stack once, then all again), so that a neighbour who slows the machine slows them alike; a figure
// is the median of its rounds.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/bench/instruction_count.hpp"
#include "tests/bench/surroundings.hpp"

namespace undercroft {

inline constexpr usize rounds = 15;
inline constexpr auto round_time = std::chrono::milliseconds(20);
inline constexpr usize operations_per_call = 256;
inline constexpr usize operations_counted = 4;

/// Sectors in an order of its own; the same for every stack.
class SectorSequence {
public:
    explicit SectorSequence(u32 sector_size) : per_io_(io_bytes / sector_size) {}
    u64 next() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return (state_ >> 40) % (disk_bytes / io_bytes) * per_io_;
    }

private:
    u64 state_ = 1;
    u64 per_io_;
};

/// One line of the table. `run` does that many reads.
class Stack {
public:
    explicit Stack(std::string name) : name_(std::move(name)) {}
    virtual ~Stack() = default;
    virtual void run(usize operations) = 0;
    /// What `operations` has to be a multiple of.
    virtual usize batch() const { return 1; }

    void measure_round() {
        auto begin = std::chrono::steady_clock::now();
        auto end = begin;
        usize operations = 0;
        do {
            run(operations_per_call);
            operations += operations_per_call;
            end = std::chrono::steady_clock::now();
        } while (end - begin < round_time);
        double ns = std::chrono::duration<double, std::nano>(end - begin).count();
        samples_.push_back(ns / static_cast<double>(operations));
    }
    /// Instructions of one read. What a run takes by itself falls out as the difference of two, or is spread over a
    /// batch.
    void count() {
        usize operations = std::max(operations_counted, batch());
        std::optional<u64> once = count_instructions([&] { run(operations); });
        std::optional<u64> none = batch() > 1 ? 0 : count_instructions([&] { run(operations / 2); });
        if (once && none && *once > *none) {
            instructions_ =
                static_cast<double>(*once - *none) / static_cast<double>(batch() > 1 ? operations : operations / 2);
        }
    }
    double ns() const {
        std::vector<double> sorted = samples_;
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2];
    }
    double instructions() const { return instructions_; }
    const std::string& name() const { return name_; }

private:
    std::string name_;
    std::vector<double> samples_;
    double instructions_ = -1;
};

inline void print_row(const std::string& name, double ns, double instructions) {
    char count[32] = "        -";
    if (instructions >= 0) {
        std::snprintf(count, sizeof(count), "%9.0f", instructions);
    }
    std::printf("  %-52s %8.0f ns %s instructions\n", name.c_str(), ns, count);
}

inline void measure(std::span<const std::unique_ptr<Stack>> stacks) {
    for (usize round = 0; round < rounds; ++round) {
        for (const auto& stack : stacks) {
            stack->measure_round();
        }
    }
    for (const auto& stack : stacks) {
        stack->count();
    }
}

inline void print(std::span<const std::unique_ptr<Stack>> stacks) {
    for (const auto& stack : stacks) {
        print_row(stack->name(), stack->ns(), stack->instructions());
    }
}

}  // namespace undercroft
