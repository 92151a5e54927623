#!/bin/sh
# The atmoz/sftp image runs this each time before its server starts: the keys that the `init` container has laid out, and logins by key alone.
set -eu
umask 022

mkdir -p "/home/$SFTP_USER/.ssh"
cp /keys/sftp_user.pub "/home/$SFTP_USER/.ssh/authorized_keys"

rm -f /etc/ssh/ssh_host_*
cp /keys/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
chmod 600 /etc/ssh/ssh_host_ed25519_key

cat > /etc/ssh/sshd_config <<END
HostKey /etc/ssh/ssh_host_ed25519_key
AllowUsers $SFTP_USER
AuthenticationMethods publickey
PermitRootLogin no
DisableForwarding yes
UseDNS no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
ChrootDirectory /home/%u
END
