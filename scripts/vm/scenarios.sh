# shellcheck shell=bash disable=SC2034,SC2154  # shares its variables with scripts/vm/host.sh
# scripts/vm/scenarios.sh: the scenarios of scripts/nvme-vm. Each runs in a subshell with a directory of its own, $vm_work; what
# it prints is shown when it ends.

vm_scenarios=(power-again power-several power-nvme power-raw power-ext4 power-xfs requests log errors probe bench conformance-512
    conformance-4096)

# ---- the suite of io/ ------------------------------------------------------------------------------------------------

conformance()
{
    local lba=$1 programs=(build/release/test_io_posix_*) program
    truncate -s 128M "$vm_work/device"
    vm_ext4 "$vm_work/scratch" 512M
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
mount -t ext4 /dev/nvme0n2 /var/tmp || exit 1
echo "logical blocks of $(cat /sys/block/nvme0n1/queue/logical_block_size) bytes, FUA $(cat /sys/block/nvme0n1/queue/fua)"
export DWAL_TEST_DEVICE=/dev/nvme0n1 DWAL_TEST_NG_DEVICE=/dev/ng0n1
failed=0
for program in /bin/test_*; do
    if $program >/tmp/out 2>&1; then
        echo "  $(basename $program): $(awk '/  PASSED  / { n += $4 } END { print n }' /tmp/out) tests"
    else
        failed=1
        grep -v -e ' OK ' -e ' RUN ' /tmp/out
        echo "  $(basename $program): FAILED"
    fi
done
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" "${programs[@]}"
    vm_nvme "$lba" "$vm_work/device" "$vm_work/scratch"
    vm_keep_fresh "$vm_work/device" "$vm_work/scratch"
    vm_boot guest
}
scenario_conformance_512() { conformance 512; }
scenario_conformance_4096() { conformance 4096; }

# ---- what a commit sends ---------------------------------------------------------------------------------------------

scenario_requests()
{
    vm_ext4 "$vm_work/ext4" 64M
    vm_xfs "$vm_work/xfs" 64M 4096
    truncate -s 128M "$vm_work/device"
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
mkdir /ext4 /xfs
mount -t ext4 /dev/nvme0n2 /ext4 || exit 1
mount -t xfs /dev/nvme0n3 /xfs || exit 1
echo "on     with      commits  FUA+write  bare-write  flush  block-layer  metadata  journal-commit"
failed=0
vm_requests raw /dev/nvme0n1 sync nvme0n1 1 || failed=1 # the kernel's own flush: shows that one would be seen
vm_requests raw '/dev/nvme0n1#aio' aio nvme0n1 0 || failed=1
vm_requests raw '/dev/nvme0n1#uring' uring nvme0n1 0 || failed=1
vm_requests raw '/dev/nvme0n1#nvme' nvme nvme0n1 0 || failed=1
vm_requests raw '/dev/ng0n1#generic' - nvme0n1 0 || failed=1
vm_requests raw '/dev/nvme0n1#poll' nvme-poll nvme0n1 0 || failed=1
for backend in sync uring aio; do
    vm_requests ext4 /ext4/$backend $backend nvme0n2 0 || failed=1
    vm_requests xfs /xfs/$backend $backend nvme0n3 0 || failed=1
done
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" -m xfs build/release/vm_requests
    vm_nvme 4096 "$vm_work/device" "$vm_work/ext4" "$vm_work/xfs"
    vm_keep_fresh "$vm_work/device" "$vm_work/ext4" "$vm_work/xfs"
    vm_boot guest
}

# ---- a log, used and killed --------------------------------------------------------------------------------------------

scenario_log()
{
    vm_ext4 "$vm_work/ext4" 64M
    truncate -s 64M "$vm_work/device"
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
mount -t ext4 /dev/nvme0n2 /mnt || exit 1
failed=0
guest-log /mnt/uring uring || failed=1
# Five logs on one device, each killed and trimmed beside the content of the others.
guest-log /dev/nvme0n1 nvme || failed=1
guest-log '/dev/ng0n1#generic' - || failed=1
guest-log '/dev/nvme0n1#second' uring || failed=1
guest-log '/dev/nvme0n1#third' aio || failed=1
guest-log '/dev/nvme0n1#fourth' sync || failed=1
for path in /dev/nvme0n1 '/dev/ng0n1#generic' '/dev/nvme0n1#generic' '/dev/nvme0n1#second' '/dev/nvme0n1#third' '/dev/nvme0n1#fourth'; do
    dwal verify "$path" >/tmp/out 2>&1 || { cat /tmp/out; failed=1; }
done
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" build/release/dwal scripts/vm/guest-log
    vm_nvme 4096 "$vm_work/device" "$vm_work/ext4"
    vm_keep_fresh "$vm_work/device" "$vm_work/ext4"
    vm_boot guest
}

# ---- what dwal probe and an open without a backend say of it ---------------------------------------------------------

scenario_probe()
{
    truncate -s 64M "$vm_work/device"
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
failed=0
expect() # TEXT FILE
{
    grep -q -- "$1" "$2" || { echo "missing: $1"; cat "$2"; failed=1; }
}
before=$(sha256sum </dev/nvme0n1)
dwal probe /dev/nvme0n1 --seconds 3 --json >/tmp/probe || failed=1
[ "$before" = "$(sha256sum </dev/nvme0n1)" ] || { echo "the blank device has changed"; failed=1; }
expect '"name":"fua","value":"native"' /tmp/probe
expect '"name":"nvme_character","value":"/dev/ng0n1"' /tmp/probe
expect '"backend":"nvme","way":"dsync","extents":"written","size":4096,"count":[1-9]' /tmp/probe
expect '"backend":"nvme","way":"dsync","extents":"written","size":1048576,"count":[1-9]' /tmp/probe
# An open that names no backend measures in a free slot, and leaves the device as it was but for the log.
export DWAL_CACHE_DIR=/tmp/cache
dwal init /dev/nvme0n1 --volume-size 1MiB || failed=1
for turn in 1 2 3 4 5 6 7 8; do
    seq 100 | dwal append /dev/nvme0n1 --quiet || failed=1
    [ ! -d /tmp/cache ] || break
done
dwal info /dev/nvme0n1 >/tmp/info || failed=1
expect 'backend  .*(measured earlier' /tmp/info
expect '4 KiB nvme ' /tmp/info
dwal verify /dev/nvme0n1 >/tmp/out || { cat /tmp/out; failed=1; }
[ "$(dwal cat /dev/nvme0n1 | wc -l)" = $((turn * 100)) ] || { echo "entries are missing"; failed=1; }
sed -n '/^backend/,$p' /tmp/info
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" build/release/dwal
    vm_nvme 4096 "$vm_work/device"
    vm_keep_fresh "$vm_work/device"
    vm_boot guest
}

# ---- what dwal bench measures of it, past the block layer too ---------------------------------------------------------

scenario_bench()
{
    truncate -s 64M "$vm_work/device"
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
failed=0
expect() # TEXT FILE
{
    grep -q -- "$1" "$2" || { echo "missing: $1"; cat "$2"; failed=1; }
}
quick="--duration 300ms --rounds 2 --warm-up 10ms --settle 0 --file-size 8MiB --quiet --slowest 1"
before=$(sha256sum </dev/nvme0n1)
for device in /dev/nvme0n1 /dev/ng0n1; do
    dwal bench $device --engines nvme,uring,sync --outstanding 1,4 $quick --json /tmp/run >/tmp/out 2>&1 || failed=1
    expect '"label":"nvme Q4".*"failure":null' /tmp/run
    expect '"label":"sync Q1".*"failure":null' /tmp/run
    expect '^nvme Q1 ' /tmp/out
done
[ "$before" = "$(sha256sum </dev/nvme0n1)" ] || { echo "the device that was blank has changed"; failed=1; }
dwal bench /dev/nvme0n1 --engines dwal --backend nvme $quick >/tmp/out 2>&1 || failed=1
expect 'closed loop, backend nvme' /tmp/out
dwal bench /dev/nvme0n1 --engines nvme $quick >/tmp/out 2>&1 && failed=1
expect 'the device is not blank' /tmp/out
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" build/release/dwal
    vm_nvme 4096 "$vm_work/device"
    vm_boot guest
}

# ---- a sector that cannot be written ---------------------------------------------------------------------------------------

# The block behind the last entry of a log goes bad. Each backend must stop the log there, say what the device said, and leave
# what was acknowledged.
scenario_errors()
{
    local at faults='' number
    truncate -s 64M "$vm_work/device"
    cat >"$vm_work/make.script" <<'END'
#!/bin/sh
dwal init /dev/nvme0n1 --volume-size 4MiB >/dev/null 2>&1 && echo acknowledged | dwal append /dev/nvme0n1 --backend nvme --quiet
END
    cat >"$vm_work/guest.script" <<'END'
#!/bin/sh
failed=0
for backend in nvme nvme-poll uring aio sync; do
    wanted='No data available'
    [ "${backend#nvme}" = "$backend" ] || wanted='NVMe status 0x.*No data available'
    if echo lost | dwal append /dev/nvme0n1 --backend $backend --quiet 2>/tmp/out || ! grep -q "$wanted" /tmp/out; then
        echo "$backend: another answer:"
        cat /tmp/out
        failed=1
    fi
    [ "$(dwal cat /dev/nvme0n1)" = acknowledged ] || { echo "$backend: another content"; failed=1; }
done
[ $failed = 1 ] || echo "five backends met a bad block: each stopped the log, said why, and lost nothing"
exit $failed
END
    scripts/vm/initramfs "$vm_cache" "$vm_work/make.initramfs" "$vm_work/make.script" build/release/dwal
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" build/release/dwal
    vm_nvme 4096 "$vm_work/device"
    vm_boot make
    at=$(grep -abo acknowledged "$vm_work/device" | head -n 1 | cut -d: -f1)
    number=0
    while [ $number -lt 4 ]; do # one of them is the next to be written
        faults+=",inject-error.$number.event=none,inject-error.$number.iotype=write,inject-error.$number.errno=5"
        number=$((number + 1))
        faults+=",inject-error.$((number - 1)).sector=$(((at / 4096 + number) * 8))"
    done
    vm_drives=(-blockdev "driver=file,node-name=file,filename=$vm_work/device"
        -blockdev "driver=blkdebug,node-name=bad,image=file$faults" -device "nvme,id=nvme0,serial=dwal"
        -device "nvme-ns,bus=nvme0,nsid=1,drive=bad,logical_block_size=4096,physical_block_size=4096")
    vm_boot guest >"$vm_work/guest.out" || { cat "$vm_work/guest.out"; return 1; }
    tail -n 1 "$vm_work/guest.out" # before it, what QEMU and the guest's kernel say of the block
}

# ---- power cuts ------------------------------------------------------------------------------------------------------

# power_begin KIND LBA: a device of that kind, to begin with, and a loop device for the images.
power_begin()
{
    kind=$1 lba=$2 ram=$vm_work/ram
    mkdir "$ram" "$vm_work/mount"
    mount -t tmpfs -o size=1G tmpfs "$ram" || vm_skip "no mounts here"
    vm_mounts+=("$ram")
    case $kind in
    ext4) vm_ext4 "$ram/base" 32M ;;
    xfs) vm_xfs "$ram/base" 32M "$lba" ;;
    raw) truncate -s 12M "$ram/base" ;; # few slots: they are used again soon
    esac
    cp --sparse=always "$ram/base" "$ram/image"
    loop=$(losetup -f --show --sector-size "$lba" "$ram/image") || vm_skip "no loop devices here"
    vm_loops+=("$loop")
    [ "$kind" = raw ] || { mount -t "$kind" "$loop" "$vm_work/mount" && umount "$vm_work/mount"; } ||
        vm_skip "this kernel cannot mount $kind"
}

# power_record FIRST LOGS BACKEND...: record the writes of logs (several side by side only on a raw device) in a guest, with one
# turn of the writers, numbered from FIRST on, for each BACKEND.
power_record()
{
    local first=$1 logs=$2
    shift 2
    {
        echo '#!/bin/sh'
        echo "export VM_KIND=$kind VM_SECTOR=$lba VM_ROUNDS=${DWAL_VM_ROUNDS:-16}"
        echo "export VM_FIRST=$first VM_LOGS='$logs' VM_BACKENDS='$*'"
        tail -n +2 scripts/vm/guest-power
    } >"$vm_work/guest.script"
    scripts/vm/initramfs "$vm_cache" "$vm_work/guest.initramfs" "$vm_work/guest.script" \
        -m virtio_pci,virtio_blk,configfs,dm-mod,dm-log-writes,nvmet,nvmet-tcp,nvme-fabrics,nvme-tcp,xfs \
        build/release/vm_writer "$(command -v dmsetup)"
    vm_nvme "$lba" "$ram/device"
    vm_virtio "$lba" "$ram/record" "$ram/trace"
    vm_fresh="cp --sparse=always $ram/base $ram/device && rm -f $ram/record $ram/trace &&
        truncate -s 256M $ram/record && truncate -s 16M $ram/trace"
    DWAL_VM_MEMORY=384 vm_boot guest
    if [ -n "${DWAL_VM_KEEP:-}" ]; then
        mkdir -p "$DWAL_VM_KEEP/$kind-$lba-$first"
        cp --sparse=always "$ram"/* "$DWAL_VM_KEEP/$kind-$lba-$first"
    fi
}

# power_judge LOGS: make crash images from the record, and judge the logs in each.
power_judge()
{
    # shellcheck disable=SC2086  # a list of words
    build/release/vm_crash "$ram" "$loop" "$kind" "$vm_work/mount" "$lba" sync "${DWAL_VM_IMAGES:-300}" "${DWAL_VM_SEED:-1}" $1
}

power() # KIND LBA LOGS BACKEND...
{
    local logs=$3
    power_begin "$1" "$2"
    shift 3
    power_record 0 "$logs" "$@"
    power_judge "$logs"
}

# The power goes, and goes again while the log recovers and writes on: the second guest begins with what the first cut left.
scenario_power_again()
{
    power_begin raw 512
    power_record 0 log uring aio
    DWAL_VM_IMAGES=20 power_judge log
    mv "$ram/torn" "$ram/base"
    mv "$ram/torn-marks" "$ram/known"
    power_record 10 log uring sync
    power_judge log
}
scenario_power_ext4() { power ext4 512 log uring sync aio uring; }
scenario_power_xfs() { power xfs 512 log aio uring sync uring; }
scenario_power_raw() { power raw 512 log uring aio sync uring; }
scenario_power_several() { power raw 4096 'first second' uring aio uring; }
scenario_power_nvme() { power raw 4096 log nvme nvme uring nvme; }
