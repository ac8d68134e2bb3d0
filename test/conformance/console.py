"""Takes a terminal from a console socket (SCM_RIGHTS) and writes down what the program says on it.

usage: console.py SOCKET OUTPUT
"""
import array
import os
import socket
import sys

path, output = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(1)
listener.settimeout(15)
connection, _ = listener.accept()
fds = array.array("i")
_, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * fds.itemsize))
for level, kind, data in ancillary:
    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
with open(output, "wb") as out:
    while True:
        try:
            data = os.read(fds[0], 4096)
        except OSError:
            # EIO: nobody has the other side open any more.
            break
        if not data:
            break
        out.write(data)
        out.flush()
