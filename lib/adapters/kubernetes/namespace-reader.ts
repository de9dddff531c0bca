import { ApiException, type ConfigurationOptions, type CoreV1Api } from '@kubernetes/client-node';
import type { Logger, Lookup, NamespaceReader } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { createKeptConnections } from './api-call.ts';
import { toProblem } from './problem.ts';

export interface NamespaceReaderDeps {
  /** Narrowed to what is used: RBAC allows no more. */
  readonly api: Pick<
    CoreV1Api,
    'readNamespace' | 'readNamespacedSecret' | 'readNamespacedServiceAccount'
  >;
  readonly logger: Logger;
}

/** Others' annotations are nobody's business here, and may be large. */
const ownPrefix = 'image-cloner/';
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const namePattern =
  /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export function createNamespaceReader({ api, logger }: NamespaceReaderDeps): NamespaceReader {
  const begin = createKeptConnections();

  async function look<Found>(
    kind: 'Namespace' | 'Secret' | 'ServiceAccount',
    { namespace, name }: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
    read: (options: ConfigurationOptions) => Promise<Found>,
  ): Promise<Lookup<Found>> {
    // Names come from reviews, and the SDK would put a name like `..` into its URL.
    if (!namespacePattern.test(namespace) || !namePattern.test(name)) return { status: 'absent' };
    const { options, abandonConnection } = begin(signal);
    try {
      return { status: 'found', found: await untilAborted(read(options), signal) };
    } catch (error) {
      const status = error instanceof ApiException ? error.code : undefined;
      if (status === 404) return { status: 'absent' };
      if (status === 403) return { status: 'forbidden' };
      if (status === undefined) abandonConnection();
      // The SDK's errors quote what was answered, which may be a secret: they reach neither the log nor anybody else.
      logger.warn(
        { kind, namespace, name, problem: toProblem(error, signal) },
        'the API server was asked in vain',
      );
      return { status: 'unavailable' };
    }
  }

  return {
    readSecret: (namespace, name, signal) =>
      look('Secret', { namespace, name }, signal, async (options) => {
        const { type, data } = await api.readNamespacedSecret({ namespace, name }, options);
        return { type: type ?? '', data: data ?? {} };
      }),
    readPullSecretNames: (namespace, name, signal) =>
      look('ServiceAccount', { namespace, name }, signal, async (options) => {
        const account = await api.readNamespacedServiceAccount({ namespace, name }, options);
        const names = (account.imagePullSecrets ?? []).map((secret) => secret.name ?? '');
        return names.filter((secret) => secret !== '');
      }),
    readAnnotations: (namespace, signal) =>
      look('Namespace', { namespace, name: namespace }, signal, async (options) => {
        const { metadata } = await api.readNamespace({ name: namespace }, options);
        const annotations = Object.entries(metadata?.annotations ?? {});
        return new Map(annotations.filter(([key]) => key.startsWith(ownPrefix)));
      }),
  };
}
