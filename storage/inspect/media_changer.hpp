// Whoever stands before a drive with its media: shows what is in, and changes it, as settings of `inspect`. The media
// have numbers from 1. Leaves out how a drive tells its guest (storage/removable_drive.hpp).
#pragma once

#include <string>
#include <vector>

#include "kernel/inspect/node.hpp"
#include "storage/removable_drive.hpp"

namespace undercroft {

class MediaChanger {
public:
    /// `media` are all that this drive takes; number `inserted` is in it, 0 for none.
    MediaChanger(std::string name, std::shared_ptr<RemovableDrive> drive, std::vector<Disk> media, usize inserted)
        : name_(std::move(name)), drive_(std::move(drive)), media_(std::move(media)), inserted_(inserted) {}
    MediaChanger(const MediaChanger&) = delete;
    MediaChanger& operator=(const MediaChanger&) = delete;

    const std::string& name() const { return name_; }
    /// The number of the medium that the guest can read, how many there are, and whether the guest has locked the drive.
    /// On one executor.
    void describe(inspect::Node& node);

private:
    inspect::SetResult change(std::string_view text);
    inspect::SetResult insert(std::string_view number);

    std::string name_;
    std::shared_ptr<RemovableDrive> drive_;
    std::vector<Disk> media_;
    usize inserted_;  // last; the guest may have ejected it since
};

}  // namespace undercroft
