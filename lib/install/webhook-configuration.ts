import { excludedNamespaces } from './excluded-namespaces.ts';
import { type MatchCondition, toEditConditions, toMatchConditions } from './match-conditions.ts';
import { toRules, type WebhookRule } from './rules.ts';
import type { InstallSettings } from './settings.ts';

/** A MutatingWebhookConfiguration (admissionregistration.k8s.io/v1) with the fields that image-cloner sets. */
export interface WebhookConfiguration {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'MutatingWebhookConfiguration';
  readonly metadata: { readonly name: string };
  /** The second one reviews edited names of copies; it needs a known backup. */
  readonly webhooks: readonly [Webhook, ...(readonly Webhook[])];
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
      readonly service: InstallSettings['service'] & { readonly port: 443; readonly path: string };
    };

/** The label that opts a namespace in (`LABEL_VALUE`) and an object out (`disabled`). */
const label = 'image-cloner';

/** Returns the configuration that registers the webhook with the API server. `ca` is PEM. */
export function toWebhookConfiguration(
  settings: InstallSettings,
  ca: string,
): WebhookConfiguration {
  const { service, workloads, failurePolicy, backup } = settings;
  // The API server requires at least three DNS labels.
  const name = `${service.name}.${service.namespace}.svc`;
  const reviews = toWebhook(settings, ca, {
    name,
    failurePolicy,
    rules: toRules(workloads),
    matchConditions: toMatchConditions(backup),
  });
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: settings.name },
    webhooks:
      backup === undefined
        ? [reviews]
        : [
            reviews,
            toWebhook(settings, ca, {
              name: `edits.${name}`,
              failurePolicy: 'Ignore',
              rules: toRules(workloads).map((rule) => ({ ...rule, operations: ['UPDATE'] })),
              matchConditions: toEditConditions(backup),
            }),
          ],
  };
}

function toWebhook(
  settings: InstallSettings,
  ca: string,
  part: Pick<Webhook, 'name' | 'failurePolicy' | 'rules' | 'matchConditions'>,
): Webhook {
  return {
    name: part.name,
    admissionReviewVersions: ['v1'],
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: settings.timeoutSeconds,
    failurePolicy: part.failurePolicy,
    // Otherwise a sidecar that a later webhook adds would not be reviewed.
    reinvocationPolicy: 'IfNeeded',
    matchPolicy: 'Equivalent',
    namespaceSelector: {
      matchLabels: { [label]: settings.labelValue },
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
    rules: part.rules,
    matchConditions: part.matchConditions,
    clientConfig: { ...toEndpoint(settings), caBundle: btoa(ca) },
  };
}

/** Returns the namespaces whose objects are never reviewed, whatever their labels. */
export function toExcludedNamespaces({
  namespace,
  service,
  registryNamespace,
}: InstallSettings): readonly string[] {
  const required = [namespace, service.namespace, ...excludedNamespaces];
  const all = registryNamespace === undefined ? required : [...required, registryNamespace];
  return [...new Set(all)].toSorted();
}

function toEndpoint({ url, service, path }: InstallSettings): Endpoint {
  if (url !== undefined) return { url: `${url}${path}` };
  return { service: { namespace: service.namespace, name: service.name, port: 443, path } };
}
