import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { type AddressKind, kindOfAddress, literalAddress } from './address.ts';
import { RegistryError, toConnectionError } from './failure.ts';

/** One HTTP request; nothing is followed, repeated or authorised here. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** For the sentence when it fails: `reading the manifest`. */
  readonly step: string;
  /** The host that sent us to `url`, where that is not the registry's own. */
  readonly sentBy?: URL;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  /** Read it or `drop` it, or the connection is lost to others. */
  readonly body: Dispatcher.ResponseData['body'];
}

export interface Http {
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export interface HttpOptions {
  /** Certificates that are trusted: the system's and those of `REGISTRY_CA_FILE`. */
  readonly ca?: readonly string[];
  /** `host` or `host:port` that the administrator named: they may be anywhere. */
  readonly configuredHosts: readonly string[];
  /** Inside a cluster loopback is our own pod and nobody's registry. */
  readonly insideCluster: boolean;
  readonly proxy?: { readonly https?: string; readonly http?: string; readonly no?: string };
}

const timeouts = {
  connect: 10_000,
  /** A registry may think for minutes after the last byte of a layer: it hashes, or commits to object storage. */
  headers: 600_000,
  body: 60_000,
};
const userAgent = 'image-cloner';

/**
 * HTTP to places that others named. Where a name leads is checked at the moment of the connection, so a name that
 * changes its mind changes nothing; a public registry cannot send us to a private address.
 */
export function createHttp(options: HttpOptions): Http {
  const { ca, configuredHosts, insideCluster, proxy } = options;
  const reached = new Map<string, AddressKind>();

  function isAllowed(kind: AddressKind, mayBePrivate: boolean): boolean {
    switch (kind) {
      case 'public':
        return true;
      case 'private':
        return mayBePrivate;
      case 'loopback':
        return mayBePrivate && !insideCluster;
      case 'forbidden':
        return false;
    }
  }

  /** A lookup that fails for addresses that may not be called, and remembers what kind a name has. */
  function guardedLookup(mayBePrivate: boolean): LookupFunction {
    return (hostname, lookupOptions, callback) => {
      systemLookup(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, []);
        const kinds = addresses.map(({ address }) => kindOfAddress(address));
        const worst = kinds.find((kind) => !isAllowed(kind, mayBePrivate));
        if (worst !== undefined && !isConfigured(hostname)) {
          return callback(
            Object.assign(new Error('forbidden address'), { code: 'EFORBIDDEN' }),
            [],
          );
        }
        const [first] = addresses;
        if (first === undefined) return callback(new Error('no address'), []);
        reached.set(hostname, kinds.find((kind) => kind !== 'public') ?? 'public');
        if (lookupOptions.all === true) return callback(null, addresses);
        callback(null, first.address, first.family);
      });
    };
  }

  function isConfigured(hostname: string): boolean {
    return configuredHosts.some((host) => host.replace(/:\d+$/, '') === hostname);
  }

  function createDispatcher(mayBePrivate: boolean): Dispatcher {
    const settings = {
      headersTimeout: timeouts.headers,
      bodyTimeout: timeouts.body,
      connections: 8,
      pipelining: 1,
      connect: {
        timeout: timeouts.connect,
        lookup: guardedLookup(mayBePrivate),
        ...(ca !== undefined && { ca: [...ca] }),
      },
    };
    return proxy === undefined
      ? new Agent(settings)
      : new EnvHttpProxyAgent({
          ...settings,
          ...(proxy.https !== undefined && { httpsProxy: proxy.https }),
          ...(proxy.http !== undefined && { httpProxy: proxy.http }),
          ...(proxy.no !== undefined && { noProxy: proxy.no }),
        });
  }

  const anywhere = createDispatcher(true);
  const publicOnly = createDispatcher(false);

  /** A public registry's realm, redirect or upload location must be public as well. */
  function mayBePrivate({ url, sentBy }: HttpRequest): boolean {
    if (sentBy === undefined || sentBy.hostname === url.hostname || isConfigured(url.hostname))
      return true;
    const literal = literalAddress(sentBy.hostname);
    const kind = literal === undefined ? reached.get(sentBy.hostname) : kindOfAddress(literal);
    return kind === 'private' || kind === 'loopback';
  }

  /** A literal address is never looked up, so it is checked here. */
  function assertAllowed(asked: HttpRequest, isPrivateAllowed: boolean): void {
    const { url } = asked;
    const literal = literalAddress(url.hostname);
    const isLocalName = /(^|\.)localhost\.?$/.test(url.hostname);
    const kind =
      literal === undefined ? (isLocalName ? 'loopback' : 'public') : kindOfAddress(literal);
    if (url.username !== '' || url.password !== '' || !/^https?:$/.test(url.protocol)) {
      throw new RegistryError(
        'REFUSED',
        `${asked.step}: it sent us to an address that is not a plain https one`,
      );
    }
    if (!isAllowed(kind, isPrivateAllowed) && !isConfigured(url.hostname)) throw forbidden(asked);
  }

  return {
    async send(asked) {
      const isPrivateAllowed = mayBePrivate(asked);
      assertAllowed(asked, isPrivateAllowed);
      asked.signal.throwIfAborted();
      try {
        const { statusCode, headers, body } = await request(asked.url, {
          method: asked.method,
          headers: { 'user-agent': userAgent, ...asked.headers },
          ...(asked.body !== undefined && { body: toBody(asked.body) }),
          signal: asked.signal,
          dispatcher: isPrivateAllowed ? anywhere : publicOnly,
        });
        return { status: statusCode, headers, body };
      } catch (error) {
        asked.signal.throwIfAborted();
        if (error instanceof Error && 'code' in error && error.code === 'EFORBIDDEN')
          throw forbidden(asked);
        throw toConnectionError(asked.step, error);
      }
    },
    async close() {
      await Promise.all([anywhere.destroy(), publicOnly.destroy()]);
    },
  };
}

/** Reads a body of at most `maxBytes`; a longer one is refused and the connection dropped. */
export async function readBody(
  { body }: Pick<HttpAnswer, 'body'>,
  maxBytes: number,
  step: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      length += chunk.length;
      if (length > maxBytes) {
        throw new RegistryError(
          'UNSUPPORTED',
          `${step}: the answer is larger than ${maxBytes} bytes`,
        );
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw toConnectionError(step, error);
  }
  return Buffer.concat(chunks);
}

/** Gives the connection back; a body that is too long to read is cut with it. */
export async function drop({ body }: Pick<HttpAnswer, 'body'>): Promise<void> {
  await body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

/** The one value of a header, the first where there are several. */
export function headerOf(answer: Pick<HttpAnswer, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function toBody(body: NonNullable<HttpRequest['body']>): Uint8Array | string | Readable {
  return typeof body === 'string' || body instanceof Uint8Array
    ? body
    : Readable.from(body, { objectMode: false });
}

function forbidden({ step }: HttpRequest): RegistryError {
  return new RegistryError(
    'REFUSED',
    `${step}: it leads to an address that image-cloner does not call`,
  );
}
