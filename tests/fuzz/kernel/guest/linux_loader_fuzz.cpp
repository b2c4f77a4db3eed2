// Any bytes as a kernel: refused in words, or loaded inside guest RAM (the sanitizer sees to the rest). The image may
// claim to be larger than what is given.
#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "kernel/guest/loader/linux_loader.hpp"
#include "kernel/spec/linux_boot.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace undercroft {
namespace {

constexpr u64 ram_bytes = 32 * mib;

alignas(page_size) std::byte ram[ram_bytes];

/// As long as the fuzzer says; its bytes first, then zeros, of which only what is asked for is made.
class ClaimedImage : public ImageSource {
public:
    ClaimedImage(std::span<const u8> bytes, u64 size) : bytes_(bytes), size_(size) {}
    u64 size_bytes() override { return size_; }
    Result<void> read(u64 offset, std::span<std::byte> into) override {
        ASSERT(offset <= size_ && into.size() <= size_ - offset);
        for (usize i = 0; i < into.size() && offset + i < bytes_.size(); ++i) {
            into[i] = static_cast<std::byte>(bytes_[offset + i]);
        }
        return {};
    }

private:
    std::span<const u8> bytes_;
    u64 size_;
};

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    fuzz::Input input(data, size);
    static GuestMemoryRange range{0, ram_bytes, ram};
    static GuestMemory memory = *GuestMemory::create({&range, 1});
    u64 claimed = input.take<u32>() % (64 * mib);
    u64 initrd_claimed = input.take<u32>() % (64 * mib);
    u32 command_line_bytes = input.take<u32>() % 5000;
    static char text[5000];
    std::memset(text, 'a', sizeof(text));
    // What no search would find; one bit leaves the bytes as they are.
    static u8 image[4096];
    bool is_plausible = (input.take<u8>() & 1) == 0;
    usize image_bytes = std::min(input.rest().size(), sizeof(image));
    std::memset(image, 0, sizeof(image));
    std::copy_n(input.rest().begin(), image_bytes, image);
    if (is_plausible) {
        linux_boot::SetupHeader header;
        std::memcpy(&header, image + linux_boot::setup_header_offset, sizeof(header));
        header.boot_flag = linux_boot::boot_flag;
        header.magic = linux_boot::header_magic;
        header.version = 0x020F;
        header.load_flags |= linux_boot::load_flag::loaded_high;
        header.extended_load_flags |= linux_boot::extended_load_flag::kernel_64;
        std::memcpy(image + linux_boot::setup_header_offset, &header, sizeof(header));
        image_bytes = sizeof(image);
    }
    ClaimedImage kernel(std::span(image, image_bytes), std::max<u64>(claimed, image_bytes));
    ClaimedImage initrd({}, initrd_claimed);
    auto start = load_linux(memory, {kernel, &initrd, std::string_view(text, command_line_bytes), 0xE0000});
    if (!start.has_value()) {
        ASSERT(start.error().text[0] != 0);
        return 0;
    }
    ASSERT(start->context.rip >= mib && start->context.rip < ram_bytes);
    auto page = *memory.read_value<linux_boot::BootParameters>(start->rsi);
    u64 initrd_end = u64{page.header.ramdisk_address} + page.header.ramdisk_bytes;
    ASSERT(initrd_end <= ram_bytes && page.header.ramdisk_bytes == initrd_claimed);
    ASSERT(initrd_claimed == 0 || page.header.ramdisk_address > start->context.rip);
    return 0;
}
