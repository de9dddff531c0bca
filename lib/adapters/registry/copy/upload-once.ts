import { untilAborted } from '../../../util/abort.ts';
import { createSingleFlight } from '../../../util/single-flight.ts';

/**
 * Runs one upload per key at a time; resolves with the bytes that this call moved. `signal` ends only the wait for an upload
 * that another caller runs.
 */
export type UploadOnce = (
  key: string,
  signal: AbortSignal,
  upload: () => Promise<number>,
) => Promise<number>;

/** Concurrent copies of images that share a layer upload it once. */
export function createUploadOnce(): UploadOnce {
  const uploads = createSingleFlight<number>();

  return async function uploadOnce(key, signal, upload) {
    for (;;) {
      const running = uploads.pending(key);
      if (running === undefined) return await uploads.run(key, upload);
      const isDone = running.then(
        () => true,
        () => false,
      );
      // Only the call that moves the bytes counts them. If that upload fails, the next caller starts one.
      if (await untilAborted(isDone, signal)) return 0;
    }
  };
}
