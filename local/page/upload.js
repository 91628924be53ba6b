// Pictures from this machine: picked, pasted, or dropped on the form, then uploaded.

import { byId, call, el, explain, Refusal } from "./api.js";
import { quote } from "./order.js";
import { prepare } from "./shrink.js";

/** What is wrong with an uploaded picture, for people; nothing if it can be edited. */
async function fault(entry) {
  const { body } = await quote({ prompt: "a prompt that comes later", imageUrls: [entry] });
  return body.problems.flatMap((p) => p.errors || []).find((f) => f.pointer.startsWith("/imageUrls"))?.message;
}

/** Uploads a file. It resolves to a picture to start from, with a note if it was changed, or throws a Refusal. */
async function upload(original) {
  const { file, thumb, note } = await prepare(original, nameOf(original));
  const { body } = await call("/v1/uploads", { method: "POST", body: { contentType: file.type, bytes: file.size } });
  let answer;
  try {
    answer = await fetch(body.uploadUrl, { method: "PUT", headers: body.headers, body: file });
  } catch {
    throw new Refusal(0, { title: "The connection broke during the upload.", hint: "Try again." }, 0);
  }
  if (!answer.ok) throw new Refusal(answer.status, { title: "The upload failed.", hint: "If the file has changed in the meantime, choose it again." }, 0);
  const wrong = await fault(`upload:${body.id}`);
  if (wrong) throw new Refusal(422, { title: wrong }, 0);
  return { input: { entry: `upload:${body.id}`, thumb, label: nameOf(original) }, note };
}

/** A file's name for people: browsers call what is pasted image.png. */
const nameOf = (file) => (file.name === "image.png" ? "Pasted picture" : file.name);

/** Uploads what is picked, pasted or dropped. add gets each picture, busy the number of running uploads. */
export function startUploads({ add, busy }) {
  const picker = byId("file");
  const place = byId("start-from");
  let running = 0;

  const take = async (files) => {
    const fault = byId("upload-fault"), notes = byId("upload-notes");
    fault.replaceChildren();
    notes.replaceChildren();
    running += files.length;
    busy(running);
    await Promise.all([...files].map(async (file) => {
      try {
        const { input, note } = await upload(file);
        add(input);
        if (note) notes.append(el("span", { className: "line" }, note));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        if (error.status === 422) error.hint = ""; // a fault of the file: its sentence names the next step
        const line = el("span", { className: "line" });
        explain(line, error, { message: `${nameOf(file)}: ${error.message}` });
        fault.append(line);
      } finally {
        running -= 1;
        busy(running);
      }
    }));
  };

  byId("pick").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => { take([...picker.files]); picker.value = ""; });

  addEventListener("paste", (event) => {
    const { files } = event.clipboardData;
    const intoText = event.target instanceof Element && event.target.matches("textarea, input") && event.clipboardData.getData("text/plain");
    if (!files.length || intoText || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    take([...files]);
  });

  const dragsFiles = (event) => event.dataTransfer?.types.includes("Files");
  // Outside the form too: the browser would open a file that is dropped there.
  addEventListener("dragover", (event) => { if (dragsFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!dragsFiles(event)) return;
    event.preventDefault();
    place.classList.remove("over");
    if (byId("composer").contains(event.target)) take([...event.dataTransfer.files]);
  });
  byId("composer").addEventListener("dragenter", (event) => { if (dragsFiles(event)) place.classList.add("over"); });
  byId("composer").addEventListener("dragleave", (event) => {
    if (!byId("composer").contains(event.relatedTarget)) place.classList.remove("over");
  });
}
