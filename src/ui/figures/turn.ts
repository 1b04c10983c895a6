/** One new picture a frame: a view of many opens without a frame that takes as long as all of them. */
let taken = false;
let waiting: (() => void)[] = [];

/** Calls `go` at once when nobody has drawn in this frame, else in a later one, in order. Returns how to give the turn up. */
export function turn(go: () => void): () => void {
  if (taken) waiting.push(go);
  else {
    taken = true;
    requestAnimationFrame(next);
    go();
  }
  return () => {
    waiting = waiting.filter((w) => w !== go);
  };
}

function next(): void {
  const go = waiting.shift();
  taken = go !== undefined;
  if (!go) return;
  requestAnimationFrame(next);
  go();
}
