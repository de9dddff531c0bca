import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';

/** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
interface ProxySettings {
  readonly https?: string;
  readonly http?: string;
  readonly no?: string;
}

export interface DispatcherOptions {
  /** Trusted certificates: the system's and those of `REGISTRY_CA_FILE`. */
  readonly ca: readonly string[] | undefined;
  readonly proxy?: ProxySettings | undefined;
  /** Not used through a proxy, which resolves names itself. */
  readonly lookup: LookupFunction;
}

const connectTimeoutMs = 10_000;
/** Longest time without a byte. */
const bodyTimeoutMs = 60_000;

/** Configures undici's connections for registries. */
export function createDispatcher({ ca, proxy, lookup }: DispatcherOptions): Dispatcher {
  const trust = ca === undefined ? {} : { ca: [...ca] };
  // No limit on connections: the request of a review must not queue behind uploads, whose number is limited elsewhere.
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
    // TLS inside a tunnel and TLS to the proxy have separate settings.
    requestTls: trust,
    proxyTls: trust,
    httpProxy: toProxyUrl(http),
    httpsProxy: toProxyUrl(https),
    noProxy: no,
  });
  if (https !== '') return proxied;
  // Without HTTPS_PROXY, undici sends https through HTTP_PROXY; other clients connect directly.
  const direct = new Agent(settings);
  return proxied.compose(
    (dispatch) => (request, handler) =>
      String(request.origin).startsWith('https:')
        ? direct.dispatch(request, handler)
        : dispatch(request, handler),
  );
}

/** Without a scheme, a proxy is plain http. */
function toProxyUrl(text: string): string {
  return text === '' || text.includes('://') ? text : `http://${text}`;
}
