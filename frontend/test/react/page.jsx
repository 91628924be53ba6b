// A page that shows what each hook returns, for react.test.js, which says what is on it.
import * as React from "react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ImagesClient, price, share } from "@preset/images";
import { ImagesProvider, useBoard, useCredits, useImage, useImages, useModels } from "@preset/images/react";

/** Each board's newest view, by its name, for the test to use. */
window.boards = {};
/** What was drawn: [name, what it was asked for, what it showed]. */
window.drawn = [];
window.version = React.version;

function Picture({ name, id }) {
  const { task, error, loading } = useImage(id);
  window.drawn.push([name, id, task?.id]);
  return (
    <figure data-name={name} data-status={task?.status} data-loading={loading} data-error={error?.code} data-target={task?.target?.id} data-share={task && share(task)}>
      <figcaption>{error ? error.message : loading ? "" : task?.statusText ?? "nothing"}</figcaption>
      {task?.images.map((image) => <img key={image.n} src={image.thumbnailUrl ?? image.url} alt={task.prompt} />)}
    </figure>
  );
}

function Board({ name, target }) {
  const board = useBoard(target);
  window.boards[name] = board;
  window.drawn.push([name, target?.id, board.tasks.map((task) => task.target?.id)]);
  return (
    <section data-name={name} data-loading={board.loading} data-error={board.error?.code} data-more={board.hasMore}>
      <p>{board.error?.message}</p>
      <ol>{board.tasks.map((task) => <li key={task.id} data-id={task.id} data-status={task.status}>{task.prompt}</li>)}</ol>
    </section>
  );
}

function Account({ name }) {
  const { credits, error, refresh } = useCredits();
  const { models } = useModels();
  window.refreshCredits = refresh;
  return <p data-name={name} data-used={credits?.quota.used} data-balance={credits?.balance} data-error={error?.code} data-price={models && price({ prompt: "x" }, models)} />;
}

function Client() {
  window.client = useImages();
  return null;
}

const kinds = { picture: Picture, board: Board, account: Account };
const root = createRoot(document.getElementById("root"), { onUncaughtError: (error) => { document.title = error.message; } });

/** Shows these parts, each {kind, name, ...what it is given}, with a client of its own. */
window.start = (options) => {
  const client = new ImagesClient(options);
  window.show = (parts) => root.render(
    <StrictMode>
      <ImagesProvider client={client}>
        <Client />
        {parts.map(({ kind, ...props }) => React.createElement(kinds[kind], { key: props.name, ...props }))}
      </ImagesProvider>
    </StrictMode>,
  );
};
/** Shows a hook without a provider. */
window.showAlone = () => root.render(<Board name="alone" />);
