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
import { pullSecretWarning } from './pull-secret-warning.ts';

export interface PullSecretsDeps {
  readonly reader: Pick<NamespaceReader, 'readSecret' | 'readPullSecretNames'>;
  readonly logger: Logger;
  /** How long an answer of the API server is used again. @default 10 seconds */
  readonly forMs?: number;
  /** The longest that the API server is waited for. @default 2 seconds */
  readonly patienceMs?: number;
  readonly now?: () => number;
}

type PullSecret = Lookup<readonly KeyringEntry[]> | { readonly status: 'broken' };

/** More than anybody names, and few enough that a forged review costs the API server little. */
const maxSecrets = 20;
const maxEntries = 500;
/** What a review names may be megabytes long: objects are validated after us. Answers are remembered by their names. */
const maxNameLength = 253;
const absent = { status: 'absent' } as const;
/** Of base64. Kubernetes allows 1 MiB, and we keep hundreds. */
const maxSecretLength = 128 * 1024;
/** Registries; each image of a workload is compared with each of them. */
const maxSecretEntries = 100;
/** No registry's token is so long, and few servers take a header that is. Connections and limits are remembered by it. */
const maxCredentialLength = 16 * 1024;

/** The two types that the kubelet reads; the second one is from before `auths`. */
const formats = new Map([
  ['kubernetes.io/dockerconfigjson', { key: '.dockerconfigjson', parse: parseDockerConfigJson }],
  ['kubernetes.io/dockercfg', { key: '.dockercfg', parse: parseDockercfg }],
]);

/** Pull secrets as the kubelet sees them: those that the pod names, else its ServiceAccount's; who cannot be read is left out. */
export function createPullSecrets({
  reader,
  logger,
  forMs = 10_000,
  patienceMs = 2_000,
  now = monotonicClock.now,
}: PullSecretsDeps): WorkloadSecrets {
  const ttlMs = (answer: { readonly status: string }): number => (isLasting(answer) ? forMs : 0);
  const secrets = createTtlCache<PullSecret>({ ttlMs, maxEntries, now });
  const accounts = createTtlCache<Lookup<readonly string[]>>({ ttlMs, maxEntries, now });

  /** Shared by all who ask for it at the same time, so it has a patience of its own and ends with nobody's review. */
  async function readSecret(namespace: string, name: string): Promise<PullSecret> {
    if (name.length > maxNameLength) return absent;
    return await secrets.get(toKey(namespace, name), async () => {
      const answer = await reader.readSecret(namespace, name, AbortSignal.timeout(patienceMs));
      if (answer.status === 'found') return toPullSecret(namespace, name, answer.found);
      logger.debug({ namespace, secret: name, status: answer.status }, 'no pull secret');
      return answer;
    });
  }

  async function readAccount(namespace: string, name: string): Promise<Lookup<readonly string[]>> {
    if (name.length > maxNameLength) return absent;
    return await accounts.get(toKey(namespace, name), () =>
      reader.readPullSecretNames(namespace, name, AbortSignal.timeout(patienceMs)),
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
      logger.warn({ namespace, secret: name, problem }, 'a pull secret is broken and skipped');
      return { status: 'broken' };
    }
  }

  async function collect(
    namespace: string,
    wanted: readonly string[],
  ): ReturnType<WorkloadSecrets['keyring']> {
    // The kubelet passes over empty names.
    const names = [...new Set(wanted)].filter((name) => name !== '');
    const used = names.slice(0, maxSecrets);
    const read = await Promise.all(
      used.map(async (name) => ({ name, secret: await readSecret(namespace, name) })),
    );
    const warnings = read.flatMap(({ name, secret }) => {
      if (secret.status === 'found') return [];
      return [toWarning(secret.status, namespace, name)];
    });
    const entries = read.flatMap(({ secret }) => (secret.status === 'found' ? secret.found : []));
    return {
      keyring: createKeyring(entries),
      warnings: [
        ...new Set(warnings),
        ...(names.length > maxSecrets ? [pullSecretWarning.tooMany(maxSecrets)] : []),
      ],
    };
  }

  return {
    async keyring({ namespace, names, serviceAccount = 'default' }, signal) {
      if (names.length > 0) return await untilAborted(collect(namespace, names), signal);
      const account = await untilAborted(readAccount(namespace, serviceAccount), signal);
      if (account.status === 'found')
        return await untilAborted(collect(namespace, account.found), signal);
      const warning =
        account.status === 'absent'
          ? pullSecretWarning.absentAccount(serviceAccount)
          : toWarning(account.status, namespace, '');
      return { keyring: createKeyring([]), warnings: [warning] };
    },

    async serviceAccountSecrets(namespace, name, signal) {
      const account = await untilAborted(readAccount(namespace, name), signal);
      return account.status === 'found' ? account.found : undefined;
    },

    async hasSecret(namespace, name, signal) {
      const { status } = await untilAborted(readSecret(namespace, name), signal);
      if (status === 'absent') return false;
      return status === 'found' || status === 'broken' ? true : undefined;
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

/** A slash is in no namespace's name. */
function toKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** A silence is not remembered: the next one to ask may be luckier. */
function isLasting({ status }: { readonly status: string }): boolean {
  return status !== 'unavailable';
}

function toWarning(
  status: Exclude<PullSecret['status'], 'found'>,
  namespace: string,
  name: string,
): string {
  switch (status) {
    case 'forbidden':
      return pullSecretWarning.forbidden(namespace);
    case 'unavailable':
      return pullSecretWarning.unavailable();
    case 'absent':
      return pullSecretWarning.absent(name);
    case 'broken':
      return pullSecretWarning.broken(name);
  }
}
