# shellcheck shell=bash
# What the guest sees without a configuration: with --nvme, each of those images as an NVMe disk; otherwise the demonstration's disks, one of
# each kind. Behind each is an image that is a physical NVMe disk of VTL2's own, encrypted under the key `demo`.

# Kinds and images, in the order of their physical disks. CD and floppy come with something on them.
demo_kinds=(nvme virtio scsi ide cd floppy)
declare -A demo_image=([nvme]=disk.img [virtio]=virtio.img [scsi]=scsi.img [ide]=ide.img [cd]=cd.img [floppy]=floppy.img)
declare -A demo_title=([nvme]='NVMe' [virtio]='virtio-blk' [scsi]='virtio-scsi' [ide]='IDE disk' [cd]='IDE CD/DVD' [floppy]='floppy')
declare -A demo_blank_size=([nvme]=256M [virtio]=64M [scsi]=64M [ide]=64M)
# How init finds each kind's disk: a name of Linux's, or how the model begins.
declare -A demo_guest_name=([nvme]=nvme0n1 [virtio]=vda [scsi]=Virtual_Disk [ide]=Undercroft_disk [cd]=sr0 [floppy]=fd0)

# make_demo_disks FOLDER KEY_FILE: those that are not there.
make_demo_disks() {
    local folder=$1 kind path
    for kind in "${demo_kinds[@]}"; do
        path=$folder/${demo_image[$kind]}
        [[ ! -f $path ]] || continue
        if [[ -n ${demo_blank_size[$kind]:-} ]]; then
            truncate -s "${demo_blank_size[$kind]}" "$path"
        else
            make_filled_disk "$kind" "$2" "$path"
        fi
    done
}

# make_filled_disk cd|floppy KEY_FILE IMAGE: Debian's tools make the file system, and python3-cryptography encrypts it.
make_filled_disk() {
    local kind=$1 image=$3 tree=$run_folder/$1.tree plain=$run_folder/$1.plain
    mkdir -p "$tree"
    if [[ $kind == cd ]]; then
        cp "$root/README.md" "$tree/"
        cp -r "$root/docs" "$tree/"
        demo_data 1 >"$tree/payload"
        genisoimage -quiet -r -J -V UNDERCROFT -o "$plain" "$tree" 2>"$run_folder/genisoimage.txt"
    else
        truncate -s 1440K "$plain"
        /sbin/mkfs.fat -n UNDERCROFT "$plain" >/dev/null
        MTOOLS_SKIP_CHECK=1 mcopy -i "$plain" "$root/README.md" ::README.TXT
    fi
    "$root/boot/demo/encrypt_image.py" "$plain" "$2" "$image.new" ||
        die "$status_build_failed" "the demonstration's $kind image could not be encrypted"
    mv "$image.new" "$image"
    rm -rf "$tree" "$plain"
}

# demo_data MIB: text, no two MiB of it alike. boot/demo/init makes the same kind.
demo_data() {
    seq 1 $((26000 * $1)) | sed "s/^/$demo_marker /" | head -c $(($1 * 1048576)) || true
}

# use_demo_disks FOLDER: from now on the machine's physical disks are the demonstration's.
use_demo_disks() {
    local kind
    shows_demo_disks=yes
    nvmes=()
    for kind in "${demo_kinds[@]}"; do
        nvmes+=("$1/${demo_image[$kind]}")
    done
}
shows_demo_disks=

default_configuration() {
    if [[ -n $shows_demo_disks ]]; then
        demo_configuration
    else
        nvme_configuration
    fi
}

# encrypted INDEX: the pipeline over a physical disk, as a line.
encrypted() { printf 'crypt:xts-aes-256:demo:nvme:%s/1' "$(nvme_address "$1")"; }

# nvme_configuration: one NVMe controller with a namespace for each physical disk.
nvme_configuration() {
    local index separator=''
    printf '{"version": 1, "storage_controllers": [{"protocol": "NVME", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c11", "luns": ['
    for index in "${!nvmes[@]}"; do
        printf '%s\n  {"location": %d, "disk": "%s"}' "$separator" $((index + 1)) "$(encrypted "$index")"
        separator=','
    done
    printf ']}]}\n'
}

demo_configuration() {
    local -A disk=()
    local index
    for index in "${!demo_kinds[@]}"; do
        disk[${demo_kinds[index]}]=$(encrypted "$index")
    done
    cat <<JSON
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c11", "luns": [
    {"location": 1, "disk": "${disk[nvme]}"}]},
  {"protocol": "VIRTIO_BLK", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c12", "luns": [
    {"location": 0, "serial_number": "UC-VIRTIO", "disk": "${disk[virtio]}"}]},
  {"protocol": "SCSI", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c15", "luns": [
    {"location": 0, "serial_number": "UC-SCSI", "disk": "${disk[scsi]}"}]},
  {"protocol": "IDE", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c13", "luns": [
    {"channel": 0, "location": 0, "disk": "${disk[ide]}"},
    {"channel": 1, "location": 0, "is_dvd": true, "disk": "${disk[cd]}"}]},
  {"protocol": "FLOPPY", "instance_id": "5f3c7d52-8a1e-4c0b-9d27-2f6b1e0a4c14", "luns": [
    {"location": 0, "disk": "${disk[floppy]}"}]}
]}
JSON
}

# describe_disks: what the guest cannot know of its disks, for its banner.
describe_disks() {
    local index name title
    for index in "${!nvmes[@]}"; do
        name=nvme0n$((index + 1)) title=NVMe
        if [[ -n $shows_demo_disks ]]; then
            name=${demo_guest_name[${demo_kinds[index]}]}
            title=${demo_title[${demo_kinds[index]}]}
        fi
        printf ' undercroft.about=%s:%s:_AES-256-XTS_over_the_physical_NVMe_%s,_%s' "$name" "${title// /_}" "$(nvme_address "$index")" \
            "$(basename "${nvmes[index]}" | tr ' ' '_')"
    done
}
