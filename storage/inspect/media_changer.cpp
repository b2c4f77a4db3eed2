// The settings of a drive.
#include "storage/inspect/media_changer.hpp"

#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

std::unexpected<std::string> refusal(std::string why) { return std::unexpected(std::move(why)); }

std::unexpected<std::string> locked() {
    return refusal(
        "the guest has locked the drive, and has been told that somebody wants the medium; force-eject takes it out");
}

}  // namespace

void MediaChanger::describe(inspect::Node& node) {
    node.number("media", media_.size());
    node.boolean("locked_by_guest", drive_->is_locked());
    node.setting("medium", drive_->has_medium() ? decimal(inserted_) : "none",
                 "the number of a medium, from 1; eject; or force-eject, whatever the guest says",
                 [this](std::string_view text) { return change(text); });
}

inspect::SetResult MediaChanger::change(std::string_view text) {
    bool by_force = text == "force-eject";
    if (text != "eject" && !by_force) {
        return insert(text);
    }
    Result<void> removed = by_force ? drive_->remove_by_force() : drive_->remove();
    if (!removed) {
        return removed.error() == Error::busy ? locked() : refusal("there is no medium in the drive");
    }
    return {};
}

inspect::SetResult MediaChanger::insert(std::string_view number) {
    std::optional<u64> wanted = parse_decimal(number);
    if (!wanted) {
        return refusal("that is no number, nor eject or force-eject");
    }
    if (*wanted == 0 || *wanted > media_.size()) {
        return refusal(media_.empty() ? "this drive has no media"
                                      : "this drive has media 1 to " + decimal(media_.size()));
    }
    if (drive_->has_medium()) {
        if (Result<void> removed = drive_->remove(); !removed && removed.error() == Error::busy) {
            return locked();
        }
    }
    if (!drive_->insert(media_[static_cast<usize>(*wanted) - 1])) {
        return refusal("the drive does not take that medium");
    }
    inserted_ = static_cast<usize>(*wanted);
    return {};
}

}  // namespace undercroft
