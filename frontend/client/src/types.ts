// The contract's types under their usual names. openapi.ts is made from openapi.yaml.
import type { components } from "./openapi.js";

type Schemas = components["schemas"];

/** An order and what became of it. The kinds differ by `status`: a succeeded task has
 *  pictures, a failed one has `error`, a running one has `progress`. */
export type Task = Schemas["Task"];
export type RunningTask = Schemas["RunningTask"];
export type SucceededTask = Schemas["SucceededTask"];
export type FailedTask = Schemas["FailedTask"];
export type TaskStatus = Schemas["TaskStatus"];
export type TaskError = Schemas["TaskError"];
export type Image = Schemas["Image"];
export type Input = Schemas["Input"];
export type Target = Schemas["Target"];
export type NewTask = Schemas["NewTask"];
export type Quote = Schemas["Quote"];
export type Problem = Schemas["Problem"];
export type Credits = Schemas["Credits"];
export type Model = Schemas["Model"];
export type Upload = Schemas["Upload"];
export type TaskPage = Schemas["TaskList"];

/** What your backend is sent about tasks; verify it with the `standardwebhooks` package. */
export type TaskNotice = Schemas["SucceededNotice"] | Schemas["FailedNotice"] | Schemas["MovedNotice"] | Schemas["DeletedNotice"];
/** What your backend is sent about the shared credits. */
export type CreditsNotice = Schemas["CreditsNotice"];
/** The operator asks whether notices arrive: verify the signature, answer 2xx, do nothing else. */
export type TestNotice = Schemas["TestNotice"];
/** Every notice, told apart by `type`. */
export type Notice = TaskNotice | CreditsNotice | TestNotice;
