import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';

/** What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say. */
interface ProxySettings {
  readonly https?: string;
  readonly http?: string;
  readonly no?: string;
}

export interface DispatcherOptions {
  /** Certificates that are trusted: the system's and those of `REGISTRY_CA_FILE`. */
  readonly ca?: readonly string[];
  readonly proxy?: ProxySettings;
  /** Not used for what goes through a proxy, which looks up for itself. */
  readonly lookup: LookupFunction;
}

const connectTimeoutMs = 10_000;
/** Without a byte. */
const bodyTimeoutMs = 60_000;

/** undici's connections, as registries need them. */
export function createDispatcher({ ca, proxy, lookup }: DispatcherOptions): Dispatcher {
  const trust = ca === undefined ? {} : { ca: [...ca] };
  // No limit on connections: a review's question must not stand in line behind uploads, whose number is limited elsewhere.
  const settings = {
    bodyTimeout: bodyTimeoutMs,
    pipelining: 1,
    allowH2: false,
    connect: { timeout: connectTimeoutMs, lookup, ...trust },
  };
  if (proxy === undefined) return new Agent(settings);
  const { http = '', https = '', no = '' } = proxy;
  const proxied = new EnvHttpProxyAgent({
    ...settings,
    // Inside a tunnel, and to the proxy itself, TLS has its own settings.
    requestTls: trust,
    proxyTls: trust,
    httpProxy: toProxyUrl(http),
    httpsProxy: toProxyUrl(https),
    noProxy: no,
  });
  if (https !== '') return proxied;
  // undici would send https through HTTP_PROXY, which nobody else does.
  const direct = new Agent(settings);
  return proxied.compose(
    (dispatch) => (request, handler) =>
      String(request.origin).startsWith('https:')
        ? direct.dispatch(request, handler)
        : dispatch(request, handler),
  );
}

/** `proxy.example.com:3128` is http, as everybody reads it. */
function toProxyUrl(text: string): string {
  return text === '' || text.includes('://') ? text : `http://${text}`;
}
