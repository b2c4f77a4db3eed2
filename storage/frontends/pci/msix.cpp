// MSI-X: a message leaves outside the vector's lock, for the sink may come back to us.
#include "storage/frontends/pci/msix.hpp"

namespace undercroft {

namespace {
constexpr usize words_per_entry = pci::msix_entry::size_bytes / 4;
constexpr usize control_word = pci::msix_entry::vector_control / 4;

u64 message_address(const u32 (&words)[4]) {
    return u64{words[pci::msix_entry::address_low / 4]} | u64{words[pci::msix_entry::address_high / 4]} << 32;
}
}  // namespace

u32 MsixTable::read_capability(u16 offset_bytes, u8 next) const {
    switch (offset_bytes) {
    case pci::msix_capability::control: {
        u32 control = control_.load(std::memory_order_relaxed) | (place_.vectors - 1);
        return control << 16 | u32{next} << 8 | pci::capability_id::msix;
    }
    case pci::msix_capability::table:
        return place_.table_offset | place_.bar;
    case pci::msix_capability::pending:
        return place_.pending_offset | place_.bar;
    default:
        return 0;
    }
}

void MsixTable::write_capability(u16 offset_bytes, u32 value, u32 mask) {
    if (offset_bytes == pci::msix_capability::control) {
        u32 old = u32{control_.load(std::memory_order_relaxed)} << 16;
        write_control(static_cast<u16>(((old & ~mask) | (value & mask)) >> 16));
    }
}

void MsixTable::write_control(u16 value) {
    control_.store(value & (pci::MsixControl::enable_bit | pci::MsixControl::function_mask_bit),
                   std::memory_order_seq_cst);
    if (is_open()) {
        // A `raise` that still saw the mask has set its pending bit before it let go of the vector's lock.
        for (u32 index = 0; index < place_.vectors; ++index) {
            deliver_pending(vectors_[index]);
        }
    }
}

u32 MsixTable::read_entry(u64 offset_bytes) const {
    u64 word = offset_bytes / 4;
    if (word >= place_.vectors * words_per_entry) {
        return 0;
    }
    const Vector& vector = vectors_[word / words_per_entry];
    SpinlockGuard guard(vector.lock);
    return vector.words[word % words_per_entry];
}

void MsixTable::write_entry(u64 offset_bytes, u32 value) {
    u64 word = offset_bytes / 4;
    if (word >= place_.vectors * words_per_entry) {
        return;
    }
    Vector& vector = vectors_[word / words_per_entry];
    {
        SpinlockGuard guard(vector.lock);
        vector.words[word % words_per_entry] =
            word % words_per_entry == control_word ? value & pci::msix_entry::vector_mask : value;
    }
    deliver_pending(vector);
}

u32 MsixTable::read_pending(u64 offset_bytes) const {
    u32 bits = 0;
    u64 first = offset_bytes / 4 * 32;
    for (u32 bit = 0; bit < 32 && first + bit < place_.vectors; ++bit) {
        const Vector& vector = vectors_[first + bit];
        SpinlockGuard guard(vector.lock);
        bits |= u32{vector.pending} << bit;
    }
    return bits;
}

void MsixTable::raise(u16 index) {
    if (index >= place_.vectors) {
        return;
    }
    Vector& vector = vectors_[index];
    u64 address = 0;
    u32 data = 0;
    {
        SpinlockGuard guard(vector.lock);
        if (!is_enabled()) {
            return;
        }
        vector.raised.add();
        if (!is_open() || (vector.words[control_word] & pci::msix_entry::vector_mask) != 0) {
            vector.pending = true;
            return;
        }
        address = message_address(vector.words);
        data = vector.words[pci::msix_entry::data / 4];
    }
    sink_.deliver(address, data);
}

void MsixTable::deliver_pending(Vector& vector) {
    u64 address = 0;
    u32 data = 0;
    {
        SpinlockGuard guard(vector.lock);
        if (!vector.pending || !is_open() || (vector.words[control_word] & pci::msix_entry::vector_mask) != 0) {
            return;
        }
        vector.pending = false;
        address = message_address(vector.words);
        data = vector.words[pci::msix_entry::data / 4];
    }
    sink_.deliver(address, data);
}

void MsixTable::reset() {
    control_.store(0, std::memory_order_seq_cst);
    for (u32 index = 0; index < place_.vectors; ++index) {
        Vector& vector = vectors_[index];
        SpinlockGuard guard(vector.lock);
        vector.words[0] = vector.words[1] = vector.words[2] = 0;
        vector.words[control_word] = pci::msix_entry::vector_mask;
        vector.pending = false;
    }
}

u64 MsixTable::raised() const {
    u64 sum = 0;
    for (u32 index = 0; index < place_.vectors; ++index) {
        sum += vectors_[index].raised.get();
    }
    return sum;
}

}  // namespace undercroft
