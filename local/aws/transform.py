"""The template as CloudFormation gets it, for the tests of it.

    python transform.py template.yaml     prints JSON

It is what the Serverless transform makes of the template where every parameter
has its default. Needs neither AWS nor a build: an S3 address stands in for
each function's code, as `sam package` would put one there.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # the translator asks for one

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names none: its functions' rights are all written out."""

    def load(self):
        return {}


def main(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://code/" + resource["Properties"]["CodeUri"]
    json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout)


main(sys.argv[1])
