"""Prints the template as CloudFormation gets it, for its tests.

    python transform.py template.yaml [PARAMETER=VALUE...]     prints JSON

The Serverless transform is applied, with every other parameter at its default. This needs
neither AWS nor a build: like `sam package`, it puts an S3 address in place of each
function's code.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # the translator needs one

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template uses none: it spells out its functions' permissions."""

    def load(self):
        return {}


def main(path, *parameters):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://code/" + resource["Properties"]["CodeUri"]
    json.dump(transform(template, dict(p.split("=", 1) for p in parameters), NoManagedPolicies()), sys.stdout)


main(*sys.argv[1:])
