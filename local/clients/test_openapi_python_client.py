"""The Python client that openapi-python-client makes."""

import unittest
import uuid

import httpx
from local import API, CONTRACT, TOKEN, download, gateway, name, notices, put, refusing, sha256
from preset_images import AuthenticatedClient, models as m
from preset_images.api.account import get_credits, list_models
from preset_images.api.images import create_upload
from preset_images.api.tasks import create_quote, create_task, delete_task, get_task, list_tasks, set_target

BOARD = m.Target(kind="moodboard", id="openapi-python-client")


def client(host=API, token=TOKEN):
    # Longer than the longest wait; by default it never gives up.
    return AuthenticatedClient(base_url=host, token=token, timeout=httpx.Timeout(40))


class OpenAPIPythonClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = client()
        metadata = m.Metadata.from_dict({"shot": "cover"})
        cls.key, cls.order = str(uuid.uuid4()), m.NewTask(prompt="A red bicycle", num_images=2, target=BOARD, metadata=metadata)
        cls.begun = create_task.sync(client=cls.client, body=cls.order, idempotency_key=cls.key)
        cls.done = cls.finished(cls.begun.id)

    @classmethod
    def finished(cls, id):
        for _ in range(6):
            task = get_task.sync(id, client=cls.client, wait=20)
            if task.done:
                return task
        raise AssertionError(f"still {task.status}")

    def test_a_picture_is_ordered_and_kept(self):
        self.assertIsInstance(self.begun, m.RunningTask)
        self.assertEqual((self.begun.done, self.begun.images, self.begun.credits_.estimate), (False, [], 8))
        self.assertEqual(self.begun.credits_.outcome, m.HeldCreditsOutcome.HELD)
        self.assertGreater(self.begun.progress.expected_seconds, 0)
        self.assertIsInstance(self.done, m.SucceededTask)
        self.assertEqual((self.done.status, self.done.metadata["shot"], self.done.target), ("succeeded", "cover", BOARD))
        self.assertEqual([i.n for i in self.done.images], [1, 2])
        for image in self.done.images:
            self.assertEqual(sha256(download(image.url)), image.sha256)
            self.assertTrue(image.provenance.digital_source_type.endswith("/trainedAlgorithmicMedia"))
            self.assertTrue(download(image.thumbnail_url))

    def test_a_repetition_is_the_same_task(self):
        answer = create_task.sync_detailed(client=self.client, body=self.order, idempotency_key=self.key)
        self.assertEqual((answer.status_code, answer.headers["Idempotency-Replayed"], answer.parsed.id), (202, "true", self.done.id))

    def test_lists(self):
        ids = [",".join([self.done.id, "0" * 26])]  # it would send each element as a parameter of its own
        for query in {}, {"target": "moodboard:openapi-python-client"}, {"since": self.done.created_at}, {"ids": ids}:
            page = list_tasks.sync(client=self.client, **query)
            self.assertEqual([t.images for t in page.tasks if t.id == self.done.id], [self.done.images])

    def test_nothing_new_is_nothing(self):
        etag = get_task.sync_detailed(self.done.id, client=self.client).headers["ETag"]
        answer = get_task.sync_detailed(self.done.id, client=self.client, if_none_match=etag)
        self.assertEqual((answer.status_code, answer.parsed), (304, None))

    def test_an_upload_is_edited(self):
        photo = download(self.done.images[0].url)
        upload = create_upload.sync(client=self.client, body=m.NewUpload(content_type=m.NewUploadContentType.IMAGEPNG, bytes_=len(photo)))
        put(upload.upload_url, photo, upload.headers.to_dict())
        begun = create_task.sync(client=self.client, body=m.NewTask(prompt="The same, in snow", image_urls=[f"upload:{upload.id}"]))
        edit = self.finished(begun.id)
        self.assertIsInstance(edit, m.SucceededTask)
        self.assertEqual([i.n for i in edit.inputs], [1])
        self.assertTrue(download(edit.inputs[0].url))

    def test_a_task_that_fails_says_why(self):
        with refusing("policy"):
            task = self.finished(create_task.sync(client=self.client, body=m.NewTask(prompt="What nobody may see")).id)
        self.assertIsInstance(task, m.Failed)
        self.assertEqual((task.error.code, task.error.retryable), (m.TaskErrorCode.CONTENT_POLICY, False))
        self.assertEqual(task.credits_.outcome, m.EndedCreditsOutcome.SPENT)

    def test_refusals_are_problems(self):
        problem = create_task.sync(client=self.client, body=m.NewTask(prompt="x", resolution=m.Resolution("4K")))
        self.assertIsInstance(problem, m.Problem)
        self.assertEqual((problem.status, problem.code), (422, m.ProblemCode.INVALID_REQUEST))
        self.assertEqual([(f.pointer, f.code) for f in problem.errors], [("/resolution", "not_available")])
        self.assertEqual(get_task.sync("0" * 26, client=self.client).code, m.ProblemCode.NOT_FOUND)
        self.assertEqual(get_credits.sync(client=client(token="x")).code, m.ProblemCode.UNAUTHORIZED)

    def test_what_the_gateway_itself_says_is_not_read(self):
        with gateway(503) as host, self.assertRaises(KeyError):
            get_credits.sync(client=client(host))

    def test_a_task_is_moved_and_deleted(self):
        id = create_task.sync(client=self.client, body=m.NewTask(prompt="A blue bicycle")).id
        moved = set_target.sync(id, client=self.client, body=m.Target(kind="showcase", id="7"))
        self.assertEqual(moved.target.kind, "showcase")
        self.finished(id)
        self.assertEqual(delete_task.sync_detailed(id, client=self.client).status_code, 204)
        self.assertEqual(get_task.sync(id, client=self.client).code, m.ProblemCode.NOT_FOUND)

    def test_a_quote_has_all_problems(self):
        fine = create_quote.sync(client=self.client, body=self.order)
        self.assertEqual((fine.estimate, fine.problems), (8, []))
        quote = create_quote.sync(client=self.client, body=m.NewTask(prompt="x", resolution=m.Resolution("4K")))
        self.assertEqual([(q.code, q.errors[0].pointer) for q in quote.problems], [(m.ProblemCode.INVALID_REQUEST, "/resolution")])

    def test_what_can_be_ordered(self):
        models = list_models.sync(client=self.client)
        self.assertEqual((models[0].id, models[0].credits_.to_dict()), (m.ModelId.NANO_BANANA, {"default": 4}))
        credits = get_credits.sync(client=self.client)
        self.assertTrue(credits.can_generate)
        self.assertEqual(credits.prices["nano-banana-2/4K"], 18)

    def test_notices(self):
        """It has a type for each kind of notice, but none for all kinds."""
        seen = []
        for schema, example in notices():
            kinds = [name(kind) for kind in CONTRACT["components"]["schemas"][schema].get("oneOf", [{"$ref": "/" + schema}])]
            read = []
            for kind in kinds:
                try:
                    read.append(getattr(m, kind).from_dict(example))
                except (KeyError, ValueError, TypeError):
                    pass
            self.assertIn(example["type"], [notice.type_ for notice in read])
            seen.append(example["type"])
        self.assertLessEqual({"task.succeeded", "task.failed", "task.moved", "task.deleted"}, set(seen))


if __name__ == "__main__":
    unittest.main()
