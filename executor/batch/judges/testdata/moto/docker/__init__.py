"""What moto's Batch uses of the Docker SDK for Python, in its place: a container is a
process of this machine, whatever its image. So moto's jobs run, fail and write logs with
no container engine and no images."""

import datetime
import os
import signal
import subprocess
import threading
from types import SimpleNamespace


class Stream(threading.Thread):
    """Reads what a process writes, with the time before each line, as Docker keeps it."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.text = pipe, b""
        self.start()

    def run(self):
        for line in self.pipe:
            now = datetime.datetime.now(datetime.timezone.utc)
            self.text += now.strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + line


class Container:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.stdout, self.stderr = Stream(self.process.stdout), Stream(self.process.stderr)

    @property
    def status(self):
        return "running" if self.process.poll() is None else "exited"

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def logs(self, stdout, **_):
        stream = self.stdout if stdout else self.stderr
        stream.join()
        return stream.text

    def wait(self):
        code = self.process.wait()
        return {"StatusCode": code if code >= 0 else 128 - code}

    def reload(self):
        pass

    remove = reload


def from_env():
    return SimpleNamespace(
        containers=SimpleNamespace(
            run=lambda command, environment, **_: Container(command, environment)
        )
    )


class LogConfig:
    types = SimpleNamespace(JSON="json-file")

    def __init__(self, type):
        pass


types = SimpleNamespace(LogConfig=LogConfig)
