import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isSeq } from 'yaml';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { parseYaml } from '../../../lib/install/yaml.ts';
import { mustKubectl } from '../kubectl.ts';
import { serviceLabel } from '../objects.ts';
import type { DeploySettings } from '../settings.ts';
import { joinPolicies, toIdentityPolicy } from './identity.ts';

/** YAML, applied in this order. The webhook configuration of `just gen` comes last. */
export interface Manifests {
  /** Namespace and ServiceAccount. */
  readonly namespace: string;
  /** RBAC of the ServiceAccount, and the NetworkPolicy of its pods. */
  readonly access: string;
  /** The NetworkPolicy that opens what a cloud identity needs; empty if it needs nothing. */
  readonly identity: string;
  /** The Knative Service. */
  readonly service: string;
  /** The Service that the API server calls; ClusterDomainClaim and DomainMapping for a gateway, else a NetworkPolicy. */
  readonly wiring: string;
}

export const manifestsDir = join(import.meta.dirname, '../../../knative');
const podSpec = ['spec', 'template', 'spec'];
const container = [...podSpec, 'containers', 0];
/** Each installation has its own policy. */
const policyPods = ['spec', 'podSelector', 'matchLabels', serviceLabel];

/** The webhook of Microsoft Entra Workload ID mounts a token into pods with this label. */
const azureLabel = 'azure.workload.identity/use';

/** Reads the manifests of knative/ and fills in the names, image and configuration of this installation. */
export async function readManifests(settings: DeploySettings): Promise<Manifests> {
  const { variant, install } = settings;
  const isDirect = install.wiring === 'direct';
  const text = (...path: readonly string[]): Promise<string> =>
    readFile(join(manifestsDir, ...path), 'utf8');
  const [namespace, rbac, networkPolicy, service, wiring, ...identities] = await Promise.all([
    text('namespace.yaml'),
    text('rbac.yaml'),
    text('network-policy.yaml'),
    mustKubectl(['kustomize', join(manifestsDir, isDirect ? 'direct' : '', variant)]),
    isDirect ? text('direct', 'service.yaml') : text('gateway', `${install.gateway}.yaml`),
    ...install.cloudIdentities.map(({ kind }) => text('cloud', `${kind}.yaml`)),
  ]);
  const access = `${rbac}---\n${networkPolicy}`;
  const identity = joinPolicies(identities);
  return fillManifests({ namespace, access, identity, service, wiring }, settings);
}

/** Fills in the names, image and configuration of this installation. Pure. */
export function fillManifests(
  { namespace, access, identity, service, wiring }: Manifests,
  settings: DeploySettings,
): Manifests {
  const { install } = settings;
  return {
    namespace: edit(namespace, (object) => fillNamespace(object, install)),
    access: edit(access, (object) => fillAccess(object, install)),
    identity: edit(identity, (object) => fillIdentity(object, install)),
    service: edit(service, (object) => fillService(object, settings)),
    wiring: edit(wiring, (object) => fillWiring(object, install)),
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

function fillIdentity(object: Document, { name, namespace }: InstallSettings): void {
  setName(object, { name: toIdentityPolicy(name), namespace });
  object.setIn(policyPods, name);
}

function fillAccess(object: Document, { name, namespace, service }: InstallSettings): void {
  object.setIn(['metadata', 'namespace'], namespace);
  if (object.get('kind') === 'RoleBinding') {
    object.setIn(['subjects', 0, 'namespace'], namespace);
  }
  if (object.get('kind') !== 'NetworkPolicy') return;
  object.setIn(['metadata', 'name'], name);
  object.setIn(policyPods, name);
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
  for (const [name, value] of env) object.addIn([...container, 'env'], { name, value });
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

function fillWiring(object: Document, { name, namespace, service }: InstallSettings): void {
  const host = toHost(service);
  switch (object.get('kind')) {
    case 'Service': {
      setName(object, service);
      const selected = ['spec', 'selector', serviceLabel];
      if (object.hasIn(selected)) object.setIn(selected, name);
      break;
    }
    case 'NetworkPolicy':
      setName(object, { name: service.name, namespace });
      object.setIn(policyPods, name);
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

/** The host that the API server calls; also the name of the DomainMapping and its claim. */
export function toHost({ name, namespace }: InstallSettings['service']): string {
  return `${name}.${namespace}.svc`;
}

function edit(yaml: string, change: (object: Document) => void): string {
  const objects = parseYaml(yaml);
  for (const object of objects) change(object);
  return toYaml(objects);
}

/** Joins documents into one YAML stream. */
export function toYaml(objects: readonly Document[]): string {
  // Only some documents have their own marker.
  return objects.map((object) => String(object).replace(/^---\n/, '')).join('---\n');
}
