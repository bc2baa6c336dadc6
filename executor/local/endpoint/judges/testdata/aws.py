"""aws.py: the AWS CLI as one process that has loaded it, of which every command is a fork.
Loading takes most of the time of a command, and walks have hundreds.

aws.py serve SOCKET         loads the CLI, says "ready", and serves
aws.py SOCKET ARGUMENT...   is aws ARGUMENT...: with its files, environment and directory
"""

import json
import os
import signal
import socket
import sys


def serve(path):
    before = dict(os.environ)
    # With what it would load at need. No command is run beforehand: in version 2 that starts
    # a thread, of which forks know nothing.
    import awscli.handlers
    from awscli import clidriver

    own = {k: v for k, v in os.environ.items() if before.get(k) != v}  # where its data is
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            command(client, own, clidriver.main)
        client.close()


def command(client, own, main):
    """Runs a command and tells its exit code. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, files, _, _ = socket.recv_fds(client, 1 << 20, 3)
    for to, file in enumerate(files):
        os.dup2(file, to)
        os.close(file)
    wanted = json.loads(text)
    os.environ.clear()
    os.environ.update(wanted["environment"] | own)
    os.chdir(wanted["directory"])
    sys.argv = ["aws"] + wanted["arguments"]
    code = 255
    try:
        code = main() or 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        client.send(bytes([code]))
        os._exit(0)


def ask(path, arguments):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.connect(path)
    wanted = {"arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd()}
    socket.send_fds(server, [json.dumps(wanted).encode()], [0, 1, 2])
    code = server.recv(1)
    sys.exit(code[0] if code else 255)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
ask(sys.argv[1], sys.argv[2:])
