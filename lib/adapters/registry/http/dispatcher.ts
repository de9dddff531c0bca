import { BlockList, isIP, type LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import { literalAddress } from './address.ts';
import { createConnector } from './connector.ts';

/** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
interface ProxySettings {
  readonly https?: string;
  readonly http?: string;
  readonly no?: string;
}

export interface DispatcherOptions {
  /** The trusted certificates: the system's and those of `REGISTRY_CA_FILE`. @default the system's */
  readonly secureContext: SecureContext | undefined;
  readonly proxy?: ProxySettings | undefined;
  /** Not used through a proxy, which resolves names itself. */
  readonly lookup: LookupFunction;
  /** Called for each new connection, with the host that it leads to. */
  readonly onConnect?: ((host: string) => void) | undefined;
}

const connectTimeoutMs = 10_000;
/** Longest time without a byte. */
const bodyTimeoutMs = 60_000;
/** For servers that name no time: a proxy or a firewall on the way may drop an idle connection after a minute. */
const keepAliveMs = 30_000;

/** Configures undici's connections for registries. */
export function createDispatcher({
  secureContext,
  proxy,
  lookup,
  onConnect = () => undefined,
}: DispatcherOptions): Dispatcher {
  const trust = secureContext === undefined ? {} : { secureContext };
  // No limit on connections: the request of a review must not queue behind uploads, whose number is limited elsewhere.
  const settings = {
    bodyTimeout: bodyTimeoutMs,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: keepAliveMs,
    connect: createConnector({ timeout: connectTimeoutMs, lookup, ...trust }),
    factory: (origin: string | URL, options: object) =>
      new Pool(origin, options).on('connect', ({ host }) => onConnect(host)),
  };
  if (proxy === undefined) return new Agent(settings);
  const { http = '', https = '', no = '' } = proxy;
  const proxied = new EnvHttpProxyAgent({
    ...settings,
    // TLS inside a tunnel and TLS to the proxy have separate settings.
    requestTls: trust,
    proxyTls: trust,
    httpProxy: toProxyUrl(http),
    httpsProxy: toProxyUrl(https),
    noProxy: no,
  });
  const direct = new Agent(settings);
  const networks = parseNetworks(no);
  return proxied.compose((dispatch) => (request, handler) => {
    const { protocol, hostname } = new URL(String(request.origin));
    // Without HTTPS_PROXY, undici sends https through HTTP_PROXY; other clients connect directly.
    const isUnproxied = protocol === 'https:' && https === '';
    return isUnproxied || isIn(networks, hostname)
      ? direct.dispatch(request, handler)
      : dispatch(request, handler);
  });
}

/** The networks in NO_PROXY, such as `10.0.0.0/8`, which Go's clients accept and undici does not. */
function parseNetworks(no: string): BlockList {
  const networks = new BlockList();
  for (const entry of no.split(/[,\s]+/)) {
    const [, address = '', bits = ''] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(bits) > (family === 4 ? 32 : 128)) continue;
    networks.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return networks;
}

/** A network applies to hosts that are written as addresses; names are not resolved for it. */
function isIn(networks: BlockList, hostname: string): boolean {
  const address = literalAddress(hostname);
  return address !== undefined && networks.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}

/** Without a scheme, a proxy is plain http. */
function toProxyUrl(text: string): string {
  return text === '' || text.includes('://') ? text : `http://${text}`;
}
