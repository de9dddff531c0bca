const pollMs = 25;
const lateMs = 150;

/**
 * Reports event loop lag of this process, which runs all registries and proxies: on a loaded machine a registry is slow without an
 * injected fault, and a refusal may say so. Returns a function that stops it.
 */
export function watchEventLoopLag(note: () => void): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - last > pollMs + lateMs) note();
    last = performance.now();
  }, pollMs);
  return () => clearInterval(timer);
}
