// Cards of different heights without gaps between them: the list is a grid whose rows are one pixel
// high, and each card spans as many as it needs. So the next card goes where the shortest column ends.

/** Keeps the list's cards packed, also when they are added, grow or shrink. */
export function startMasonry(list) {
  const sizes = new ResizeObserver((entries) => {
    const gap = parseFloat(getComputedStyle(list).columnGap);
    for (const { target, borderBoxSize: [size] } of entries) target.style.gridRowEnd = `span ${Math.ceil(size.blockSize + gap)}`;
  });
  new MutationObserver((changes) => {
    for (const { addedNodes, removedNodes } of changes) {
      for (const card of removedNodes) if (!card.isConnected) sizes.unobserve(card);
      for (const card of addedNodes) if (card.isConnected) sizes.observe(card);
    }
  }).observe(list, { childList: true });
}
