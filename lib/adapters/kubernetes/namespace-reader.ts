import type { ConfigurationOptions, CoreV1Api } from '@kubernetes/client-node';
import type { Logger, Lookup, NamespaceReader } from '../../ports/index.ts';
import { createApiCall } from './api-call.ts';

export interface NamespaceReaderDeps {
  /** The calls that RBAC must allow. */
  readonly api: Pick<
    CoreV1Api,
    'readNamespace' | 'readNamespacedSecret' | 'readNamespacedServiceAccount'
  >;
  readonly logger: Logger;
}

/** Other annotations can be large and can hold data that image-cloner must not keep. */
const ownPrefix = 'image-cloner/';
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const namePattern =
  /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Reads single objects through the API server, without a cache. */
export function createNamespaceReader({ api, logger }: NamespaceReaderDeps): NamespaceReader {
  const callApi = createApiCall();

  async function lookUp<Found>(
    kind: 'Namespace' | 'Secret' | 'ServiceAccount',
    { namespace, name }: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
    request: (options: ConfigurationOptions) => Promise<Found>,
  ): Promise<Lookup<Found>> {
    // Names come from reviews, and the SDK does not escape `..` in its URLs.
    if (!namespacePattern.test(namespace) || !namePattern.test(name)) return { status: 'absent' };
    const result = await callApi(signal, request);
    if (result.isOk) return { status: 'found', found: result.body };
    const { code, problem } = result;
    if (code === 404) return { status: 'absent' };
    if (code === 403) return { status: 'forbidden' };
    logger.warn({ kind, namespace, name, problem }, 'API server request failed');
    return { status: 'unavailable' };
  }

  return {
    readSecret: (namespace, name, signal) =>
      lookUp('Secret', { namespace, name }, signal, async (options) => {
        const { type, data } = await api.readNamespacedSecret({ namespace, name }, options);
        return { type: type ?? '', data: data ?? {} };
      }),
    readPullSecretNames: (namespace, name, signal) =>
      lookUp('ServiceAccount', { namespace, name }, signal, async (options) => {
        const account = await api.readNamespacedServiceAccount({ namespace, name }, options);
        return (account.imagePullSecrets ?? []).flatMap((secret) => secret.name || []);
      }),
    readAnnotations: (namespace, signal) =>
      lookUp('Namespace', { namespace, name: namespace }, signal, async (options) => {
        const { metadata } = await api.readNamespace({ name: namespace }, options);
        const annotations = Object.entries(metadata?.annotations ?? {});
        return new Map(annotations.filter(([key]) => key.startsWith(ownPrefix)));
      }),
  };
}
