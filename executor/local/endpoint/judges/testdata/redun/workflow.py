"""A workflow whose tasks run as jobs of AWS Batch: an array of squares, a sum, a failure."""

from redun import task

redun_namespace = "judged"


@task(executor="batch")
def square(x: int) -> int:
    return x * x


@task(executor="batch")
def add(numbers: list) -> int:
    return sum(numbers)


@task(executor="batch")
def fail() -> int:
    raise ValueError("as it should")


@task()
def main(n: int = 3) -> int:
    return add([square(i) for i in range(n)])
