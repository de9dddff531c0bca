import { untilAborted } from '../../../util/abort.ts';

/**
 * Makes one upload of all that run under the same key at the same time; resolves with the bytes that this one moved.
 * `signal` ends the waiting for somebody else's upload; one's own it ends by itself.
 */
export type UploadOnce = (
  key: string,
  signal: AbortSignal,
  upload: () => Promise<number>,
) => Promise<number>;

/** Eight uploads of one blob into one repository all succeed, and seven are a waste. */
export function createUploadOnce(): UploadOnce {
  const uploads = new Map<string, Promise<number>>();

  return uploadOnce;

  async function uploadOnce(
    key: string,
    signal: AbortSignal,
    upload: () => Promise<number>,
  ): Promise<number> {
    const running = uploads.get(key);
    if (running === undefined) {
      const started = upload().finally(() => uploads.delete(key));
      uploads.set(key, started);
      return await started;
    }
    // What it moves is counted by the one who moves it; if it fails, the next has its own try.
    const isDone = running.then(
      () => true,
      () => false,
    );
    return (await untilAborted(isDone, signal)) ? 0 : await uploadOnce(key, signal, upload);
  }
}
