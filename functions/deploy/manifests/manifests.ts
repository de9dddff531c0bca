import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isSeq } from 'yaml';
import { toCertManagerObjects } from '../../../lib/install/cert-manager.ts';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { formatYaml } from '../../../lib/install/yaml.ts';
import type { DeploySettings } from '../settings.ts';
import { toDeployment } from './deployment.ts';
import { edit } from './edit.ts';
import { joinPolicies, toIdentityPolicy } from './identity.ts';
import { applyPatches } from './patches.ts';
import { toEndpointLabels, toPodLabels } from './pod-labels.ts';
import { fillRenewal } from './renewal.ts';

/** YAML, applied in this order. The webhook configuration of `just gen` comes last. */
export interface Manifests {
  /** Namespace and ServiceAccount. */
  readonly namespace: string;
  /** RBAC of the ServiceAccount, and the NetworkPolicy of its pods. */
  readonly access: string;
  /** The NetworkPolicy that opens what a cloud identity needs; empty if it needs nothing. */
  readonly identity: string;
  /** The Knative Service or the Deployment. */
  readonly service: string;
  /** The PodDisruptionBudget; empty for a single pod, whose node could not be drained with one. */
  readonly budget: string;
  /** The Service that the API server calls; ClusterDomainClaim and DomainMapping for a gateway, else a NetworkPolicy. */
  readonly wiring: string;
  /** The CronJob that renews the certificate, or the objects of cert-manager; empty with `CERTIFICATES=files`. */
  readonly certificates: string;
}

export const manifestsDir = join(import.meta.dirname, '../../../knative');
const policyPods = ['spec', 'podSelector'];
const minScale = [
  'spec',
  'template',
  'metadata',
  'annotations',
  'autoscaling.knative.dev/min-scale',
];
const podSpec = ['spec', 'template', 'spec'];
const container = [...podSpec, 'containers', 0];

/** The webhook of Microsoft Entra Workload ID mounts a token into pods with this label. */
const azureLabel = 'azure.workload.identity/use';

/** Reads the manifests of knative/ and fills in the names, image and configuration of this installation. */
export async function readManifests(settings: DeploySettings): Promise<Manifests> {
  const { variant, install } = settings;
  const isDirect = install.wiring === 'direct';
  const [
    namespace,
    rbac,
    events,
    networkPolicy,
    budget,
    service,
    wiring,
    certificates,
    ...identities
  ] = await Promise.all([
    readText('namespace.yaml'),
    readText('rbac.yaml'),
    settings.env.get('EVENTS') === 'false' ? '' : readText('events.yaml'),
    readText('network-policy.yaml'),
    install.minScale > 1 ? readText('disruption-budget.yaml') : '',
    readService(variant, isDirect),
    isDirect ? readText('direct', 'service.yaml') : readText('gateway', `${install.gateway}.yaml`),
    install.certificates === 'renew' ? readText('renewal', 'renewal.yaml') : '',
    ...install.cloudIdentities.map(({ kind }) => readText('cloud', `${kind}.yaml`)),
  ]);
  const access = [rbac, events, networkPolicy].filter((yaml) => yaml !== '').join('---\n');
  const identity = joinPolicies(identities);
  return fillManifests(
    { namespace, access, identity, service, budget, wiring, certificates },
    settings,
  );
}

async function readText(...path: readonly string[]): Promise<string> {
  return await readFile(join(manifestsDir, ...path), 'utf8');
}

/** The Knative Service of one overlay of knative/. */
async function readService(variant: DeploySettings['variant'], isDirect: boolean): Promise<string> {
  const [base, ...patches] = await Promise.all([
    readText('base', 'service.yaml'),
    readText(variant, 'patch.yaml'),
    ...(isDirect ? [readText('direct', 'component', 'patch.yaml')] : []),
  ]);
  return applyPatches(base, patches);
}

/** Fills in the names, image and configuration of this installation. Pure. */
export function fillManifests(
  { namespace, access, identity, service, budget, wiring, certificates }: Manifests,
  settings: DeploySettings,
): Manifests {
  const { install } = settings;
  return {
    namespace: edit(namespace, (object) => fillNamespace(object, install)),
    access: edit(access, (object) => fillAccess(object, install)),
    identity: edit(identity, (object) => fillIdentity(object, install)),
    service:
      install.serving === 'knative'
        ? edit(service, (object) => fillService(object, settings))
        : toDeployment(
            edit(service, (object) => fillService(object, settings)),
            install,
          ),
    budget: edit(budget, (object) => {
      setName(object, install);
      selectPods(object, ['spec', 'selector'], install);
    }),
    wiring: edit(wiring, (object) => fillWiring(object, install)),
    certificates:
      install.certificates === 'cert-manager'
        ? toCertManagerObjects(install).map(formatYaml).join('---\n')
        : fillRenewal(certificates, settings),
  };
}

function fillNamespace(object: Document, { namespace, cloudIdentities }: InstallSettings): void {
  const isNamespace = object.get('kind') === 'Namespace';
  object.setIn(['metadata', isNamespace ? 'name' : 'namespace'], namespace);
  if (isNamespace) return;
  for (const { annotation } of cloudIdentities) {
    if (annotation === undefined) continue;
    object.setIn(['metadata', 'annotations', annotation.name], annotation.value);
  }
}

function fillIdentity(object: Document, install: InstallSettings): void {
  const { name, namespace } = install;
  setName(object, { name: toIdentityPolicy(name), namespace });
  selectPods(object, policyPods, install);
}

/** Each installation selects its own pods. */
function selectPods(object: Document, selector: readonly string[], install: InstallSettings): void {
  object.setIn([...selector, 'matchLabels'], object.createNode(toPodLabels(install)));
}

function fillAccess(object: Document, install: InstallSettings): void {
  const { name, namespace, service } = install;
  const kind = String(object.get('kind'));
  // Cluster-scoped objects have a name for each installation.
  if (kind.startsWith('Cluster')) object.setIn(['metadata', 'name'], toEventsName(name));
  else object.setIn(['metadata', 'namespace'], namespace);
  if (kind === 'ClusterRoleBinding') object.setIn(['roleRef', 'name'], toEventsName(name));
  if (kind.endsWith('RoleBinding')) object.setIn(['subjects', 0, 'namespace'], namespace);
  if (object.get('kind') !== 'NetworkPolicy') return;
  object.setIn(['metadata', 'name'], name);
  selectPods(object, policyPods, install);
  const path = ['spec', 'ingress', 0, 'from', 0, 'namespaceSelector', 'matchExpressions', 0];
  const callers = object.getIn([...path, 'values']);
  if (!isSeq(callers)) return;
  if (!callers.items.some((item) => String(item) === service.namespace)) {
    callers.add(service.namespace);
  }
}

function fillService(object: Document, { install, image, env }: DeploySettings): void {
  setName(object, install);
  object.setIn([...container, 'image'], image);
  object.setIn(minScale, String(install.minScale));
  for (const [name, value] of env) object.addIn([...container, 'env'], { name, value });
  const variables = object.getIn([...container, 'env']);
  // Of `[]` in the file; one line per variable is easier to read.
  if (isSeq(variables)) variables.flow = false;
  if (install.cloudIdentities.some(({ kind }) => kind === 'azure')) {
    object.setIn(['spec', 'template', 'metadata', 'labels', azureLabel], 'true');
  }
  const volumes = object.getIn([...podSpec, 'volumes']);
  if (!isSeq(volumes)) return;
  for (const volume of volumes.items) {
    if (isMap(volume) && volume.get('name') === 'tls') {
      volume.setIn(['secret', 'secretName'], `${install.name}-tls`);
    }
  }
}

function fillWiring(object: Document, install: InstallSettings): void {
  const { name, namespace, service, wiring } = install;
  const host = toHost(service);
  switch (object.get('kind')) {
    case 'Service': {
      setName(object, service);
      // A gateway's Service selects the pods of the gateway.
      if (wiring === 'direct') {
        object.setIn(['spec', 'selector'], object.createNode(toEndpointLabels(install)));
      }
      break;
    }
    case 'NetworkPolicy':
      setName(object, { name: service.name, namespace });
      selectPods(object, policyPods, install);
      break;
    case 'ClusterDomainClaim':
      object.setIn(['metadata', 'name'], host);
      object.setIn(['spec', 'namespace'], namespace);
      break;
    default:
      setName(object, { name: host, namespace });
      object.setIn(['spec', 'ref', 'name'], name);
      object.setIn(['spec', 'tls', 'secretName'], `${name}-tls`);
  }
}

function setName(object: Document, { name, namespace }: InstallSettings['service']): void {
  object.setIn(['metadata', 'name'], name);
  object.setIn(['metadata', 'namespace'], namespace);
}

/** The name of the cluster-scoped right to write Events. */
export function toEventsName(name: string): string {
  return `${name}-events`;
}

/** The host that the API server calls; also the name of the DomainMapping and its claim. */
export function toHost({ name, namespace }: InstallSettings['service']): string {
  return `${name}.${namespace}.svc`;
}
