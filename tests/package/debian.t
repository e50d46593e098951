#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The package in a fresh Debian: linted, installed, run, removed; then what is in contrib/, booted in
# QEMU: an initramfs of initramfs-tools and one of dracut, each at its shell, and the systemd unit.
# make check-package builds what this needs. The Debian is made once, by debootstrap, in build/debian.
. tests/lib.sh
need_root
need debootstrap lintian qemu-system-x86_64 mke2fs python3
[ "$(dpkg --print-architecture)" = amd64 ] || skip_all 'on amd64 only'
suite=bookworm
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
	sed -n 's/^Debian Debian //p' | head -n 1)
mirror=${XGUARD_DEBIAN_MIRROR:-$mirror}
[ -n "$mirror" ] || skip_all 'no Debian archive here: set XGUARD_DEBIAN_MIRROR'
deb=$(ls build/xguard_*_amd64.deb 2>/dev/null | tail -n 1)
[ -n "$deb" ] || skip_all 'no package: make deb'

if [ ! -e build/debian/done ]; then
	rm -rf build/debian
	mkdir -p build/debian
	packages=linux-image-cloud-amd64,initramfs-tools,busybox,zstd,systemd-sysv,udev,kmod,iproute2
	if ! debootstrap --variant=minbase --include="$packages,dracut-core,cpio" "$suite" \
		build/debian/root "$mirror" >build/debian/log 2>&1; then
		tail -n 3 build/debian/log | diag
		skip_all 'the archive does not serve it'
	fi
	: >build/debian/done
fi
root=$work/debian
cp -a build/debian/root "$root"
cp "$deb" "$root/root/xguard.deb"

# in_debian COMMAND...: in it, with /proc, and gone when it ends.
in_debian() {
	unshare --mount --pid --fork sh -c 'root=$1; shift
		mount -t proc proc "$root/proc" && exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"' in_debian "$root" "$@"
}
files() { (cd "$root" && find . -path ./var -prune -o -path ./proc -prune -o -print | sort); }

lintian --fail-on error "$deb" >"$work/lintian" 2>&1
is $? 0 'lintian finds no error'
diag <"$work/lintian"

files >"$work/before"
ok 'dpkg installs it' in_debian dpkg -i /root/xguard.deb
in_debian xguard --version >"$work/version" 2>&1
like "$work/version" '^xguard [0-9]' 'it runs'
ok "and bash's completion" test -s "$root/usr/share/bash-completion/completions/xguard"
ok 'the manual is there' test -s "$root/usr/share/man/man8/xguard.8.gz"
make_pair
ip netns exec "$receiver" chroot "$root" xguard -i rx0 -u --duration 3 >"$work/trace.out" \
	2>"$work/trace.err" &
await_line "$work/trace.err" '^xguard: attached'
send_hex -20 '020000000002 020000000001 0800 4500001c000000004001b589c0a80203c0a80202 0800f7ff00000000'
wait $!
like "$work/trace.err" '^xguard: rx0: 20 packets, 840 bytes, 1 flow, 0 unattributed' 'it traces'
ok 'dpkg removes it' in_debian dpkg --purge xguard
files >"$work/after"
same "$work/after" "$work/before" 'nothing of it is left'

in_debian dpkg -i /root/xguard.deb >"$work/log" 2>&1
examples=/usr/share/doc/xguard/examples
ok 'initramfs-tools takes the hook' in_debian sh -c \
	"install -m 755 $examples/initramfs-tools/hooks/xguard /etc/initramfs-tools/hooks/ && update-initramfs -u"
ok 'dracut takes the module' in_debian sh -c \
	"cp -R $examples/dracut/90xguard /usr/lib/dracut/modules.d/ && dracut --force --no-hostonly \
	--omit 'systemd systemd-initrd dracut-systemd' --add xguard /boot/dracut.img \$(ls /lib/modules)"
kernel=$(ls "$root"/boot/vmlinuz-*)
initrd=$(ls "$root"/boot/initrd.img-*)

# take NAME COMMAND...: its TAP becomes ours.
take() {
	take_name=$1
	shift
	"$@" >"$work/taken" 2>&1
	while read -r line; do
		case $line in
		'ok '*) report 0 "${line#ok * - }" ;;
		'not ok '*) report 1 "${line#not ok * - }" ;;
		1..*) ;;
		*) diag "$line" ;;
		esac
	done <"$work/taken"
	grep -q '^1\.\.' "$work/taken"
	report $? "$take_name: ran to its end"
}
take initramfs-tools tests/package/initramfs initramfs-tools "$kernel" "$initrd" '^\(initramfs\) ' \
	break=premount net.ifnames=0
take dracut tests/package/initramfs dracut "$kernel" "$root/boot/dracut.img" '^.*[:/].*# ' \
	rd.break=pre-mount rd.shell net.ifnames=0

cp "$TESTS/send" tests/package/systemd-guest "$root/root/"
cat >"$root/etc/systemd/system/xguard-test.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/root/systemd-guest
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../xguard-test.service "$root/etc/systemd/system/multi-user.target.wants/"
truncate -s 900M "$work/disk"
mke2fs -q -t ext4 -d "$root" "$work/disk"
boot_systemd() {
	timeout 300 qemu-system-x86_64 -machine q35 -accel tcg,thread=single -smp 2 -m 1024 -nodefaults \
		-no-user-config -no-reboot -display none -serial stdio \
		-drive file="$work/disk",if=virtio,format=raw -kernel "$kernel" -initrd "$initrd" \
		-append "console=ttyS0 root=/dev/vda rw quiet panic=-1 net.ifnames=0 systemd.show_status=0
			systemd.mask=serial-getty@ttyS0.service" </dev/null | tr -d '\r'
}
take systemd boot_systemd
done_testing
