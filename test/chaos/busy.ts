const pollMs = 25;
const lateMs = 150;

/**
 * Notes when this very process, which is all registries and taps in one, did not get to work for a while: on a busy machine a
 * registry is slow though nobody made it so, and who says that is right. The function that is returned ends it.
 */
export function noteBusyMoments(note: () => void): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - last > pollMs + lateMs) note();
    last = performance.now();
  }, pollMs);
  return () => clearInterval(timer);
}
