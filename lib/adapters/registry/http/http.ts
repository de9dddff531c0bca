import { Readable } from 'node:stream';
import { type Dispatcher, request } from 'undici';
import { RegistryError, toConnectionError } from '../errors/index.ts';
import type { CaBundle } from './ca-bundle.ts';
import { createDispatcher, type DispatcherOptions } from './dispatcher.ts';
import {
  createEgressPolicy,
  type EgressPolicyOptions,
  type EgressZone,
  forbiddenCode,
} from './egress-policy.ts';
import type { HttpResponse } from './response.ts';

/** One HTTP request; nothing is followed, repeated or authorised here. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** For the sentence when it fails: `reading the manifest`. */
  readonly step: string;
  /** The host that sent us to `url`, where that is not the registry's own. */
  readonly sentBy?: URL;
}

export interface Http {
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}

export interface HttpOptions extends EgressPolicyOptions, Pick<DispatcherOptions, 'proxy'> {
  /** @default the system's certificates */
  readonly trust?: CaBundle;
}

const userAgent = 'image-cloner';
const headersTimeoutMs = 60_000;
/** A registry may think for minutes after the last byte of a layer: it hashes, or commits to object storage. */
const writeTimeoutMs = 600_000;
/** Early hints, or `102 Processing` now and then. */
const maxAnnouncements = 100;

/**
 * HTTP to places that others named. Where a name leads is checked at the moment of the connection, so a name that
 * changes its mind changes nothing; a public registry cannot send us to a private address.
 */
export function createHttp(options: HttpOptions): Http {
  const { proxy, trust } = options;
  const egress = createEgressPolicy(options);
  let ca = trust?.certificates();
  const open = (zone: EgressZone): Dispatcher =>
    createDispatcher({
      ...(ca !== undefined && { ca }),
      ...(proxy !== undefined && { proxy }),
      lookup: egress.lookup(zone),
    });

  /** Connections are kept, and so is what was allowed to make them: each zone has its own. */
  function openAll(): Readonly<Record<EgressZone, Dispatcher>> {
    return { anywhere: open('anywhere'), registry: open('registry'), public: open('public') };
  }
  let dispatchers = openAll();

  /** Whom we no longer trust is not spoken to over an old connection either; what is being sent is sent to its end. */
  async function renew(trusted: CaBundle): Promise<void> {
    await trusted.refresh();
    const found = trusted.certificates();
    if (found === ca) return;
    ca = found;
    const old = dispatchers;
    dispatchers = openAll();
    for (const dispatcher of Object.values(old)) void dispatcher.close();
  }

  return {
    async send({ method, url, headers, body, signal, step, sentBy }) {
      const zone = egress.of(url, sentBy);
      assertPlain(url, step);
      if (!egress.allows(url, zone)) throw forbidden(step);
      if (trust !== undefined) await renew(trust);
      signal.throwIfAborted();
      try {
        const answer = await request(url, {
          method,
          headers: { 'user-agent': userAgent, ...headers },
          ...(body !== undefined && { body: toBody(body) }),
          headersTimeout: body === undefined ? headersTimeoutMs : writeTimeoutMs,
          signal,
          onInfo: countAnnouncements(step),
          dispatcher: dispatchers[zone],
        });
        return { status: answer.statusCode, headers: answer.headers, body: answer.body };
      } catch (error) {
        signal.throwIfAborted();
        const isForbidden =
          error instanceof Error && 'code' in error && error.code === forbiddenCode;
        throw isForbidden ? forbidden(step) : toConnectionError(step, error);
      }
    },
    async close() {
      await Promise.all(Object.values(dispatchers).map((dispatcher) => dispatcher.destroy()));
    },
  };
}

/** Answers of 1xx are none, and no limit of time or size counts them: a stranger who sends them without end would have us do nothing else. */
function countAnnouncements(step: string): () => void {
  let count = 0;
  return () => {
    count += 1;
    if (count <= maxAnnouncements) return;
    throw new RegistryError('REFUSED', `${step}: it announces its answer again and again`);
  };
}

function assertPlain({ username, password, protocol }: URL, step: string): void {
  if (username === '' && password === '' && /^https?:$/.test(protocol)) return;
  throw new RegistryError(
    'REFUSED',
    `${step}: it sent us to an address that is not a plain https one`,
  );
}

function toBody(body: NonNullable<HttpRequest['body']>): Uint8Array | Readable {
  return body instanceof Uint8Array ? body : Readable.from(body, { objectMode: false });
}

function forbidden(step: string): RegistryError {
  return new RegistryError(
    'REFUSED',
    `${step}: it leads to an address that image-cloner does not call`,
  );
}
