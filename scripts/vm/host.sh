# shellcheck shell=bash
# scripts/vm/host.sh: what the host does for a guest: the kernel, drives, one boot with a second try. Sourced by scripts/nvme-vm
# at the top of the tree.

# shellcheck disable=SC2034  # used by those who source this
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
    vm_begin "$(mktemp -d "$PWD/build/nvme-vm/work.XXXXXX")"
}

# vm_begin DIRECTORY: what this shell makes from now on lies there, and goes when it ends.
vm_begin()
{
    vm_work=$1 vm_mounts=() vm_loops=() vm_fresh=true
    mkdir -p "$vm_work"
    trap vm_clean_up EXIT
}

vm_clean_up()
{
    local it
    for it in "${vm_loops[@]}"; do
        ! grep -q "^$it " /proc/mounts || umount "$it" || true
        losetup -d "$it" || true
    done
    for it in "${vm_mounts[@]}"; do
        umount "$it" || umount -l "$it" || true
    done
    [ "${vm_keep:-}" = true ] || rm -rf "$vm_work"
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

# vm_virtio LBA FILE...: more drives, for logs and results: /dev/vda, /dev/vdb, ... (modules virtio_pci, virtio_blk).
vm_virtio()
{
    local lba=$1 file
    shift
    for file in "$@"; do
        vm_drives+=(-drive "file=$file,if=none,id=v${#vm_drives[@]},format=raw,cache=unsafe"
            -device "virtio-blk-pci,drive=v${#vm_drives[@]},logical_block_size=$lba,physical_block_size=$lba")
    done
}

# A file system in FILE, ready: nothing is left to be done at the first mount.
vm_ext4() # FILE SIZE
{
    truncate -s "$2" "$1"
    mkfs.ext4 -q -b 4096 -J size=4 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$1"
}
vm_xfs() # FILE SIZE LBA; below 300 MB only with a leave that nobody documents
{
    truncate -s "$2" "$1"
    mkfs.xfs --unsupported -q -K -s "size=$3" "$1" >/dev/null 2>&1
}

# vm_keep_fresh FILE...: a second try finds these drives as the first one did.
vm_keep_fresh()
{
    local file
    vm_fresh=
    for file in "$@"; do
        cp --sparse=always "$file" "$file.fresh"
        vm_fresh+="cp --sparse=always '$file.fresh' '$file'; "
    done
}

# vm_boot NAME: boot $vm_work/NAME.initramfs with vm_drives, after `vm_fresh` has made them as they should be. A guest that
# stalls is tried once more.
vm_boot()
{
    local name=$1 status=0 try
    for try in first second; do
        status=0
        eval "$vm_fresh"
        scripts/vm/boot "$vm_cache" "$vm_work/$name.initramfs" "$vm_work/$name.console" "${vm_drives[@]}" || status=$?
        [ "$status" = 124 ] || break
        echo "$name: the guest stalled at the $try try"
    done
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
            vm_keep=true
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
        vm_ext4 "$vm_work/scratch" 512M
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
    vm_keep_fresh "${drives[@]}"
    vm_boot run
}
