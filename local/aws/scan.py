"""Runs checkov on template.yaml and compares what fails with local/aws/checkov.yaml.

    python scan.py CHECKOV     prints each exception with its reason

Fails if a check fails that is no exception, if an exception is none any more or has no
reason, or if checkov could not read the template.
"""

import collections
import json
import re
import subprocess
import sys


def exceptions():
    with open("local/aws/checkov.yaml", encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.startswith("  - ")]
    found = {}
    for line in lines:
        match = re.fullmatch(r"- (\w+) # (.+)", line)
        if not match:
            sys.exit(f"local/aws/checkov.yaml: an exception without a reason: {line}")
        found[match[1]] = match[2]
    return found


def failures(checkov):
    command = [checkov, "-f", "template.yaml", "--skip-download", "-o", "json", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(run.stdout)
        summary = report["summary"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"checkov did not report: {run.stdout}{run.stderr}")
    if summary["parsing_errors"] or summary["passed"] < 30:
        sys.exit(f"checkov did not read template.yaml: {summary}")
    return report["results"]["failed_checks"], summary


def main(checkov):
    reasons = exceptions()
    failed, summary = failures(checkov)
    count = collections.Counter(check["check_id"] for check in failed)
    faults = [f"{c['check_id']} {c['resource']}: {c['check_name']}" for c in failed if c["check_id"] not in reasons]
    faults += [f"{name} is an exception in local/aws/checkov.yaml, but does not fail" for name in reasons if name not in count]
    if faults:
        sys.exit("\n".join(faults))
    print(f"checkov {summary['checkov_version']}: {summary['passed']} checks pass; exceptions:")
    for name, reason in reasons.items():
        print(f"  {name:12} {count[name]:3}  {reason}")


main(sys.argv[1])
