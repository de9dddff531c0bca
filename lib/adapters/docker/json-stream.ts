import * as v from 'valibot';

/** One line of the daemon's answer to a pull or push. */
export type DaemonLine = v.InferOutput<typeof lineSchema>;

/** What dockerd, and podman's imitation of it, say line by line (moby `api/types/jsonstream`). */
const lineSchema = v.object({
  status: v.optional(v.string(), ''),
  id: v.optional(v.string(), ''),
  progressDetail: v.nullish(
    v.object({ current: v.optional(v.number(), 0), total: v.optional(v.number(), 0) }),
  ),
  error: v.optional(v.string()),
  errorDetail: v.nullish(v.object({ message: v.optional(v.string(), '') })),
  aux: v.nullish(v.object({ Digest: v.optional(v.string()) })),
});

/** A failure that the daemon reported in the middle of a 200: the text is all there is. */
class StreamError extends Error {
  override readonly name = 'StreamError';
}

const maxLineLength = 1024 * 1024;

/**
 * Reads the daemon's stream to its end and hands over each line; rejects with `StreamError` at the first line that reports one.
 * docker-modem's `followProgress` calls such a stream a success, and so does it one that was cut.
 */
export async function readLines(
  stream: AsyncIterable<string | Uint8Array>,
  onLine: (line: DaemonLine) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) report(line, onLine);
    if (rest.length > maxLineLength) throw new StreamError('a line of the answer has no end');
  }
  report(rest, onLine);
}

function report(text: string, onLine: (line: DaemonLine) => void): void {
  if (text.trim() === '') return;
  const line = parseLine(text);
  // `error` at the top is deprecated since API 1.48, `errorDetail` is not.
  const message = line.errorDetail?.message ?? line.error;
  if (message !== undefined) throw new StreamError(message);
  onLine(line);
}

function parseLine(text: string): DaemonLine {
  try {
    return v.parse(lineSchema, JSON.parse(text));
  } catch (error) {
    throw new StreamError('the answer has a line that cannot be read', { cause: error });
  }
}
