#!/usr/bin/env bash
# Try what the images hold where no container engine is at hand: install.sh in a Debian root, then mm in it as a user
# of no name, on a read-only root without network. By hand, as root, with debootstrap; takes minutes and 3 GB.
#
#   container/try.sh FOLDER [MIRROR]    FOLDER gets the root and the study; a root that is there is used again
#
# Settings of pip in the environment (PIP_…) hold in the root too; folders of PIP_FIND_LINKS are mounted there.
set -euo pipefail
work=$(realpath -m "${1:?a folder for the Debian root}")
mirror=${2:-http://deb.debian.org/debian}
clone=$(realpath "$(dirname "$0")/..")
root=$work/root
if [ "${IN_NAMESPACE:-}" != yes ]; then  # mounts are seen by this script alone, and end with it
    IN_NAMESPACE=yes exec unshare --mount --propagation private "$0" "$@"
fi

say() { printf '\n== %s\n' "$*"; }
inside() { chroot "$root" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

if [ ! -e "$work/installed" ]; then
    say "a Debian root"
    mkdir -p "$root"
    [ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/debootstrap.log"
    mkdir -p "$root/src"
    sed -n 's/^!//p' "$clone/.dockerignore" | tar -C "$clone" -cf - --exclude=__pycache__ --files-from - |
        tar -C "$root/src" -xf -
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    settings=()
    while IFS= read -r setting; do settings+=("$setting"); done < <(env | grep '^PIP_' || true)
    for folder in ${PIP_FIND_LINKS:-}; do
        [ -d "$folder" ] && mkdir -p "$root$folder" && mount --bind "$folder" "$root$folder"
    done
    if [ -n "${PIP_CERT:-}" ]; then  # under another name: the root has certificates of its own
        cp "$PIP_CERT" "$root/src/certificates.pem"
        settings+=(PIP_CERT=/src/certificates.pem)
    fi
    say "install.sh"
    time inside "${settings[@]}" bash /src/container/install.sh /src
    rm -r "$root/src"
    umount "$root/dev" "$root/proc"
    du -sh "$root"
    touch "$work/installed"
fi

say "mm as user 4711, who has no name, on a read-only root, without network"
study=$work/study
rm -rf "$study" && mkdir -p "$study" && chown 4711:4711 "$study"
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount --bind "$study" "$root/study"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=1g tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o size=1g tmpfs "$root/dev/shm"
for device in null zero urandom random; do mknod -m 666 "$root/dev/$device" c 1 \
    "$(case $device in null) echo 3 ;; zero) echo 5 ;; random) echo 8 ;; urandom) echo 9 ;; esac)"; done
as_user() {
    unshare --net bash -c 'ip link set lo up && exec "$@"' - chroot --userspec 4711:4711 "$root" \
        env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp MM_STUDY=/study/s XDG_CACHE_HOME=/tmp/cache \
        MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 bash -c "cd /study && $1" </dev/null
}
while IFS= read -r line; do
    say "$line"
    as_user "$line"
done <<'COMMANDS'
touch /opt/mm/x 2>&1 | grep -o 'Read-only file system'
mm --version
mm doctor
mm synth ukb release --participants 40 --voxel-mm 4 --workers 2
mm init --source release --set splits.val=0.25 --set splits.test=0.25 --set 'volumes.sides=[32]' --set 'augment.sides=[32]' --set train.side=32 --set train.epochs=2 --set train.batch_size=8
mm ingest ukb --workers 2
mm precompute-augs --copies 1 --workers 2
mm train --target age --inputs t1
mm qc
mm status
COMMANDS
say "done"
