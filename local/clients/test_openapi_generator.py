"""The Python client that openapi-generator makes."""

import unittest
import uuid

import preset_images as p
from local import API, TOKEN, download, gateway, notices, put, refusing, sha256
from preset_images.exceptions import ApiException, NotFoundException, ServiceException, UnauthorizedException, UnprocessableEntityException

BOARD = p.Target(kind="moodboard", id="openapi-generator")


def client(host=API, token=TOKEN):
    return p.ApiClient(p.Configuration(host=host, access_token=token))


def header(answer, name):
    """Its headers are a plain dict, by the names that came; HTTP/2 has them in lower case."""
    return next(value for key, value in answer.headers.items() if key.lower() == name.lower())


def kind(value):
    return getattr(value, "actual_instance", value)


class OpenAPIGenerator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tasks, cls.images, cls.account = p.TasksApi(client()), p.ImagesApi(client()), p.AccountApi(client())
        cls.key, cls.order = str(uuid.uuid4()), p.NewTask(prompt="A red bicycle", num_images=2, target=BOARD, metadata={"shot": "cover"})
        cls.begun = cls.tasks.create_task(cls.order, idempotency_key=cls.key).actual_instance
        cls.done = cls.finished(cls.begun.id)

    @classmethod
    def finished(cls, id):
        for _ in range(6):
            task = cls.tasks.get_task(id, wait=20, _request_timeout=40).actual_instance
            if task.done:
                return task
        raise AssertionError(f"still {task.status}")

    def test_a_picture_is_ordered_and_kept(self):
        self.assertIsInstance(self.begun, p.RunningTask)
        self.assertEqual((self.begun.done, self.begun.images, self.begun.credits.estimate, self.begun.credits.outcome), (False, [], 8, "held"))
        self.assertGreater(self.begun.progress.expected_seconds, 0)
        self.assertIsInstance(self.done, p.SucceededTask)
        self.assertEqual((self.done.credits.outcome, self.done.metadata, self.done.target), ("spent", {"shot": "cover"}, BOARD))
        self.assertEqual([i.n for i in self.done.images], [1, 2])
        for image in self.done.images:
            self.assertEqual(sha256(download(image.url)), image.sha256)
            self.assertTrue(image.provenance.digital_source_type.endswith("/trainedAlgorithmicMedia"))
            self.assertTrue(download(image.thumbnail_url))

    def test_a_repetition_is_the_same_task(self):
        answer = self.tasks.create_task_with_http_info(self.order, idempotency_key=self.key)
        self.assertEqual((answer.status_code, header(answer, "Idempotency-Replayed"), answer.data.actual_instance.id), (202, "true", self.done.id))

    def test_lists(self):
        for query in {}, {"target": "moodboard:openapi-generator"}, {"since": self.done.created_at}, {"ids": [self.done.id, "0" * 26]}:
            page = self.tasks.list_tasks(**query)
            self.assertEqual([t.actual_instance.images for t in page.tasks if t.actual_instance.id == self.done.id], [self.done.images])

    def test_nothing_new_is_an_exception(self):
        etag = header(self.tasks.get_task_with_http_info(self.done.id), "ETag")
        with self.assertRaises(ApiException) as caught:
            self.tasks.get_task(self.done.id, if_none_match=etag)
        self.assertEqual(caught.exception.status, 304)

    def test_an_upload_is_edited(self):
        photo = download(self.done.images[0].url)
        upload = self.images.create_upload(p.NewUpload(content_type="image/png", bytes=len(photo)))
        put(upload.upload_url, photo, upload.headers)
        edit = self.finished(self.tasks.create_task(p.NewTask(prompt="The same, in snow", image_urls=[f"upload:{upload.id}"])).actual_instance.id)
        self.assertIsInstance(edit, p.SucceededTask)
        self.assertEqual([i.n for i in edit.inputs], [1])
        self.assertTrue(download(edit.inputs[0].url))

    def test_a_task_that_fails_says_why(self):
        with refusing("policy"):
            task = self.finished(self.tasks.create_task(p.NewTask(prompt="What nobody may see")).actual_instance.id)
        self.assertIsInstance(task, p.FailedTask)
        self.assertEqual((task.error.code, task.error.retryable, task.credits.outcome), (p.TaskErrorCode.CONTENT_POLICY, False, "spent"))

    def test_refusals_are_problems(self):
        with self.assertRaises(UnprocessableEntityException) as caught:
            self.tasks.create_task(p.NewTask(prompt="x", resolution="4K"))
        problem = caught.exception.data
        self.assertIsInstance(problem, p.Problem)
        self.assertEqual((problem.status, problem.code), (422, p.ProblemCode.INVALID_REQUEST))
        self.assertEqual([(f.pointer, f.code) for f in problem.errors], [("/resolution", "not_available")])
        with self.assertRaises(NotFoundException) as caught:
            self.tasks.get_task("0" * 26)
        self.assertEqual(caught.exception.data.code, p.ProblemCode.NOT_FOUND)
        with self.assertRaises(UnauthorizedException) as caught:
            p.AccountApi(client(token="x")).get_credits()
        self.assertEqual(caught.exception.data.code, p.ProblemCode.UNAUTHORIZED)

    def test_what_the_gateway_itself_says_has_no_type(self):
        with gateway(503) as host, self.assertRaises(ServiceException) as caught:
            p.AccountApi(client(host)).get_credits()
        self.assertEqual((caught.exception.status, caught.exception.data, caught.exception.body), (503, None, '{"message":"Service Unavailable"}'))

    def test_a_task_is_moved_and_deleted(self):
        id = self.tasks.create_task(p.NewTask(prompt="A blue bicycle")).actual_instance.id
        moved = self.tasks.set_target(id, p.Target(kind="showcase", id="7")).actual_instance
        self.assertEqual(moved.target.kind, "showcase")
        self.finished(id)
        self.tasks.delete_task(id)
        with self.assertRaises(NotFoundException):
            self.tasks.get_task(id)

    def test_a_quote_has_all_problems(self):
        self.assertEqual((self.tasks.create_quote(self.order).estimate, self.tasks.create_quote(self.order).problems), (8, []))
        quote = self.tasks.create_quote(p.NewTask(prompt="x", resolution="4K"))
        self.assertEqual([(q.code, q.errors[0].pointer) for q in quote.problems], [(p.ProblemCode.INVALID_REQUEST, "/resolution")])

    def test_what_can_be_ordered(self):
        models = self.account.list_models()
        self.assertEqual((models[0].id, models[0].credits), (p.ModelId.NANO_MINUS_BANANA, {"default": 4}))
        credits = self.account.get_credits()
        self.assertTrue(credits.can_generate)
        self.assertEqual(credits.prices["nano-banana-2/4K"], 18)

    def test_notices(self):
        seen = []
        for schema, example in notices():
            notice = kind(getattr(p, schema).from_dict(example))
            self.assertEqual(notice.type, example["type"])
            data = kind(notice.data)
            fields = data if isinstance(data, dict) else data.to_dict()  # a test notice's data has no model: it is empty
            self.assertEqual(set(fields), set(example["data"]), "fields of the data")
            seen.append(notice.type)
        self.assertLessEqual({"task.succeeded", "task.failed", "task.moved", "task.deleted"}, set(seen))


if __name__ == "__main__":
    unittest.main()
