import { excludedNamespaces } from './excluded-namespaces.ts';
import { type MatchCondition, toMatchConditions } from './match-conditions.ts';
import { toRules, type WebhookRule } from './rules.ts';
import type { InstallSettings } from './settings.ts';

/** A MutatingWebhookConfiguration (admissionregistration.k8s.io/v1) as we write it. */
export interface WebhookConfiguration {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'MutatingWebhookConfiguration';
  readonly metadata: { readonly name: string };
  readonly webhooks: readonly [Webhook];
}

interface Webhook {
  readonly name: string;
  readonly admissionReviewVersions: readonly string[];
  readonly sideEffects: 'NoneOnDryRun';
  readonly timeoutSeconds: number;
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly reinvocationPolicy: 'IfNeeded';
  readonly matchPolicy: 'Equivalent';
  readonly namespaceSelector: {
    readonly matchLabels: Readonly<Record<string, string>>;
    readonly matchExpressions: readonly SelectorExpression[];
  };
  readonly objectSelector: { readonly matchExpressions: readonly SelectorExpression[] };
  readonly rules: readonly WebhookRule[];
  readonly matchConditions: readonly MatchCondition[];
  readonly clientConfig: Endpoint & { readonly caBundle: string };
}

interface SelectorExpression {
  readonly key: string;
  readonly operator: 'NotIn';
  readonly values: readonly string[];
}

type Endpoint =
  | { readonly url: string }
  | {
      readonly service: {
        readonly namespace: string;
        readonly name: string;
        readonly port: number;
        readonly path: string;
      };
    };

/** On a namespace: the webhook looks after it. */
const label = 'image-cloner';

/** The object that makes the API server call us. `ca` is PEM. */
export function toWebhookConfiguration(
  settings: InstallSettings,
  ca: string,
): WebhookConfiguration {
  const { service } = settings;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: settings.name },
    webhooks: [
      {
        // Three DNS labels are the least that is accepted.
        name: `${service.name}.${service.namespace}.svc`,
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        timeoutSeconds: settings.timeoutSeconds,
        failurePolicy: settings.failurePolicy,
        // A sidecar that another webhook adds after us is seen only then.
        reinvocationPolicy: 'IfNeeded',
        matchPolicy: 'Equivalent',
        namespaceSelector: {
          matchLabels: { [label]: 'enabled' },
          matchExpressions: [
            {
              key: 'kubernetes.io/metadata.name',
              operator: 'NotIn',
              values: toExcludedNamespaces(settings),
            },
          ],
        },
        objectSelector: {
          matchExpressions: [{ key: label, operator: 'NotIn', values: ['disabled'] }],
        },
        rules: toRules(settings.workloads),
        matchConditions: toMatchConditions(settings.backup),
        clientConfig: { ...toEndpoint(settings), caBundle: btoa(ca) },
      },
    ],
  };
}

/** Namespaces from which the API server sends nothing, whatever their labels say. */
export function toExcludedNamespaces({
  namespace,
  service,
  registryNamespace,
}: InstallSettings): readonly string[] {
  const own = [namespace, service.namespace, ...excludedNamespaces];
  const all = registryNamespace === undefined ? own : [...own, registryNamespace];
  return [...new Set(all)].toSorted();
}

function toEndpoint({ url, service, path }: InstallSettings): Endpoint {
  if (url !== undefined) return { url: `${url}${path}` };
  return { service: { namespace: service.namespace, name: service.name, port: 443, path } };
}
