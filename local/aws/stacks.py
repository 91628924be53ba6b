"""CloudFormation for the stand-in: what moto lacks of it and docs/deploy.md needs.

Moto knows stacks and change sets, tables and buckets. Added here: the Serverless
transform, the import of resources that exist, secrets, and the deletion of a stack that
contains resources that moto does not know. Of those only names exist.
"""

import copy
import json as json_module
import os
import re
import secrets
import string

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # the translator needs one

from moto.awslambda.models import LambdaFunction, LambdaStorage, lambda_backends
from moto.cloudformation import models, parsing, responses
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.scheduler.models import scheduler_backends
from moto.secretsmanager.models import secretsmanager_backends
from samtranslator.translator.transform import transform

REAL = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::IAM::Role", "AWS::Logs::LogGroup"


class NoManagedPolicies:
    """The template uses none: it spells out its functions' permissions."""

    def load(self):
        return {}


class Named:
    """A resource of which only the name exists."""

    is_created = staticmethod(lambda: True)

    def __init__(self, name, region):
        self.physical_resource_id, self.region = name, region

    @classmethod
    def has_cfn_attr(cls, attr):
        return True

    def get_cfn_attribute(self, attr):
        if attr == "ApiEndpoint":
            return f"https://{self.physical_resource_id.lower()}.execute-api.{self.region}.amazonaws.com"
        return f"arn:aws:none:{self.region}:123456789012:{self.physical_resource_id}"

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        return cls(name, region)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, **_):
        return original_resource

    def delete(self, account, region):
        pass


class Secret(Named):
    """A secret, in Secrets Manager."""

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **kept):
        suffix = "".join(secrets.choice(string.ascii_letters) for _ in range(12))
        backend = secretsmanager_backends[account][region]
        of = {"stack-name": kept["StackId"].split("/")[1], "logical-id": kept["LogicalId"]}
        tags = [{"Key": f"aws:cloudformation:{name}", "Value": value} for name, value in of.items()]
        made = backend.create_secret(
            f"{kept['LogicalId']}-{suffix}", value_of(json, backend), None, None, tags, None, None, [], False
        )
        return cls(json_module.loads(made)["ARN"], region)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, cloudformation_json, account_id, region_name, **_):
        backend = secretsmanager_backends[account_id][region_name]
        value = value_of(cloudformation_json, backend)
        backend.put_secret_value(original_resource.physical_resource_id, value, None, None, ["AWSCURRENT"])
        return original_resource

    def delete(self, account, region):
        secretsmanager_backends[account][region].delete_secret(self.physical_resource_id, 30, False)


class Function(Named):
    """A function, in Lambda. It cannot be invoked."""

    @staticmethod
    def texts(json):
        for variables in json["Properties"].get("Environment", {}).values():
            variables.update({name: str(value) for name, value in variables.items()})
        return json

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        return LambdaFunction.create_from_cloudformation_json(name, cls.texts(json), account, region)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json, **where):
        json = cls.texts(cloudformation_json)
        return LambdaFunction.update_from_cloudformation_json(original_resource, new_resource_name, json, **where)


class Version(Named):
    """A published version of a function, with its settings at that time."""

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        published = lambda_backends[account][region].publish_version(json["Properties"]["FunctionName"])
        made = cls(published.function_arn, region)
        made.version = str(published.version)
        return made

    def get_cfn_attribute(self, attr):
        return self.version


class Alias(Named):
    """An alias of a function."""

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        given = json["Properties"]
        alias = lambda_backends[account][region].create_alias(given["Name"], given["FunctionName"], given["FunctionVersion"], "", None)
        return cls(alias.arn, region)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, cloudformation_json, account_id, region_name, **_):
        given = cloudformation_json["Properties"]
        lambda_backends[account_id][region_name].update_alias(given["Name"], given["FunctionName"], given["FunctionVersion"], "", None)
        return original_resource


class Schedule(Named):
    """A schedule, in EventBridge Scheduler. It invokes nothing."""

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        given = json["Properties"]
        scheduler_backends[account][region].create_schedule(
            None, None, given["FlexibleTimeWindow"], None, None, name, given["ScheduleExpression"], None, None, given.get("State"), given["Target"], None
        )
        return cls(name, region)

    def delete(self, account, region):
        scheduler_backends[account][region].delete_schedule(None, self.physical_resource_id)


OWN = {
    "AWS::Scheduler::Schedule": Schedule,
    "AWS::SecretsManager::Secret": Secret,
    "AWS::Lambda::Function": Function,
    "AWS::Lambda::Version": Version,
    "AWS::Lambda::Alias": Alias,
}


def value_of(resource, backend):
    """The value that a secret's properties describe."""
    given = resource["Properties"]
    if "SecretString" not in given:
        return secrets.token_urlsafe(64)[: given["GenerateSecretString"]["PasswordLength"]]
    reference = r"\{\{resolve:secretsmanager:([^}]+?)\}\}"
    return re.sub(reference, lambda m: backend.get_secret_value(m[1], None, None)["SecretString"], given["SecretString"])


def existing(kind, identifier, account, region):
    """The resource that an import takes over."""
    if kind == "AWS::DynamoDB::Table":
        return dynamodb_backends[account][region].get_table(identifier["TableName"])
    if kind == "AWS::S3::Bucket":
        return s3_backends[account]["aws"].buckets[identifier["BucketName"]]
    secretsmanager_backends[account][region].describe_secret(identifier["Id"])  # an error if there is none
    return Secret(identifier["Id"], region)


def create_change_set(create):
    def create_or_import(self):
        """Remembers what is to be imported, by CloudFormation's rules for it."""
        answer = create(self)
        change_set = list(self.cloudformation_backend.change_sets.values())[-1]
        asked = {r["LogicalResourceId"]: r for r in self._get_param("ResourcesToImport", [])}
        change_set.imported = asked
        if change_set.change_set_type != "IMPORT":
            return answer
        owned = {r.physical_resource_id for stack in self.cloudformation_backend.stacks.values() for r in stack.stack_resources}
        for name, resource in change_set.template_dict["Resources"].items():
            fault = None
            if name not in asked:
                fault = f"{name} is to be created: an import creates nothing"
            elif "DeletionPolicy" not in resource:
                fault = f"{name} has no DeletionPolicy"
            elif asked[name]["ResourceType"] != resource["Type"]:
                fault = f"{name} is a {resource['Type']}"
            elif owned & set(asked[name]["ResourceIdentifier"].values()):
                fault = f"{name} belongs to a stack"
            if fault:
                change_set.status, change_set.execution_status, change_set.status_reason = "FAILED", "UNAVAILABLE", fault
        return answer

    return create_or_import


def apply(apply):
    def import_and_apply(self):
        resources = self.stack.resource_map
        for name, asked in self.imported.items():
            found = existing(asked["ResourceType"], asked["ResourceIdentifier"], resources._account_id, resources._region_name)
            found.logical_resource_id, found.cf_resource_type = name, asked["ResourceType"]
            resources._parsed_resources[name] = found
        apply(self)
        stack = self.stack
        stack.template, stack.template_dict, stack.parameters = self.template, self.template_dict, self.parameters
        stack.output_map = stack._create_output_map()

    return import_and_apply


def parse(parse):
    def parse_and_transform(self):
        parse(self)
        if self.template_dict.get("Transform") == "AWS::Serverless-2016-10-31":
            self.template_dict = transform(self.template_dict, dict(self.parameters), NoManagedPolicies())
            self.template = json_module.dumps(self.template_dict)

    return parse_and_transform


def update(self, template, parameters=None):
    """Changes what exists, then creates, then moves aliases, then deletes: moto would
    publish a function's version before it has changed the function."""
    old, changed = self._resource_json_map, self.build_resource_diff(template, parameters)
    self._template, self._resource_json_map = template, template["Resources"]
    self.input_parameters = parameters or self.input_parameters
    self.load_mapping()
    self.load_parameters()
    self.load_conditions()

    def change(moves):
        for name in changed["Modify"]:
            resource = self._resource_json_map[name]
            same = all(old[name].get(part) == resource.get(part) for part in ("Properties", "Metadata"))
            policy_only = same and old[name] != resource  # of its deletion, which changes nothing now
            if name in self._parsed_resources and not policy_only and (resource["Type"] == "AWS::Lambda::Alias") == moves:
                new = parsing.parse_and_update_resource(name, resource, self, self._account_id, self._region_name)
                self._parsed_resources[name] = new or self._parsed_resources[name]

    change(moves=False)
    for name in self._resource_json_map:
        _ = self[name]
    change(moves=True)
    for name in changed["Remove"]:
        gone = self._parsed_resources.pop(name, None)
        if gone is not None and old[name].get("DeletionPolicy") != "Retain":
            self._delete_resource(gone, old[name])


def publish_version(self, name_or_arn, description=""):
    """Moto numbers a version by how many are left, so that numbers come again."""
    latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
    versions = self._functions[latest.function_name]["versions"]
    if versions and not latest.code_or_config_updated:
        return versions[-1]
    made = copy.copy(latest)
    made.set_version(max([0] + [int(v.version) for v in versions]) + 1)
    made.description = description or made.description
    latest.code_or_config_updated = False
    versions.append(made)
    self._arns[made.function_arn] = made
    return made


def del_function(delete):
    def del_version_or_function(self, name_or_arn, qualifier=None):
        """Moto forgets the whole function's ARN with a version."""
        if qualifier is None:
            return delete(self, name_or_arn)
        function = self._functions[self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn).function_name]
        function["versions"] = [v for v in function["versions"] if str(v.version) != qualifier]
        return None

    return del_version_or_function


def template_at(self, url):
    """The template that `sam deploy` has put into a bucket: http://127.0.0.1:PORT/BUCKET/KEY."""
    bucket, key = url.split("/", 4)[3:]
    return s3_backends[self.current_account][self.partition].get_object(bucket, key).value.decode()


def resource_class(known):
    def real_or_named(kind):
        if kind in REAL:
            return known(kind)
        return OWN.get(kind, Named)

    return real_or_named


parsing.resource_class_from_type = resource_class(parsing.resource_class_from_type)
LambdaStorage.publish_version = publish_version
LambdaStorage.del_function = del_function(LambdaStorage.del_function)
parsing.ResourceMap.update = update
responses.CloudFormationResponse._get_stack_from_s3_url = template_at
models.ChangeSet._parse_template = parse(models.ChangeSet._parse_template)
models.ChangeSet.apply = apply(models.ChangeSet.apply)
responses.CloudFormationResponse.create_change_set = create_change_set(responses.CloudFormationResponse.create_change_set)
# Moto lists a resource whose condition is false as one that is missing.
models.Stack.stack_resources = property(lambda self: [r for r in self.resource_map.values() if r is not None])
