import { createLimit } from '../../lib/cloner/limit.ts';

/** An API server's reviews are far smaller, but for a few objects. */
const largeBytes = 256 * 1024;
/** 8 MiB of empty lists keep the parser busy for seconds, and become hundreds of megabytes. */
const maxParts = 500_000;
const openBrace = 0x7b;
const openBracket = 0x5b;

/**
 * Runs `work` at once for a body of an ordinary size; of large ones, or of those that do not say how long they are, four at a time.
 * The others wait unread, so that whoever sends many of them together cannot fill our memory.
 */
export function createBodyQueue(): <Result>(
  bytes: number | undefined,
  work: () => Promise<Result>,
) => Promise<Result> {
  const large = createLimit(4);
  return (bytes, work) => (bytes !== undefined && bytes <= largeBytes ? work() : large.run(work));
}

/** Whether the JSON has more objects and lists than an object that can be stored. Only a large body can. */
export function hasTooManyParts(text: string): boolean {
  if (text.length <= largeBytes) return false;
  let parts = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === openBrace || code === openBracket) parts += 1;
  }
  return parts > maxParts;
}
