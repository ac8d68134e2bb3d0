"""A seccomp agent: takes one container process state and its descriptor, and answers the first notification.

usage: listener.py SOCKET OUTPUT

Writes the state as it came, then "closed" when the runtime has closed the connection.
"""
import array
import errno
import fcntl
import socket
import struct
import sys

SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101

path, output = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(1)
listener.settimeout(15)
connection, _ = listener.accept()
connection.settimeout(5)
fds = array.array("i")
text = b""
closed = False
while not closed:
    try:
        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * fds.itemsize))
    except socket.timeout:
        break
    for level, kind, part in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(part[: len(part) - len(part) % fds.itemsize])
    text += data
    closed = not data
with open(output, "wb") as out:
    out.write(text.replace(b"\n", b" ") + (b"\nclosed\n" if closed else b"\n"))
# struct seccomp_notif: id, pid, flags, struct seccomp_data.
request = bytearray(80)
fcntl.ioctl(fds[0], SECCOMP_IOCTL_NOTIF_RECV, request)
(cookie,) = struct.unpack_from("Q", request)
# struct seccomp_notif_resp: id, val, error, flags.
fcntl.ioctl(fds[0], SECCOMP_IOCTL_NOTIF_SEND, bytearray(struct.pack("QqiI", cookie, 0, -errno.ENOMEDIUM, 0)))
