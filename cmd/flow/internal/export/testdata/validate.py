"""Validates RO-Crates by the profile Provenance Run Crate: validate.py LEVEL DIRECTORY...

It is done without a network: instead of the contexts that crates name, the one of RO-Crate
that the package rocrate has is used, with the terms that differ in version 1.1, and those of
workflow-run. Prints a line for each issue, and one for each crate; the exit code is 1 if there are issues.
"""

import json
import sys
from pathlib import Path

import rocrate
from rocrate_validator import models, services
from rocrate_validator.utils import http

TERMS = "https://w3id.org/ro/terms/workflow-run#"
BIOSCHEMAS = "https://bioschemas.org/"
CRATE = "https://w3id.org/ro/crate/1.1/context"
RUN = "https://w3id.org/ro/terms/workflow-run/context"


def contexts():
    base = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())["@context"]
    base |= {
        "ComputationalWorkflow": BIOSCHEMAS + "ComputationalWorkflow",
        "FormalParameter": BIOSCHEMAS + "FormalParameter",
        "input": BIOSCHEMAS + "ComputationalWorkflow#input",
        "output": BIOSCHEMAS + "ComputationalWorkflow#output",
    }
    names = ["ParameterConnection", "connection", "sourceParameter", "targetParameter", "environment", "sha256", "sha1", "md5", "sha512"]
    names += ["ContainerImage", "DockerImage", "SIFImage", "containerImage", "registry", "tag", "resourceUsage"]
    return {CRATE: {"@context": base}, RUN: {"@context": {n: TERMS + n for n in names}}}


class Answer:
    def __init__(self, document):
        self.status_code = 200 if document else 404
        self.text = json.dumps(document)
        self.content = self.text.encode()
        self.headers = {"Content-Type": "application/ld+json"}
        self.ok = bool(document)

    def json(self):
        return json.loads(self.text)

    def raise_for_status(self):
        pass


KNOWN = contexts()


def answer(self, url, *args, **kwargs):
    return Answer(KNOWN.get(str(url)))


http.HttpRequester.get = answer
http.HttpRequester.head = answer

level = models.Severity[sys.argv[1]]
found = 0
for crate in sys.argv[2:]:
    result = services.validate(services.ValidationSettings(
        rocrate_uri=crate, profile_identifier="provenance-run-crate-0.5", requirement_severity=level,
    ))
    issues = result.get_issues(level)
    for i in issues:
        print(f"{i.severity.name} {i.check.identifier}: {i.message} [{i.violatingEntity or ''}] {i.violatingPropertyValue or ''}")
    print(f"{crate}: {len(result.executed_checks)} checks, {len(issues)} issues")
    found += len(issues)
sys.exit(1 if found else 0)
