// Runs inside the guest, as a static program: 4 KiB random reads at a fixed depth with Linux's own asynchronous I/O and O_DIRECT, between two lines
// "statistics" on the debug console (port E9h) that exits are counted between. Usage: io_load DISK DEPTH COUNT single|batched
//   single: each I/O is submitted by itself, as fio does; batched: all refills in one call.
// Prints "io_load: DEPTH COUNT NANOSECONDS".
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace {

constexpr size_t block_bytes = 4096;
constexpr unsigned depth_max = 256;

[[noreturn]] void give_up(const char* what) {
    perror(what);
    exit(1);
}

uint64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// Has Undercroft log its exit counters.
void mark() {
    for (const char* text = "statistics\n"; *text != 0; ++text) {
        outb(static_cast<unsigned char>(*text), 0xE9);
    }
}

class Load {
public:
    Load(const char* path, unsigned depth) : depth_(depth), file_(open(path, O_RDONLY | O_DIRECT)) {
        if (file_ < 0 || ioctl(file_, BLKGETSIZE64, &size_bytes_) != 0) {
            give_up(path);
        }
        if (syscall(SYS_io_setup, depth, &context_) != 0) {
            give_up("io_setup");
        }
        void* memory = nullptr;
        if (posix_memalign(&memory, block_bytes, block_bytes * depth) != 0) {
            give_up("memory");
        }
        for (unsigned i = 0; i < depth; ++i) {
            memset(&blocks_[i], 0, sizeof(blocks_[i]));
            blocks_[i].aio_fildes = static_cast<uint32_t>(file_);
            blocks_[i].aio_lio_opcode = IOCB_CMD_PREAD;
            blocks_[i].aio_buf = reinterpret_cast<uint64_t>(static_cast<char*>(memory) + i * block_bytes);
            blocks_[i].aio_nbytes = block_bytes;
        }
    }

    void run(unsigned long count, bool batched) {
        std::vector<iocb*> ready(depth_);
        for (unsigned i = 0; i < depth_; ++i) {
            ready[i] = &blocks_[i];
        }
        unsigned long started = 0, ended = 0;
        while (ended < count) {
            size_t want = std::min<unsigned long>(ready.size(), count - started);
            submit(ready, want, batched);
            started += want;
            io_event events[depth_max];
            long got = syscall(SYS_io_getevents, context_, 1, depth_, events, nullptr);
            if (got < 1) {
                give_up("io_getevents");
            }
            for (long i = 0; i < got; ++i) {
                if (events[i].res != static_cast<int64_t>(block_bytes)) {
                    fprintf(stderr, "a read failed: %lld\n", static_cast<long long>(events[i].res));
                    exit(1);
                }
                ready.push_back(reinterpret_cast<iocb*>(events[i].obj));
            }
            ended += static_cast<unsigned long>(got);
        }
    }

private:
    void submit(std::vector<iocb*>& ready, size_t want, bool batched) {
        for (size_t i = 0; i < want; ++i) {
            random_ = random_ * 6364136223846793005u + 1442695040888963407u;
            ready[ready.size() - want + i]->aio_offset =
                static_cast<int64_t>((random_ >> 20) % (size_bytes_ / block_bytes) * block_bytes);
        }
        iocb** first = ready.data() + ready.size() - want;
        for (size_t done = 0; done < want;) {
            long taken = syscall(SYS_io_submit, context_, batched ? static_cast<long>(want - done) : 1L, first + done);
            if (taken < 1) {
                give_up("io_submit");
            }
            done += static_cast<size_t>(taken);
        }
        ready.resize(ready.size() - want);
    }

    unsigned depth_;
    int file_;
    uint64_t size_bytes_ = 0;
    uint64_t random_ = 1;
    aio_context_t context_ = 0;
    iocb blocks_[depth_max];
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: io_load DISK DEPTH COUNT single|batched\n");
        return 2;
    }
    unsigned depth = static_cast<unsigned>(atoi(argv[2]));
    unsigned long count = strtoul(argv[3], nullptr, 10);
    if (depth < 1 || depth > depth_max || iopl(3) != 0) {
        give_up("io_load");
    }
    Load load(argv[1], depth);
    bool batched = strcmp(argv[4], "batched") == 0;
    load.run(depth * 4ul, batched);  // warm up: queues, page tables, frame pools
    mark();
    uint64_t begin = now_ns();
    load.run(count, batched);
    uint64_t end = now_ns();
    mark();
    printf("io_load: %u %lu %llu\n", depth, count, static_cast<unsigned long long>(end - begin));
    return 0;
}
