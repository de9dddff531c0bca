import { createHash } from 'node:crypto';
import { CloneError } from '../../errors.ts';
import type { RepositoryClient } from './client.ts';
import { RegistryError } from './failure.ts';
import type { Descriptor } from './manifest.ts';

export interface BlobCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  readonly descriptor: Descriptor;
  /** Path of a repository in the target's registry that holds the blob. */
  readonly mountFrom: string | undefined;
  /** Makes a failure of the source's stream one that says so. */
  readonly toSourceError: (error: unknown) => unknown;
  readonly signal: AbortSignal;
  /** Bytes that were moved; negative when an attempt is taken back. */
  readonly onBytes: (bytes: number) => void;
}

const maxAttempts = 4;
const maxResumes = 3;

/** Makes the target hold one blob; resolves with the bytes that had to be moved for it. */
export async function copyBlob(copy: BlobCopy): Promise<number> {
  const { target, descriptor, mountFrom, signal } = copy;
  const { digest, size } = descriptor;
  if (await target.hasBlob(digest, signal)) return 0;
  let mount = mountFrom === undefined ? undefined : { path: mountFrom, digest };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await upload(copy, mount)) === 'mounted' ? 0 : size;
    } catch (error) {
      signal.throwIfAborted();
      if (mount === undefined && (!isTransient(error) || attempt >= maxAttempts)) throw error;
      // Some registries answer a mount with an error instead of a session.
      mount = undefined;
    }
  }
}

async function upload(
  { source, target, descriptor, toSourceError, signal, onBytes }: BlobCopy,
  mount: { readonly path: string; readonly digest: string } | undefined,
): Promise<'mounted' | 'written'> {
  const session = await target.startUpload(mount, signal);
  if (session === 'mounted') return 'mounted';
  let moved = 0;
  const count = (bytes: number): void => {
    moved += bytes;
    onBytes(bytes);
  };
  const open = (offset: number): Promise<AsyncIterable<Uint8Array>> =>
    source.openBlob(descriptor, offset, signal);
  try {
    const body = (): AsyncIterable<Uint8Array> => verified(descriptor, open, toSourceError, count);
    await target.finishUpload(session, descriptor, body, signal);
    return 'written';
  } catch (error) {
    onBytes(-moved);
    await target.cancelUpload(session);
    throw error;
  }
}

/**
 * Streams a blob and checks it on the way: the last chunk is handed on only when size and digest are right, so what is
 * broken never becomes a blob, even in a registry that checks nothing. A connection that breaks is resumed where it was.
 */
async function* verified(
  { digest, size }: Descriptor,
  open: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
  toSourceError: (error: unknown) => unknown,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const algorithm = digest.slice(0, digest.indexOf(':'));
  const hash = createHash(algorithm);
  let length = 0;
  let resumes = 0;
  while (length < size) {
    const before = length;
    try {
      for await (const chunk of await open(length)) {
        length += chunk.length;
        if (length > size) throw corrupt('it is longer than the manifest says');
        hash.update(chunk);
        const isLast = length === size;
        if (isLast && `${algorithm}:${hash.digest('hex')}` !== digest) {
          throw corrupt('it does not have its digest');
        }
        onBytes(chunk.length);
        yield chunk;
      }
      if (length < size) throw cut();
    } catch (error) {
      const isStuck = length === before;
      resumes = isStuck ? resumes + 1 : 0;
      if (!isTransient(error) || resumes >= maxResumes) throw toSourceError(error);
    }
  }
}

/** Whether the same may go better again: by the registry's answer, or because a connection broke. */
function isTransient(error: unknown): boolean {
  if (error instanceof RegistryError) return error.isTransient;
  if (error instanceof CloneError) return isTransient(error.cause);
  return (
    error instanceof Error && 'code' in error && /^(ECONN|EPIPE|UND_ERR_)/.test(String(error.code))
  );
}

function corrupt(message: string): RegistryError {
  return new RegistryError('REFUSED', `reading a layer: ${message}`);
}

function cut(): RegistryError {
  return new RegistryError('UNAVAILABLE', 'reading a layer: the connection was cut', {
    isTransient: true,
  });
}
