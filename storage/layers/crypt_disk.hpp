// Encryption of a disk: AES-256-XTS, data unit = sector, tweak = sector number; byte for byte what dm-crypt writes as
// `aes-xts-plain64` with its `sector_size` set to the disk's. Leaves out other ciphers, integrity (XTS has none) and
// key management: a key is 64 bytes that somebody hands in.
//
// What goes through bounce memory is ciphertext only, in both directions:
// - A write encrypts from the caller's memory into bounce memory in one pass, which is also the copy: each byte of a
//   guest is read once.
// - A read puts ciphertext into bounce memory and decrypts from there into the caller's: a guest never sees ciphertext
//   in its buffer, and cannot change it between the device and the decryption.
//
// Zeros and holes. Whether a sector that was never written reads as zeros depends on what the disk below can tell:
// - It knows its holes (`facts().knows_holes`: RAM disk, layered and sqlite layers). Then a hole below is a hole here
//   and reads as zeros, `unmap` is `zeroes`, and `write_zeroes` that may unmap is `unmap` below, followed by a flush
//   for FUA. It is never `write_zeroes` below: that may as well store zeros, which are data below and garbage here. A
//   sector that is all zero below although block status said `data` became a hole in between, and reads as zeros too: a
//   sector of ciphertext that is all zero by itself has a chance of 2^-4096.
// - It cannot tell (NVMe, files and devices that hold somebody's dm-crypt data). Then every sector is decrypted, what
//   was never written or was unmapped reads as decrypted zeros (as it does under dm-crypt), `unmap` is at best
//   `unspecified`, and `write_zeroes` encrypts zeros and writes them.
// Without leave to unmap, zeros are always encrypted and written. Unmapping tells the disk below which sectors are in
// use: that is not hidden.
#pragma once

#include "kernel/crypto/xts.hpp"
#include "storage/bounce_pool.hpp"

namespace undercroft {

class SegmentCursor;

class CryptDisk final : public DiskInterface {
public:
    /// Encrypts `below` under `key` (data key, then tweak key; still the caller's, to be wiped). `bounce` outlives the
    /// disk. `invalid_input`: equal key halves, or sectors larger than 4 KiB. `io`: no memory for the expanded key.
    static DiskResult<std::shared_ptr<CryptDisk>>
    create(Disk below, std::span<const std::byte, XtsCipher::key_bytes> key, BounceSource& bounce);

    DiskFacts facts() const override;
    u64 sector_count() const override { return below_.sector_count(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> eject() override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;
    // `compare` is the default: what is below is ciphertext.
    PersistentReservations* reservations() override { return below_.reservations(); }

private:
    CryptDisk(Disk below, XtsCipher cipher, BounceSource& bounce);

    void encrypt_piece(u64 sector, SegmentCursor& from, SegmentList into) const;
    void decrypt_piece(u64 sector, SegmentList from, SegmentCursor& into) const;
    void encrypt_split_sector(u64 sector, SegmentCursor& from, std::byte* into) const;
    void decrypt_split_sector(u64 sector, const std::byte* from, SegmentCursor& into) const;
    void decrypt_run(u64 sector, std::span<const std::byte> from, std::byte* into) const;
    bool is_hole(const std::byte* ciphertext) const;
    Task<DiskResult<void>> write_encrypted_zeroes(SectorRange range, ForceUnitAccess fua, CancelToken cancel);
    Task<DiskResult<void>> unmap_durably(SectorRange range, CancelToken cancel);
    Task<DiskResult<BlockStatus>> data_or_unknown(SectorRange range, CancelToken cancel);

    Disk below_;
    XtsCipher cipher_;
    BounceSource& bounce_;
    u32 sector_size_;
    u32 sector_shift_;
    bool knows_holes_;
};

}  // namespace undercroft
