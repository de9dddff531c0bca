import type Docker from 'dockerode';
import * as v from 'valibot';
import { isDigest } from '../../image/digest.ts';
import type { ImageCloner } from '../../ports/index.ts';
import { toCloneError } from './daemon-error.ts';
import { dial } from './dial.ts';
import { toAuthConfig, toName } from './names.ts';

/** Response to `GET /distribution/{name}/json`. */
const distributionSchema = v.object({
  Descriptor: v.object({
    mediaType: v.optional(v.string(), ''),
    digest: v.pipe(v.string(), v.check(isDigest, 'is not a digest')),
  }),
});

const indexTypes = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/** Resolves an image at its registry through the daemon. */
export function createResolve(docker: Pick<Docker, 'modem'>): ImageCloner['resolve'] {
  return async (image, { side, credentials }, signal) => {
    signal.throwIfAborted();
    const name = toName(image);
    try {
      const response = await dial(docker, {
        path: `/distribution/${name}/json`,
        method: 'GET',
        statusCodes: { 200: true },
        // Without the header dockerd uses its own stored credentials.
        authconfig: toAuthConfig(image, credentials),
        abortSignal: signal,
      });
      const { Descriptor } = v.parse(distributionSchema, response);
      return { digest: Descriptor.digest, isIndex: indexTypes.has(Descriptor.mediaType) };
    } catch (error) {
      signal.throwIfAborted();
      const cloneError = toCloneError(error, { side, image });
      if (cloneError.reason === 'NOT_FOUND') return undefined;
      throw cloneError;
    }
  };
}
