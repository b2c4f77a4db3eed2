// Persistent reservations through the handle, as one host sees them. What several hosts do to each other is in
// tests/unit/storage/layers/reservations_disk_test.cpp.
#include "storage/reservations.hpp"

#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("a host registers, reserves, changes its key and lets go") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        PersistentReservations* reservations = fixture->disk->reservations();
        if (reservations == nullptr) {
            continue;
        }
        auto run = [&](Task<DiskResult<void>> task) { return error_of(fixture->run(std::move(task))); };
        // Whoever was there before is none of ours.
        CHECK(run(reservations->register_key({.new_key = 5}, {})) == std::nullopt);
        CHECK(run(reservations->clear(6, {})) == DiskError::reservation_conflict);
        CHECK(run(reservations->clear(5, {})) == std::nullopt);
        CHECK(run(reservations->reserve(5, ReservationType::write_exclusive, {})) == DiskError::reservation_conflict);

        CHECK(run(reservations->register_key({.current_key = 3, .new_key = 7}, {})) == DiskError::reservation_conflict);
        CHECK(run(reservations->register_key({.current_key = 0, .new_key = 7}, {})) == std::nullopt);
        CHECK(run(reservations->reserve(7, ReservationType::none, {})) == DiskError::invalid_input);
        CHECK(run(reservations->reserve(7, ReservationType::exclusive_access, {})) == std::nullopt);
        CHECK(run(reservations->reserve(7, ReservationType::exclusive_access, {})) == std::nullopt);
        CHECK(run(reservations->reserve(7, ReservationType::write_exclusive, {})) == DiskError::reservation_conflict);
        CHECK(run(reservations->register_key({.current_key = 7, .new_key = 9}, {})) == std::nullopt);
        write_all(*fixture, 0, pattern(fixture->sector_size(), 30));

        std::array<Registrant, 4> registrants;
        ReservationReport report = fixture->run(reservations->report(registrants, {})).value();
        CHECK(report.registrants == 1);
        CHECK(report.type == ReservationType::exclusive_access);
        CHECK(report.holder_key == 9);
        CHECK(registrants[0].key == 9);
        CHECK(registrants[0].is_holder);
        u32 generation = report.generation;

        CHECK(run(reservations->release(7, ReservationType::exclusive_access, {})) == DiskError::reservation_conflict);
        CHECK(run(reservations->release(9, ReservationType::write_exclusive, {})) == DiskError::invalid_input);
        CHECK(run(reservations->release(9, ReservationType::exclusive_access, {})) == std::nullopt);
        CHECK(run(reservations->release(9, ReservationType::exclusive_access, {})) == std::nullopt);
        CHECK(run(reservations->register_key({.current_key = 9, .new_key = 0}, {})) == std::nullopt);
        report = fixture->run(reservations->report({}, {})).value();
        CHECK(report.registrants == 0);
        CHECK(report.type == ReservationType::none);
        CHECK(report.generation == generation + 1);
    }
}

}  // namespace undercroft::test
