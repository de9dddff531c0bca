import { ConfigError } from '../../lib/errors.ts';
import { toSettingsRecord } from '../../lib/install/record/index.ts';
import { formatYaml } from '../../lib/install/yaml.ts';
import { readManifests, toRegistration } from './manifests/index.ts';
import { type DeploySettings, withRecorded } from './settings.ts';

export interface RenderOptions {
  /** Leaves the CA of the webhook configuration and the TLS Secret to `renew`, which owns them. */
  readonly withoutCa: boolean;
}

/**
 * Everything that `deploy` applies, in its order, as one YAML stream for Argo CD, Flux or a reviewer. Rejects with `ConfigError` if a
 * controller that applies it again would put an old CA back.
 */
export async function render(given: DeploySettings, { withoutCa }: RenderOptions): Promise<string> {
  const { install } = given;
  const settings = withRecorded(given, { LABEL_VALUE: install.labelValue });
  if (!withoutCa && install.certificates !== 'cert-manager') {
    throw new ConfigError([
      'render needs CERTIFICATES=cert-manager, or --without-ca, which leaves the CA and the TLS Secret to "image-cloner renew": a controller that applies the output again would put an old CA back, and the API server would refuse every write in opted-in namespaces',
    ]);
  }
  const manifests = await readManifests(settings);
  const { namespace, access, identity, service, budget, wiring, certificates } = manifests;
  return [
    `${toHead(settings)}${namespace.replace(/^---\n/, '')}`,
    formatYaml(toSettingsRecord(install, settings.record)),
    access,
    identity,
    certificates,
    service,
    budget,
    wiring,
    `${lastComment}${formatYaml(withoutBundle(settings))}`,
  ]
    .filter((yaml) => yaml.trim() !== '')
    .map((yaml) => yaml.replace(/^---\n/, ''))
    .join('---\n');
}

/** The comment of the first document. */
function toHead({ install, registryAuth, files, backupPullSecret }: DeploySettings): string {
  const { name, namespace } = install;
  const secrets = [
    ...(['auto', 'file'].includes(registryAuth)
      ? ['registry-auth with username and password of the backup']
      : []),
    ...(files.length === 0 ? [] : [`image-cloner-files with ${files.join(' and ')}`]),
    ...(install.certificates === 'cert-manager'
      ? []
      : [`${name}-tls, which "image-cloner renew" creates`]),
    ...(backupPullSecret === undefined
      ? []
      : [`${backupPullSecret} in each namespace of workloads ("image-cloner pull-secret")`]),
  ];
  return `# Secrets that are not here, in ${namespace} if nothing else is said:\n${secrets.map((each) => `# - ${each}\n`).join('')}`;
}

const lastComment = `# Apply this last, when the webhook answers: from then on the API server refuses writes that it cannot have reviewed.
# Argo CD: annotation argocd.argoproj.io/sync-wave with a higher number. Flux: a Kustomization with dependsOn.
`;

/** The owner of `caBundle` is another. */
function withoutBundle(settings: DeploySettings): object {
  const configuration = toRegistration(settings, '');
  return {
    ...configuration,
    webhooks: configuration.webhooks.map((webhook) => {
      const { caBundle: _, ...clientConfig } = webhook.clientConfig;
      return { ...webhook, clientConfig };
    }),
  };
}
