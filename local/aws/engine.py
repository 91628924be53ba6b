"""DynamoDB, S3 and Secrets Manager on loopback: moto's server, for tests.

    python engine.py     listens on a free port, prints "listening on PORT", runs until killed

Moto differs from AWS in four points that the tests depend on, which are corrected
here: requests run one at a time, since moto is not safe for more; a transaction whose
conditions fail changes nothing (moto restores an old copy of the table, which breaks
its stream); S3 answers with the Content-Disposition and the Content-Type that a presigned link
asks for; and a secret is read from the version that UpdateSecretVersionStage made the
current one (moto goes on to return the one before).
"""

import threading
from urllib.parse import parse_qs

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import SecretsManagerBackend
from werkzeug.serving import WSGIRequestHandler, make_server

one_at_a_time = threading.Lock()


def conditions_first(write):
    """Checks all conditions of a transaction before it changes anything."""

    def transact_write_items(self, transact_items):
        reasons = [check_condition(self, *next(iter(t.items()))) for t in transact_items]
        if any(code for code, _, _ in reasons):
            raise TransactionCanceledException(reasons)
        return write(self, transact_items)

    return transact_write_items


def check_condition(backend, kind, op):
    condition = op.get("ConditionExpression")
    if condition is None:
        return None, None, None
    table = backend.get_table(op["TableName"])
    names = [n for n in (table.hash_key_attr, table.range_key_attr) if n]
    key = op["Key"] if kind != "Put" else {n: op["Item"][n] for n in names}
    row = backend.get_item(op["TableName"], key)
    holds = get_filter_expression(
        condition, op.get("ExpressionAttributeNames"), op.get("ExpressionAttributeValues")
    ).expr(row)
    if holds:
        return None, None, None
    shown = op.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and row
    return "ConditionalCheckFailed", "The conditional request failed", row.to_json()["Attributes"] if shown else None


def current_moves(update):
    """Makes the version that AWSCURRENT moves to the one that is read by default."""

    def update_secret_version_stage(self, secret_id, version_stage, remove_from_version_id, move_to_version_id):
        done = update(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
        if version_stage == "AWSCURRENT" and move_to_version_id:
            self.secrets[secret_id].set_default_version_id(move_to_version_id)
        return done

    return update_secret_version_stage


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def main():
    DynamoDBBackend.transact_write_items = conditions_first(DynamoDBBackend.transact_write_items)
    SecretsManagerBackend.update_secret_version_stage = current_moves(SecretsManagerBackend.update_secret_version_stage)
    moto = DomainDispatcherApplication(create_backend_app)

    def serial(environ, start_response):
        query = parse_qs(environ["QUERY_STRING"])
        asked = {}
        for name in "Content-Disposition", "Content-Type":
            for value in query.get("response-" + name.lower(), []):
                asked[name] = value.encode("utf-8").decode("latin-1")

        def start(status, given, *rest):
            kept = [(name, value) for name, value in given if name.title() not in asked]
            return start_response(status, kept + list(asked.items()), *rest)

        with one_at_a_time:
            if "/cloudformation/" in environ.get("HTTP_AUTHORIZATION", ""):
                import stacks  # noqa: F401, PLC0415: takes seconds, and few need it
            return moto(environ, start)

    server = make_server("127.0.0.1", 0, serial, threaded=True, request_handler=Quiet)
    print("listening on", server.port, flush=True)
    server.serve_forever()


main()
