#!/usr/bin/env bash
# A guest that writes garbage at the NVMe controller's registers, doorbells and queues gets errors or a dead controller, never a dead image.
. "$(dirname "$0")/support.sh"
for seed in 1 2 3; do
    boot 0 --nvme "$work/disk" --kernel "$build/payloads/nvme_garbage.bin" --append "seed=$seed rounds=3" --timeout 180
    has console '^payload done, 0 failed'
    has_not console '^FAIL'
done
