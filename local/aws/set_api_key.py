"""Puts the provider's API key into the secret of a stack: make set-api-key STACK=name

    python set_api_key.py STACK     reads the key from standard input

The rest of the secret stays as it is. The key is neither shown nor put on a command
line, where others could see it. It calls AWS through the `aws` command.
"""

import getpass
import json
import subprocess
import sys


def aws(*args, stdin=None):
    done = subprocess.run(["aws", *args, "--output", "json"], input=stdin, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"aws {args[0]} {args[1]} failed; nothing was changed.")
    return json.loads(done.stdout)


def read_key():
    if sys.stdin.isatty():
        key = getpass.getpass("NanoBanana API key: ")
    else:
        key = sys.stdin.readline()
    key = key.strip()
    if not key or any(not "!" <= c <= "~" for c in key):
        sys.exit("This is not an API key: a key has only visible ASCII characters and no spaces. Nothing was changed.")
    return key


def main(stack):
    [found] = aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"]
    arn = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}.get("Secret")
    if not arn:
        sys.exit(f"{stack} is not a stack of these functions: it has no output Secret. Nothing was changed.")
    key = read_key()
    secret = json.loads(aws("secretsmanager", "get-secret-value", "--secret-id", arn)["SecretString"])
    secret["apiKey"] = key
    value = json.dumps(secret)
    aws("secretsmanager", "put-secret-value", "--secret-id", arn, "--secret-string", "file:///dev/stdin", stdin=value)
    print(f"The key is set. The functions of {stack} use it within 5 minutes.")


main(sys.argv[1])
