"""Sends notices again that were given up: make redrive STACK=name [SINCE=2026-03-14]

    python redrive.py STACK [SINCE]     SINCE is a day (UTC); without it: all that the log still has

It finds the notices in the functions' log, and the sweep sends them again. A notice that has been
delivered in the meantime is not sent twice. It calls AWS through the `aws` command.
"""

import datetime
import json
import subprocess
import sys
import tempfile

BATCH = 200  # tasks in one call of the sweep, which has 50 s for them
LOG_DAYS = 30  # how long the log is kept


def aws(*args):
    done = subprocess.run(["aws", *args, "--output", "json"], text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"aws {args[0]} {args[1]} failed.")
    return json.loads(done.stdout)


def given_up(logs, since):
    found = aws("logs", "filter-log-events", "--log-group-name", logs, "--start-time", str(int(since.timestamp() * 1000)),
                "--filter-pattern", '{ $.event = "notice_given_up" }')
    return list(dict.fromkeys(json.loads(e["message"])["task"] for e in found["events"]))


def redrive(sweep, ids):
    with tempfile.NamedTemporaryFile() as answer:
        result = aws("lambda", "invoke", "--function-name", sweep, "--cli-binary-format", "raw-in-base64-out",
                     "--payload", json.dumps({"redrive": ids}), answer.name)
        if "FunctionError" in result:
            sys.exit("The sweep failed; its log says why. Run this again: no notice is sent twice.")
        return json.load(answer)["Failed"]


def main(stack, since=""):
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        begin = datetime.datetime.fromisoformat(since).replace(tzinfo=datetime.timezone.utc) if since else now - datetime.timedelta(days=LOG_DAYS)
    except ValueError:
        sys.exit("SINCE must be a day, such as 2026-03-14.")
    [found] = aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"]
    logs = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}.get("Logs")
    if not logs:
        sys.exit(f"{stack} is not a stack of these functions: it has no output Logs.")
    sweep = aws("cloudformation", "describe-stack-resource", "--stack-name", stack, "--logical-resource-id", "Sweep")["StackResourceDetail"]["PhysicalResourceId"]
    ids = given_up(logs, begin)
    failed = sum(redrive(sweep, ids[i:i + BATCH]) for i in range(0, len(ids), BATCH))
    print(f"{len(ids) - failed} of {len(ids)} notices that were given up will be sent again.")
    if failed:
        sys.exit("The log says why the others failed. Run this again: no notice is sent twice.")


main(*sys.argv[1:])
