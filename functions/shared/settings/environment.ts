import { readFile } from 'node:fs/promises';

export type Env = Readonly<Record<string, string | undefined>>;

export interface Proxies {
  readonly https: string;
  readonly http: string;
  readonly no: string;
}

/** Where a pod finds the name of its namespace. */
const namespaceFile = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** `undefined` outside of a pod. */
export async function readPodNamespace(): Promise<string | undefined> {
  const text = await readFile(namespaceFile, 'utf8').catch(() => undefined);
  return text?.trim();
}

/** Inside a pod, no registry listens on loopback. */
export function isInsideCluster(env: Env): boolean {
  return env['KUBERNETES_SERVICE_HOST'] !== undefined;
}

/** Whether the files of `REGISTRY_AUTH_DIR` are used in any case, and not only where they exist. */
export function namesAuthDir(env: Env): boolean {
  return (env['REGISTRY_AUTH_DIR'] ?? '').trim() !== '';
}

/** HTTP clients agree on these variables, in upper and in lower case. */
export function readProxies(env: Env): Proxies | undefined {
  const read = (name: string): string => env[name] ?? env[name.toLowerCase()] ?? '';
  const [https, http] = [read('HTTPS_PROXY'), read('HTTP_PROXY')];
  return https === '' && http === '' ? undefined : { https, http, no: read('NO_PROXY') };
}

/** The webhook's ports do not concern a command, which starts also if their settings are wrong. */
export function omitListenerVariables(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(TLS_|PORT$)/.test(name)));
}
