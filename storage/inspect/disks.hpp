// Pipelines for `inspect`: what each disk of a pipeline is, what it counts, and what of it can be changed while it is in
// use. A composition root hands on what `PipelineEnvironment::opened` tells it, and takes the tree of a pipeline once it
// is open.
#pragma once

#include "kernel/inspect/node.hpp"
#include "storage/pipeline.hpp"

namespace undercroft {

/// One disk of a pipeline, and those below. Keeps them open.
struct InspectedDisk {
    std::string kind;  ///< the word that begins its line: "crypt"
    std::string line;  ///< without secrets
    Disk handle;
    /// Null for the environment's own kinds.
    std::shared_ptr<DiskInterface> implementation;
    std::vector<InspectedDisk> below;

    /// Its facts, numbers and settings; a node for each disk below, named by its kind (those of a striped disk by their
    /// numbers). From any executor.
    void describe(inspect::Node& node) const;
};

/// Collects one pipeline at a time.
class DiskCollector {
public:
    /// As `PipelineEnvironment::opened`.
    void opened(const DiskConfig& disk, const Disk& handle, const std::shared_ptr<DiskInterface>& implementation);
    /// The pipeline that was opened last, once it is whole. What failed half way is forgotten.
    std::optional<InspectedDisk> take();

private:
    std::vector<InspectedDisk> opened_;  // those that no other stands on yet
};

}  // namespace undercroft
