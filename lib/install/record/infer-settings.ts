import * as v from 'valibot';
import { configVariables } from '../../config/variables.ts';
import { gatewayNamespaces } from '../excluded-namespaces.ts';
import { toWorkloads } from '../rules.ts';
import type { InstallSettings } from '../settings.ts';
import { isRecorded } from './recorded-variables.ts';
import { recordAnnotation } from './settings-record.ts';

/** The objects of an installation that has no record yet, as JSON; absent if they do not exist. */
export interface LiveObjects {
  /** The Knative Service. */
  readonly service?: unknown;
  /** The MutatingWebhookConfiguration. */
  readonly webhook?: unknown;
  readonly serviceAccount?: unknown;
}

const serviceSchema = v.object({
  spec: v.object({
    template: v.object({
      spec: v.object({
        containers: v.tuple([
          v.object({
            image: v.string(),
            env: v.optional(
              v.array(v.object({ name: v.string(), value: v.optional(v.string(), '') })),
              [],
            ),
          }),
        ]),
      }),
    }),
  }),
});

const labels = v.optional(v.record(v.string(), v.string()), {});

const webhookSchema = v.object({
  metadata: v.optional(v.object({ annotations: labels }), {}),
  webhooks: v.pipe(
    v.array(
      v.object({
        failurePolicy: v.string(),
        timeoutSeconds: v.number(),
        namespaceSelector: v.optional(v.object({ matchLabels: labels }), {}),
        rules: v.array(
          v.object({ apiGroups: v.array(v.string()), resources: v.array(v.string()) }),
        ),
        clientConfig: v.object({
          url: v.optional(v.string()),
          service: v.optional(
            v.object({
              name: v.string(),
              namespace: v.string(),
              path: v.optional(v.string(), '/'),
            }),
          ),
        }),
      }),
    ),
    v.minLength(1),
  ),
});

/** The annotation of a webhook configuration that `deploy` wrote. */
const copySchema = v.object({
  metadata: v.object({
    annotations: v.object({
      [recordAnnotation]: v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.string())),
    }),
  }),
});

const accountSchema = v.object({ metadata: v.object({ annotations: labels }) });

/** Annotations of a ServiceAccount that stand for an entry of `CLOUD_IDENTITY`. */
const identityAnnotations = [
  'eks.amazonaws.com/role-arn',
  'iam.gke.io/gcp-service-account',
  'azure.workload.identity/client-id',
];

type Settings = Readonly<Record<string, string>>;

/**
 * Reads the settings of an installation without a record: its namespace was deleted, or it was made before settings were recorded.
 * `undefined` if there is no installation. In the second case, an identity without an annotation (`pod-identity`, `gke`,
 * `node-role`) leaves no trace, so it must be set once more.
 */
export function inferSettings(
  { service, webhook, serviceAccount }: LiveObjects,
  { name, namespace }: Pick<InstallSettings, 'name' | 'namespace'>,
): Settings | undefined {
  const copy = v.safeParse(copySchema, webhook);
  if (copy.success) return copy.output.metadata.annotations[recordAnnotation];
  const registered = v.safeParse(webhookSchema, webhook);
  const running = v.safeParse(serviceSchema, service);
  if (!running.success) {
    // The Go original has a webhook configuration of the same name, and namespaces that it opted in.
    return registered.success ? withoutEmpty(toLabel(registered.output)) : undefined;
  }
  const account = v.safeParse(accountSchema, serviceAccount);
  return withoutEmpty({
    ...fromService(running.output),
    ...(registered.success && fromWebhook(registered.output, { name, namespace })),
    ...(account.success && fromAccount(account.output)),
  });
}

function withoutEmpty(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ''));
}

function toLabel({ webhooks: [webhook] }: v.InferOutput<typeof webhookSchema>): Settings {
  return { LABEL_VALUE: webhook?.namespaceSelector.matchLabels?.['image-cloner'] ?? '' };
}

function fromService({ spec }: v.InferOutput<typeof serviceSchema>): Settings {
  const [{ image, env }] = spec.template.spec.containers;
  const known = new Set(configVariables.map(({ name }) => name).filter(isRecorded));
  return {
    IMAGE: image,
    ...Object.fromEntries(
      env.filter(({ name }) => known.has(name)).map(({ name, value }) => [name, value]),
    ),
  };
}

function fromWebhook(
  configuration: v.InferOutput<typeof webhookSchema>,
  installation: Pick<InstallSettings, 'name' | 'namespace'>,
): Settings {
  const [webhook] = configuration.webhooks;
  if (webhook === undefined) return {};
  const { failurePolicy, timeoutSeconds, rules, clientConfig } = webhook;
  return {
    FAILURE_POLICY: failurePolicy,
    TIMEOUT_SECONDS: String(timeoutSeconds),
    WORKLOADS: toWorkloads(rules).join(','),
    ...toLabel(configuration),
    ...(clientConfig.url !== undefined && fromUrl(clientConfig.url)),
    ...(clientConfig.service !== undefined && fromRoute(clientConfig.service, installation)),
  };
}

function fromUrl(text: string): Settings {
  const url = URL.parse(text);
  return url === null ? {} : { WEBHOOK_URL: url.origin, WEBHOOK_PATH: url.pathname };
}

function fromRoute(
  route: { readonly name: string; readonly namespace: string; readonly path: string },
  { name, namespace }: Pick<InstallSettings, 'name' | 'namespace'>,
): Settings {
  const isDirect = route.namespace === namespace;
  const gateway = Object.entries(gatewayNamespaces).find(([, each]) => each === route.namespace);
  const usual = isDirect ? `${name}-webhook` : name;
  return {
    WIRING: isDirect ? 'direct' : 'gateway',
    WEBHOOK_PATH: route.path,
    ...(gateway !== undefined && { GATEWAY: gateway[0] }),
    ...(route.name !== usual && { SERVICE_NAME: route.name }),
    ...(!isDirect && gateway === undefined && { SERVICE_NAMESPACE: route.namespace }),
  };
}

function fromAccount({ metadata }: v.InferOutput<typeof accountSchema>): Settings {
  const identities = identityAnnotations.flatMap(
    (annotation) => metadata.annotations?.[annotation] ?? [],
  );
  return { CLOUD_IDENTITY: identities.join(',') };
}
