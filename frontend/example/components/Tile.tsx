import type { Image, SucceededTask } from "@preset/images";

interface Props {
  task: SucceededTask;
  image: Image;
  isHidden: boolean;
  onOpen(): void;
  onEdit(): void;
  onHide(hide: boolean): void;
}

/** One picture of a card. */
export function Tile({ task, image, isHidden, onOpen, onEdit, onHide }: Props) {
  const name = `picture ${image.n} of ${task.images.length}: ${task.prompt}`;
  return (
    <div className={isHidden ? "tile is-hidden" : "tile"}>
      <button className="open" onClick={onOpen} aria-label={`Open ${name}`}>
        <img src={image.thumbnailUrl ?? image.url} alt="" loading="lazy" />
      </button>
      <div className="over">
        <button onClick={onEdit} aria-label={`Edit ${name}`}>Edit</button>
        <button onClick={() => onHide(!isHidden)} aria-label={`${isHidden ? "Show" : "Hide"} ${name}`}>{isHidden ? "Show" : "Hide"}</button>
      </div>
    </div>
  );
}
