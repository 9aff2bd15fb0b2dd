# shellcheck shell=bash
# scripts/vm/host.sh: what the host does for a guest: the kernel, drives, one boot with a second try. Sourced by scripts/nvme-vm
# at the top of the tree.

vm_cache=${DWAL_VM_CACHE:-build/nvme-vm/kernel}

vm_skip()
{
    echo "skipped: $*"
    exit 77
}

# What every guest needs, or the end with 77.
vm_prepare()
{
    local tool missing=
    for tool in qemu-system-x86_64 busybox cpio timeout dpkg apt-get; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    [ -z "$missing" ] || vm_skip "no$missing here; scripts/install-packages vm installs what is missing"
    mkdir -p build/nvme-vm
    case $vm_cache in /*) ;; *) vm_cache=$PWD/$vm_cache ;; esac
    local reason
    reason=$(scripts/vm/kernel "$vm_cache") || vm_skip "no kernel: $reason"
    vm_work=$(mktemp -d "$PWD/build/nvme-vm/work.XXXXXX")
    trap 'rm -rf "$vm_work"' EXIT
}

# vm_nvme LBA FILE...: QEMU's arguments for one NVMe controller with a namespace for each FILE, put into the array vm_drives.
vm_nvme()
{
    local lba=$1 number=0 file
    shift
    vm_drives=(-device "nvme,id=nvme0,serial=dwal")
    for file in "$@"; do
        number=$((number + 1))
        vm_drives+=(-drive "file=$file,if=none,id=n$number,format=raw,cache=unsafe"
            -device "nvme-ns,bus=nvme0,nsid=$number,drive=n$number,logical_block_size=$lba,physical_block_size=$lba")
    done
}

# vm_virtio FILE...: more drives, for logs and results: /dev/vda, /dev/vdb, ... (modules virtio_pci, virtio_blk).
vm_virtio()
{
    local file
    for file in "$@"; do
        vm_drives+=(-drive "file=$file,if=none,id=v${#vm_drives[@]},format=raw,cache=unsafe"
            -device "virtio-blk-pci,drive=v${#vm_drives[@]}")
    done
}

# vm_boot NAME: boot $vm_work/NAME.initramfs with vm_drives; a guest that stalls is tried once more (the emulated device of
# QEMU 7.2 forgets a request now and then).
vm_boot()
{
    local name=$1 status=0
    scripts/vm/boot "$vm_cache" "$vm_work/$name.initramfs" "$vm_work/$name.console" "${vm_drives[@]}" || status=$?
    if [ "$status" = 124 ]; then
        echo "$name: the guest stalled; once more"
        status=0
        scripts/vm/boot "$vm_cache" "$vm_work/$name.initramfs" "$vm_work/$name.console" "${vm_drives[@]}" || status=$?
    fi
    return "$status"
}

vm_run()
{
    local lba=4096 size=128 modules=() files=()
    while [ $# -gt 0 ]; do
        case $1 in
        --lba) lba=$2 ;;
        --size) size=$2 ;;
        --file) files+=("$2") ;;
        --modules) modules=(-m "$2") ;;
        --seconds) export DWAL_VM_SECONDS=$2 ;;
        --keep)
            vm_work=$(mkdir -p "$2" && cd "$2" && pwd)
            trap - EXIT
            ;;
        --) break ;;
        *)
            echo "scripts/nvme-vm run: what is '$1'?" >&2
            exit 2
            ;;
        esac
        shift 2
    done
    [ $# -ge 2 ] || { echo "scripts/nvme-vm run: -- PROGRAM is missing" >&2; exit 2; }
    shift
    local program=$1 drives=("$vm_work/device")
    shift
    truncate -s "${size}M" "$vm_work/device"
    if command -v mkfs.ext4 >/dev/null; then
        truncate -s 512M "$vm_work/scratch"
        mkfs.ext4 -q -b 4096 "$vm_work/scratch"
        drives+=("$vm_work/scratch")
    fi
    {
        echo '#!/bin/sh'
        echo '[ ! -b /dev/nvme0n2 ] || mount -t ext4 /dev/nvme0n2 /var/tmp || exit 1'
        echo 'export DWAL_TEST_DEVICE=/dev/nvme0n1 DWAL_TEST_NG_DEVICE=/dev/ng0n1'
        printf '%q ' "$(basename "$program")" "$@"
        echo
    } >"$vm_work/run.script"
    scripts/vm/initramfs "$vm_cache" "$vm_work/run.initramfs" "$vm_work/run.script" "${modules[@]}" "$program" "${files[@]}"
    vm_nvme "$lba" "${drives[@]}"
    vm_boot run
}
