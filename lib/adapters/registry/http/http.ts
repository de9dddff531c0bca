import { Readable } from 'node:stream';
import { createSecureContext, type SecureContext } from 'node:tls';
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

/** One HTTP request: no redirects, retries or credentials at this level. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** Starts the error message: `reading its manifest`. */
  readonly step: string;
  /** The host that named `url`, unless `url` is the registry itself. */
  readonly sentBy?: URL;
}

export interface Http {
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Whether `INSECURE_REGISTRIES` lists the host. */
  isListedAsInsecure(url: URL): boolean;
  close(): Promise<void>;
}

export interface HttpOptions
  extends EgressPolicyOptions,
    Pick<DispatcherOptions, 'proxy' | 'onConnect'> {
  /** @default the system's certificates */
  readonly trust?: CaBundle | undefined;
  /** Hosts, with their ports, that use plain http. @default none */
  readonly insecureRegistries?: readonly string[];
}

const userAgent = 'image-cloner';
const headersTimeoutMs = 60_000;
/** After the last byte of a layer, a registry hashes it or commits it to object storage, which can take minutes. */
const writeTimeoutMs = 600_000;
/** `102 Processing` and `103 Early Hints`, per request. */
const maxInformational = 100;

/**
 * HTTP to hosts that manifests and registries name. The egress policy checks the resolved address of each connection, so a change of DNS
 * records cannot get around it.
 */
export function createHttp(options: HttpOptions): Http {
  const { proxy, onConnect, trust, insecureRegistries = [] } = options;
  const insecure = new Set(insecureRegistries.map((host) => URL.parse(`http://${host}`)?.host));
  /** undici sends plain http to a proxy without a tunnel, so that origins share a connection. */
  const sharesConnection = ({ protocol }: URL): boolean =>
    protocol === 'http:' && (proxy?.http ?? '') !== '';
  const isListedAsInsecure = ({ host }: URL): boolean => insecure.has(host);
  const egress = createEgressPolicy(options);
  let ca = trust?.certificates();
  let secureContext = toSecureContext(ca);
  const open = (zone: EgressZone): Dispatcher =>
    createDispatcher({ secureContext, proxy, onConnect, lookup: egress.lookup(zone) });

  /** Each zone has its own pool: a kept connection is reused without another check. */
  function openAll(): Readonly<Record<EgressZone, Dispatcher>> {
    return { anywhere: open('anywhere'), registry: open('registry'), public: open('public') };
  }
  let dispatchers = openAll();

  /** New certificates close the old connections, each after its running request. */
  async function refreshTrust(bundle: CaBundle): Promise<void> {
    await bundle.refresh();
    const certificates = bundle.certificates();
    if (certificates === ca) return;
    ca = certificates;
    secureContext = toSecureContext(ca);
    const old = dispatchers;
    dispatchers = openAll();
    for (const dispatcher of Object.values(old)) void dispatcher.close();
  }

  return {
    async send({ method, url, headers, body, signal, step, sentBy }) {
      const zone = egress.zoneOf(url, sentBy);
      assertUsable(url, step);
      if (!egress.allows(url, zone)) throw forbidden(step);
      if (trust !== undefined) await refreshTrust(trust);
      signal.throwIfAborted();
      try {
        const response = await request(url, {
          method,
          headers: { 'user-agent': userAgent, ...headers },
          ...(body !== undefined && { body: toBody(body) }),
          headersTimeout: body === undefined ? headersTimeoutMs : writeTimeoutMs,
          signal,
          onInfo: limitInformational(step),
          // By default, undici closes a connection after a HEAD.
          ...(!sharesConnection(url) && { reset: false }),
          dispatcher: dispatchers[zone],
        });
        return { status: response.statusCode, headers: response.headers, body: response.body };
      } catch (error) {
        signal.throwIfAborted();
        const isForbidden =
          error instanceof Error && 'code' in error && error.code === forbiddenCode;
        if (isForbidden) throw forbidden(step);
        const isListed = isListedAsInsecure(url);
        throw toConnectionError(step, error, { url, isListedAsInsecure: isListed });
      }
    },
    isListedAsInsecure,
    async close() {
      await Promise.all(Object.values(dispatchers).map((dispatcher) => dispatcher.destroy()));
    },
  };
}

/** Made once: parsing the certificates takes longer than a handshake. */
function toSecureContext(ca: readonly string[] | undefined): SecureContext | undefined {
  return ca && createSecureContext({ ca: [...ca] });
}

/** No timeout and no size limit counts 1xx responses, so an endless series of them would block the request. */
function limitInformational(step: string): () => void {
  let count = 0;
  return () => {
    count += 1;
    if (count <= maxInformational) return;
    throw new RegistryError(
      'REFUSED',
      `${step}: more than ${maxInformational} informational (1xx) responses`,
    );
  };
}

function assertUsable({ username, password, protocol }: URL, step: string): void {
  if (username === '' && password === '' && /^https?:$/.test(protocol)) return;
  throw new RegistryError(
    'REFUSED',
    `${step}: the URL contains credentials or is neither http nor https`,
  );
}

function toBody(body: NonNullable<HttpRequest['body']>): Uint8Array | Readable {
  return body instanceof Uint8Array ? body : Readable.from(body, { objectMode: false });
}

function forbidden(step: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: the egress policy forbids the address`);
}
