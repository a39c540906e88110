#!/bin/sh
# Runs in new namespaces of its own (system.py): makes a root that looks like this machine's, but keeps whatever is
# written to it in memory, and becomes systemd there. $1 is the folder that both sides share, seen inside as
# /run/outside; $2 is the project's, which is seen where it is. Nothing of the machine can be changed: its root is the
# read-only lower layer; its /dev, /run and /tmp are not there (systemd empties what it finds in them); the kernel's own
# settings are read-only; and of the units that are installed here only those are left that do nothing by themselves.
set -eu
outside=$1
project=$2
scratch=/mnt
mount -t tmpfs -o mode=755,size=1g tmpfs $scratch
mkdir $scratch/upper $scratch/work $scratch/root $scratch/outside
mount --bind "$outside" $scratch/outside
mount -t overlay -o lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work overlay $scratch/root
cd $scratch/root
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount --bind /dev/pts dev/pts  # the simulator's ports are in there
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
node() { mknod -m 666 "dev/$1" c "$2" "$3"; }
node null 1 3
node zero 1 5
node full 1 7
node random 1 8
node urandom 1 9
node tty 5 0
node console 1 3
mount --bind /sys sys
mount -o remount,bind,ro sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock run/outside
mount --move $scratch/outside run/outside
for folder in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $folder; done
case $project in
/tmp/* | /var/tmp/* | /run/*)
    mkdir -p ".$project" $scratch/project $scratch/project-work
    mount -t overlay -o "lowerdir=$project,upperdir=$scratch/project,workdir=$scratch/project-work" overlay ".$project"
    ;;
esac
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
for unit in sysinit.target basic.target sockets.target timers.target paths.target slices.target local-fs.target \
    swap.target network.target multi-user.target shutdown.target umount.target final.target system.slice \
    modprobe@.service systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    if [ -e "lib/systemd/system/$unit" ]; then cp "lib/systemd/system/$unit" etc/systemd/system/; fi
done
mount -t tmpfs -o mode=755 tmpfs usr/lib/systemd/system
cp etc/systemd/system/* usr/lib/systemd/system/
rm etc/systemd/system/*
cp run/outside/units/* etc/systemd/system/
mkdir run/old
pivot_root . run/old
cd /
umount --lazy /run/old
rmdir /run/old
mount --make-rshared /  # among the namespaces of in here: a credential is mounted in one, to be seen in others
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 container=printer-agent-test \
    /lib/systemd/systemd --system --unit=printer-agent-test.target --log-target=journal --show-status=no \
    </dev/null >/run/outside/systemd.log 2>&1
