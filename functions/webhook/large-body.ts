/** An API server's reviews are smaller, but for a few objects. */
const ordinaryBytes = 64 * 1024;
/** In flight at once: what a review keeps while registries are silent may be eight times its body. */
const maxBytesAtOnce = 16 * 1024 * 1024;
/** A body that does not say how long it is counts as that. */
const unknownBytes = 4 * 1024 * 1024;
/** Only a large body can have too many. */
const fewPartsBytes = 256 * 1024;
/** 8 MiB of empty lists keep the parser busy for seconds, and become hundreds of megabytes. */
const maxParts = 500_000;
const openBrace = 0x7b;
const openBracket = 0x5b;

/**
 * Runs `work` at once for a body of an ordinary size; of larger ones, or of those that do not say how long they are, as many as have
 * 16 MiB together. The others wait unread, in the order of their arrival, so that whoever sends many of them together cannot fill our
 * memory.
 */
export function createBodyQueue(): <Result>(
  bytes: number | undefined,
  work: () => Promise<Result>,
) => Promise<Result> {
  const waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  let held = 0;

  function admit(): void {
    for (;;) {
      const [next] = waiting;
      if (next === undefined || held + next.bytes > maxBytesAtOnce) return;
      waiting.shift();
      held += next.bytes;
      next.begin();
    }
  }

  return async (bytes = unknownBytes, work) => {
    if (bytes <= ordinaryBytes) return await work();
    const turn = Promise.withResolvers<undefined>();
    waiting.push({ bytes, begin: () => turn.resolve(undefined) });
    admit();
    await turn.promise;
    try {
      return await work();
    } finally {
      held -= bytes;
      admit();
    }
  };
}

/** Whether the JSON has more objects and lists than an object that can be stored. */
export function hasTooManyParts(text: string): boolean {
  if (text.length <= fewPartsBytes) return false;
  let parts = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === openBrace || code === openBracket) parts += 1;
  }
  return parts > maxParts;
}
