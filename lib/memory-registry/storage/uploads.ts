import { createHash, randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { type Bytes, toDigest } from '../images/index.ts';

/** An open upload session, between its POST and its final PUT. */
export interface UploadSession {
  readonly uuid: string;
  readonly repository: string;
  /** Bytes received so far. */
  readonly size: number;
  /** The `_state` query for the current offset; an older one is rejected. */
  readonly state: string;
  readonly append: (chunk: Bytes) => void;
  /** Ends the session and returns its bytes with their digest. */
  readonly finish: (algorithm: string) => {
    readonly digest: string;
    readonly size: number;
    readonly chunks: readonly Bytes[];
  };
}

/** The open upload sessions of a registry: neither completed nor cancelled. */
export interface Uploads {
  readonly start: (repository: string) => UploadSession;
  readonly find: (repository: string, uuid: string) => UploadSession | undefined;
  /** Oldest first. */
  readonly list: () => readonly UploadSession[];
  readonly cancel: (uuid: string) => boolean;
}

export function createUploads(): Uploads {
  const sessions = new Map<string, UploadSession>();
  return {
    start: (repository) => {
      const uuid = randomUUID();
      const session = createSession(repository, uuid, () => sessions.delete(uuid));
      sessions.set(uuid, session);
      return session;
    },
    find: (repository, uuid) => {
      const session = sessions.get(uuid);
      return session?.repository === repository ? session : undefined;
    },
    list: () => [...sessions.values()],
    cancel: (uuid) => sessions.delete(uuid),
  };
}

function createSession(repository: string, uuid: string, end: () => void): UploadSession {
  const chunks: Bytes[] = [];
  // Hashes while receiving, so that the final PUT answers at once.
  const hash = createHash('sha256');
  let size = 0;
  return {
    uuid,
    repository,
    get size() {
      return size;
    },
    get state() {
      return formatUploadState({ uuid, repository, offset: size });
    },
    append: (chunk) => {
      chunks.push(chunk);
      hash.update(chunk);
      size += chunk.length;
    },
    finish: (algorithm) => {
      end();
      const digest =
        algorithm === 'sha256' ? `sha256:${hash.digest('hex')}` : toDigest(chunks, algorithm);
      return { digest, size, chunks };
    },
  };
}

/** The content of `_state` in an upload's Location. */
const stateSchema = v.object({ uuid: v.string(), repository: v.string(), offset: v.number() });
type UploadState = Readonly<v.InferOutput<typeof stateSchema>>;

/** Padded base64, like distribution: the `=` exposes a client that does not preserve the query. */
function formatUploadState({ uuid, repository, offset }: UploadState): string {
  const text = JSON.stringify({ uuid, repository, offset });
  const withPadding = text.length % 3 === 0 ? `${text} ` : text;
  return Buffer.from(withPadding).toString('base64');
}

/** Parses a `_state` query; `undefined` if it is not one of this registry. */
export function parseUploadState(text: string): UploadState | undefined {
  try {
    return v.parse(stateSchema, JSON.parse(Buffer.from(text, 'base64').toString()));
  } catch {
    // The client truncated, altered or omitted the query.
    return undefined;
  }
}
