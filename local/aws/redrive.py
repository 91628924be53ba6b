"""Has the notices sent again that were given up: make redrive STACK=name [SINCE=2026-03-14]

    python redrive.py STACK [SINCE]     SINCE is a day (UTC); without it: all that the log still has

Which they are is in the log of the functions; the sweep takes them up again. One that has been
told since is not told twice. AWS's own `aws` speaks to the account.
"""

import datetime
import json
import subprocess
import sys
import tempfile

AT_ONCE = 200  # tasks in one call of the sweep, which has 50 s
KEPT = 30  # days that the log keeps


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
        said = aws("lambda", "invoke", "--function-name", sweep, "--cli-binary-format", "raw-in-base64-out",
                   "--payload", json.dumps({"redrive": ids}), answer.name)
        if "FunctionError" in said:
            sys.exit("The sweep failed; its log says why. It does no harm to repeat this.")
        return json.load(answer)["Failed"]


def main(stack, since=""):
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        begin = datetime.datetime.fromisoformat(since).replace(tzinfo=datetime.timezone.utc) if since else now - datetime.timedelta(days=KEPT)
    except ValueError:
        sys.exit("SINCE is a day, such as 2026-03-14.")
    [found] = aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"]
    logs = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}.get("Logs")
    if not logs:
        sys.exit(f"{stack} is not a stack of these functions: it has no output Logs.")
    sweep = aws("cloudformation", "describe-stack-resource", "--stack-name", stack, "--logical-resource-id", "Sweep")["StackResourceDetail"]["PhysicalResourceId"]
    ids = given_up(logs, begin)
    failed = sum(redrive(sweep, ids[i:i + AT_ONCE]) for i in range(0, len(ids), AT_ONCE))
    print(f"{len(ids) - failed} of {len(ids)} notices that were given up are on their way.")
    if failed:
        sys.exit("The log says what kept the others. It does no harm to repeat this.")


main(*sys.argv[1:])
