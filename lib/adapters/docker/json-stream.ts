import * as v from 'valibot';

/** One line of the daemon's response to a pull or push. */
export type DaemonLine = v.InferOutput<typeof lineSchema>;

/** The lines that dockerd and podman send (moby `api/types/jsonstream`). */
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

/** A failure that the daemon reports inside a 200 response; only its text is known. */
class StreamError extends Error {
  override readonly name = 'StreamError';
}

const maxLineLength = 1024 * 1024;

/**
 * Reads the daemon's stream to its end; rejects with `StreamError` at the first line that reports an error.
 * docker-modem's `followProgress` resolves for such a stream, and for a truncated one.
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
    for (const line of lines) emitLine(line, onLine);
    if (rest.length > maxLineLength)
      throw new StreamError('the response has a line of more than 1 MiB');
  }
  emitLine(rest, onLine);
}

function emitLine(text: string, onLine: (line: DaemonLine) => void): void {
  if (text.trim() === '') return;
  const line = parseLine(text);
  // API 1.48 deprecates `error` in favour of `errorDetail`.
  const message = line.errorDetail?.message ?? line.error;
  if (message !== undefined) throw new StreamError(message);
  onLine(line);
}

function parseLine(text: string): DaemonLine {
  try {
    return v.parse(lineSchema, JSON.parse(text));
  } catch (error) {
    throw new StreamError('the response has an invalid line', { cause: error });
  }
}
