import {
  type AdmissionregistrationV1Api,
  type ConfigurationOptions,
  type CoreV1Api,
  setHeaderOptions,
  type V1MutatingWebhookConfiguration,
} from '@kubernetes/client-node';
import type { CertificateStore, StoredCertificate } from '../../ports/index.ts';
import { createApiCall } from './api-call.ts';

export interface CertificateStoreDeps {
  /** The calls that RBAC must allow. */
  readonly api: Pick<CoreV1Api, 'readNamespacedSecret' | 'patchNamespacedSecret'>;
  readonly registrations: Pick<
    AdmissionregistrationV1Api,
    'readMutatingWebhookConfiguration' | 'patchMutatingWebhookConfiguration'
  >;
  readonly namespace: string;
  readonly secretName: string;
  readonly configurationName: string;
  /** Of one request. @default 10 seconds */
  readonly timeoutMs?: number;
}

type Verb = 'read' | 'change' | 'create';

const fieldManager = 'image-cloner-renewal';
const versionPath = '/metadata/resourceVersion';

/** The Secret and the MutatingWebhookConfiguration of one installation. */
export function createCertificateStore({
  api,
  registrations,
  namespace,
  secretName,
  configurationName,
  timeoutMs = 10_000,
}: CertificateStoreDeps): CertificateStore {
  const callApi = createApiCall();
  const secret = { namespace, name: secretName };
  const secretText = `the Secret ${secretName} in ${namespace}`;
  const configurationText = `the MutatingWebhookConfiguration ${configurationName}`;

  /** `undefined` for one of the `expected` codes. */
  async function call<Body>(
    verb: Verb,
    what: string,
    expected: readonly number[],
    signal: AbortSignal,
    request: (options: ConfigurationOptions) => Promise<Body>,
  ): Promise<Body | undefined> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const result = await callApi(within, request);
    if (result.isOk) return result.body;
    const { code, problem } = result;
    if (code !== undefined && expected.includes(code)) return undefined;
    const reason = code === 403 ? 'no permission; apply knative/renewal/renewal.yaml' : problem;
    throw new Error(`cannot ${verb} ${what}: ${reason}`);
  }

  /** The API server answers 422 if the version is another one, and 404 if the object is gone. */
  async function replace(
    what: string,
    signal: AbortSignal,
    request: (options: ConfigurationOptions) => Promise<unknown>,
  ): Promise<boolean> {
    return (await call('change', what, [404, 409, 422], signal, request)) !== undefined;
  }

  return {
    async read(signal) {
      const [found, configuration] = await Promise.all([
        call('read', secretText, [404], signal, (options) =>
          api.readNamespacedSecret(secret, options),
        ),
        call('read', configurationText, [404], signal, (options) =>
          registrations.readMutatingWebhookConfiguration({ name: configurationName }, options),
        ),
      ]);
      return {
        ...(found !== undefined && {
          secret: {
            data: found.data ?? {},
            annotations: found.metadata?.annotations ?? {},
            version: found.metadata?.resourceVersion ?? '',
          },
        }),
        ...(configuration !== undefined && { configuration: toConfiguration(configuration) }),
      };
    },
    async createSecret({ type, labels, data, annotations }, signal) {
      // Server-side apply, because RBAC can restrict it to one name: a `create` request has no name to compare. It fails with 409 if
      // another client has created the Secret meanwhile.
      const body = {
        apiVersion: 'v1',
        kind: 'Secret',
        type,
        metadata: { name: secretName, namespace, labels, annotations },
        data,
      };
      const created = await call('create', secretText, [409], signal, (options) =>
        api.patchNamespacedSecret(
          { ...secret, body, fieldManager },
          setHeaderOptions('Content-Type', 'application/apply-patch+yaml', options),
        ),
      );
      return created !== undefined;
    },
    replaceSecret: ({ data, annotations, version }, signal) =>
      replace(secretText, signal, (options) => {
        const body = [
          { op: 'test', path: versionPath, value: version },
          { op: 'add', path: '/data', value: data },
          { op: 'add', path: '/metadata/annotations', value: annotations },
        ];
        return api.patchNamespacedSecret({ ...secret, body, fieldManager }, options);
      }),
    replaceBundles: ({ caBundles, version }, signal) =>
      replace(configurationText, signal, (options) => {
        const body = [
          { op: 'test', path: versionPath, value: version },
          ...caBundles.map((value, index) => ({
            op: 'add',
            path: `/webhooks/${index}/clientConfig/caBundle`,
            value,
          })),
        ];
        const patch = { name: configurationName, body, fieldManager };
        return registrations.patchMutatingWebhookConfiguration(patch, options);
      }),
  };
}

function toConfiguration({
  metadata,
  webhooks = [],
}: V1MutatingWebhookConfiguration): NonNullable<StoredCertificate['configuration']> {
  const service = webhooks[0]?.clientConfig.service;
  return {
    ...(service !== undefined && {
      service: { name: service.name, namespace: service.namespace },
    }),
    caBundles: webhooks.map(({ clientConfig }) => clientConfig.caBundle ?? ''),
    // The API server raises the generation with each change of the webhooks.
    revision: `${metadata?.uid ?? ''}/${metadata?.generation ?? ''}`,
    version: metadata?.resourceVersion ?? '',
  };
}
