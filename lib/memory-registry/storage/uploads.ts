import { createHash, randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { type Bytes, toDigest } from '../images/index.ts';

/** One upload between its POST and its last PUT. */
export interface UploadSession {
  readonly uuid: string;
  readonly repository: string;
  /** Bytes that were received so far. */
  readonly size: number;
  /** The query that belongs to this offset; an older one is refused. */
  readonly state: string;
}

interface OpenSession extends UploadSession {
  readonly append: (chunk: Bytes) => void;
  /** What came, under a digest of this algorithm. Ends the session. */
  readonly finish: (algorithm: string) => {
    readonly digest: string;
    readonly size: number;
    readonly chunks: readonly Bytes[];
  };
}

/** The open upload sessions of a registry. */
export interface Uploads {
  readonly begin: (repository: string) => OpenSession;
  readonly find: (repository: string, uuid: string) => OpenSession | undefined;
  /** In the order they were begun. */
  readonly list: () => readonly UploadSession[];
  readonly cancel: (uuid: string) => boolean;
}

/** No session. */
export function createUploads(): Uploads {
  const sessions = new Map<string, OpenSession>();
  return {
    begin: (repository) => {
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

function createSession(repository: string, uuid: string, end: () => void): OpenSession {
  const chunks: Bytes[] = [];
  // Hashed as it comes: nothing is left to do when the last byte is there.
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

/** What the `_state` of an upload's Location says. */
interface UploadState {
  readonly uuid: string;
  readonly repository: string;
  readonly offset: number;
}

const stateSchema = v.object({ uuid: v.string(), repository: v.string(), offset: v.number() });

/** Base64 with its padding, like distribution's: a client that mangles the query is found out. */
function formatUploadState({ uuid, repository, offset }: UploadState): string {
  const text = JSON.stringify({ uuid, repository, offset });
  const withPadding = text.length % 3 === 0 ? `${text} ` : text;
  return Buffer.from(withPadding).toString('base64');
}

/** The inverse, or `undefined` for what we never said. */
export function parseUploadState(text: string): UploadState | undefined {
  try {
    return v.parse(stateSchema, JSON.parse(Buffer.from(text, 'base64').toString()));
  } catch {
    // Cut off, mangled on its way, or not there.
    return undefined;
  }
}
