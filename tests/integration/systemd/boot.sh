#!/bin/sh
# Runs in new namespaces of its own (system.py): makes a root that looks like this machine's, but keeps whatever is
# written to it in memory, and becomes systemd there. $1 is the folder that both sides share, seen inside as
# /run/outside. Nothing of the machine can be changed: its root is the read-only lower layer, its /run and /tmp are not
# there at all (systemd empties what it finds in them).
set -eu
outside=$1
scratch=/mnt
mount -t tmpfs -o mode=755,size=1g tmpfs $scratch
mkdir $scratch/upper $scratch/work $scratch/root $scratch/outside
mount --bind "$outside" $scratch/outside
mount -t overlay -o lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work overlay $scratch/root
cd $scratch/root
mount --rbind /dev dev
mount --rbind /sys sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock run/outside
mount --move $scratch/outside run/outside
for folder in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $folder; done
# What the machine has installed is none of our business, but our own target, the journal and the message bus's socket.
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
cp "$outside"/units/* etc/systemd/system/
mkdir run/old
pivot_root . run/old
cd /
umount --lazy /run/old
rmdir /run/old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 container=printer-agent-test \
    /lib/systemd/systemd --system --unit=printer-agent-test.target --log-target=console --show-status=no \
    </dev/null >/run/outside/systemd.log 2>&1
