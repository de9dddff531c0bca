import type {
  Logger,
  Lookup,
  NamespaceReader,
  Secret,
  WorkloadSecrets,
} from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createTtlCache } from '../../util/ttl-cache.ts';
import { parseDockerConfigJson, parseDockercfg } from './docker-config.ts';
import { createKeyring, type KeyringEntry } from './keyring.ts';

export interface PullSecretsDeps {
  readonly reader: Pick<NamespaceReader, 'readSecret' | 'readPullSecretNames'>;
  readonly logger: Logger;
  /** Timeout of one request. @default 2 seconds */
  readonly timeoutMs?: number;
  readonly now?: () => number;
}

type PullSecret = Lookup<readonly KeyringEntry[]> | { readonly status: 'invalid' };

/** Per pod; bounds the API server requests of a forged review. */
const maxSecrets = 20;
const maxCacheEntries = 500;
const ttlMs = 10_000;
/** Reviews arrive before the API server validates them, so a name can be megabytes long. */
const maxNameLength = 253;
const absent = { status: 'absent' } as const;
/** Length of the base64 text. Kubernetes allows 1 MiB, but the cache keeps hundreds of Secrets. */
const maxSecretLength = 128 * 1024;
/** Registries per Secret; each image of a workload is compared with each of them. */
const maxSecretEntries = 100;
/** Longer than any known token. Credentials become a header, and keys of connections and rate limits. */
const maxCredentialLength = 16 * 1024;
const maxShownNameLength = 50;

/** The Secret types that the kubelet reads. */
const formats = new Map([
  ['kubernetes.io/dockerconfigjson', { key: '.dockerconfigjson', parse: parseDockerConfigJson }],
  ['kubernetes.io/dockercfg', { key: '.dockercfg', parse: parseDockercfg }],
]);

/** Reads pull secrets as the kubelet does: those of the pod, else those of its ServiceAccount; unreadable ones are skipped. */
export function createPullSecrets({
  reader,
  logger,
  timeoutMs = 2_000,
  now = monotonicClock.now,
}: PullSecretsDeps): WorkloadSecrets {
  const cacheOptions = {
    ttlMs,
    isKept: ({ status }: { readonly status: string }) => status !== 'unavailable',
    maxEntries: maxCacheEntries,
    now,
  };
  const secrets = createTtlCache<PullSecret>(cacheOptions);
  const accounts = createTtlCache<Lookup<readonly string[]>>(cacheOptions);

  /** Concurrent reviews share the request, so it has its own timeout and ignores their signals. */
  async function readSecret(namespace: string, name: string): Promise<PullSecret> {
    if (name.length > maxNameLength) return absent;
    return await secrets.get(toKey(namespace, name), async () => {
      const answer = await reader.readSecret(namespace, name, AbortSignal.timeout(timeoutMs));
      if (answer.status === 'found') return toPullSecret(namespace, name, answer.found);
      logger.debug({ namespace, secret: name, status: answer.status }, 'pull secret not readable');
      return answer;
    });
  }

  async function readAccount(namespace: string, name: string): Promise<Lookup<readonly string[]>> {
    if (name.length > maxNameLength) return absent;
    return await accounts.get(toKey(namespace, name), () =>
      reader.readPullSecretNames(namespace, name, AbortSignal.timeout(timeoutMs)),
    );
  }

  function toPullSecret(namespace: string, name: string, { type, data }: Secret): PullSecret {
    const format = formats.get(type);
    if (format === undefined) return { status: 'found', found: [] };
    try {
      const content = data[format.key] ?? '';
      if (content.length > maxSecretLength) throw new Error('it is too large');
      const text = Buffer.from(content, 'base64').toString('utf8');
      const entries = format.parse(text);
      if (entries.length > maxSecretEntries) throw new Error('it has too many entries');
      return { status: 'found', found: entries.filter(isUsable) };
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'it cannot be read';
      logger.warn({ namespace, secret: name, problem }, 'pull secret is invalid and skipped');
      return { status: 'invalid' };
    }
  }

  async function collect(
    namespace: string,
    listed: readonly string[],
  ): ReturnType<WorkloadSecrets['keyring']> {
    // The kubelet ignores empty names.
    const names = [...new Set(listed)].filter((name) => name !== '');
    const reads = await Promise.all(
      names
        .slice(0, maxSecrets)
        .map(async (name) => ({ name, secret: await readSecret(namespace, name) })),
    );
    const warnings = reads.flatMap(({ name, secret: { status } }) =>
      status === 'found' ? [] : [secretWarning(status, namespace, name)],
    );
    const entries = reads.flatMap(({ secret }) => (secret.status === 'found' ? secret.found : []));
    const isTruncated = names.length > maxSecrets;
    const truncation = `only the first ${maxSecrets} of its pull secrets were read`;
    return {
      keyring: createKeyring(entries),
      warnings: [...new Set(warnings), ...(isTruncated ? [truncation] : [])],
    };
  }

  return {
    async keyring({ namespace, names, serviceAccount = 'default' }, signal) {
      if (names.length > 0) return await untilAborted(collect(namespace, names), signal);
      const account = await untilAborted(readAccount(namespace, serviceAccount), signal);
      if (account.status === 'found') {
        return await untilAborted(collect(namespace, account.found), signal);
      }
      const warning =
        account.status === 'absent'
          ? `its ServiceAccount ${quote(serviceAccount)}, which may name pull secrets, does not exist`
          : secretWarning(account.status, namespace, '');
      return { keyring: createKeyring([]), warnings: [warning] };
    },

    async serviceAccountSecrets(namespace, name, signal) {
      const account = await untilAborted(readAccount(namespace, name), signal);
      return account.status === 'found' ? account.found : undefined;
    },

    async hasSecret(namespace, name, signal) {
      const { status } = await untilAborted(readSecret(namespace, name), signal);
      if (status === 'absent') return false;
      return status === 'found' || status === 'invalid' ? true : undefined;
    },

    forget(namespace) {
      secrets.deletePrefix(toKey(namespace, ''));
      accounts.deletePrefix(toKey(namespace, ''));
    },
  };
}

function isUsable({ credentials: { username, password } }: KeyringEntry): boolean {
  return username.length + password.length <= maxCredentialLength;
}

/** Unambiguous, because namespace names contain no slash. */
function toKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** At most 120 characters, also for a namespace of 63 characters. */
function secretWarning(
  status: Exclude<PullSecret['status'], 'found'>,
  namespace: string,
  name: string,
): string {
  switch (status) {
    case 'forbidden':
      return `RBAC denies its pull secrets: run "just pull-secret ${namespace}"`;
    case 'unavailable':
      return 'its pull secrets could not be read: the API server did not answer';
    case 'absent':
      return `pull secret ${quote(name)} does not exist in its namespace`;
    case 'invalid':
      return `pull secret ${quote(name)} is not valid and was skipped`;
  }
}

function quote(name: string): string {
  return name.length > maxShownNameLength ? `"${name.slice(0, maxShownNameLength)}…"` : `"${name}"`;
}
