import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isSeq } from 'yaml';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { parseYaml } from '../../../lib/install/yaml.ts';
import { mustKubectl } from '../kubectl.ts';
import type { DeploySettings } from '../settings.ts';

/** What is applied, in this order; YAML. The webhook configuration is `just gen`'s and comes last. */
export interface Manifests {
  /** Namespace and ServiceAccount. */
  readonly namespace: string;
  /** What the ServiceAccount may do, and who may reach its pods. */
  readonly rights: string;
  /** The Knative Service. */
  readonly service: string;
  /**
   * The Service that the API server calls. With it, in front of a gateway: ClusterDomainClaim and DomainMapping; in front of the pods: who
   * may reach their port.
   */
  readonly wiring: string;
}

const folder = join(import.meta.dirname, '../../../knative');
const container = ['spec', 'template', 'spec', 'containers', 0];

/** The manifests of knative/, with this installation's names, image and configuration. */
export async function readManifests(settings: DeploySettings): Promise<Manifests> {
  const { variant, install } = settings;
  const isDirect = install.wiring === 'direct';
  const text = (...path: readonly string[]): Promise<string> =>
    readFile(join(folder, ...path), 'utf8');
  const [namespace, rbac, networkPolicy, service, wiring] = await Promise.all([
    text('namespace.yaml'),
    text('rbac.yaml'),
    text('network-policy.yaml'),
    mustKubectl(['kustomize', join(folder, isDirect ? 'direct' : '', variant)]),
    isDirect ? text('direct', 'service.yaml') : text('gateway', `${install.gateway}.yaml`),
  ]);
  const rights = `${rbac}---\n${networkPolicy}`;
  return fillManifests({ namespace, rights, service, wiring }, settings);
}

/** Puts this installation's names, image and configuration into what knative/ holds. Pure. */
export function fillManifests(
  { namespace, rights, service, wiring }: Manifests,
  settings: DeploySettings,
): Manifests {
  const { install } = settings;
  return {
    namespace: edit(namespace, (object) => fillNamespace(object, install)),
    rights: edit(rights, (object) => fillRights(object, install)),
    service: edit(service, (object) => fillService(object, settings)),
    wiring: edit(wiring, (object) => fillWiring(object, install)),
  };
}

function fillNamespace(object: Document, { namespace }: InstallSettings): void {
  if (object.get('kind') === 'Namespace') object.setIn(['metadata', 'name'], namespace);
  else object.setIn(['metadata', 'namespace'], namespace);
}

function fillRights(object: Document, { name, namespace, service }: InstallSettings): void {
  object.setIn(['metadata', 'namespace'], namespace);
  if (object.get('kind') === 'RoleBinding') {
    object.setIn(['subjects', 0, 'namespace'], namespace);
  }
  if (object.get('kind') !== 'NetworkPolicy') return;
  fillNetworkPolicy(object, name);
  const path = ['spec', 'ingress', 0, 'from', 0, 'namespaceSelector', 'matchExpressions', 0];
  const callers = object.getIn([...path, 'values']);
  if (!isSeq(callers)) return;
  if (!callers.items.some((item) => String(item) === service.namespace)) {
    callers.add(service.namespace);
  }
}

/** Two installations have a policy each: it is called like the Service that it stands before. */
function fillNetworkPolicy(object: Document, name: string): void {
  object.setIn(['metadata', 'name'], name);
  object.setIn(['spec', 'podSelector', 'matchLabels', 'serving.knative.dev/service'], name);
}

function fillService(object: Document, { install, image, env }: DeploySettings): void {
  object.setIn(['metadata', 'name'], install.name);
  object.setIn(['metadata', 'namespace'], install.namespace);
  object.setIn([...container, 'image'], image);
  for (const [name, value] of env) object.addIn([...container, 'env'], { name, value });
  const volumes = object.getIn(['spec', 'template', 'spec', 'volumes']);
  const count = isSeq(volumes) ? volumes.items.length : 0;
  for (const index of Array(count).keys()) {
    const volume = ['spec', 'template', 'spec', 'volumes', index];
    if (object.getIn([...volume, 'name']) === 'tls') {
      object.setIn([...volume, 'secret', 'secretName'], `${install.name}-tls`);
    }
  }
}

function fillWiring(object: Document, install: InstallSettings): void {
  const { name, namespace, service } = install;
  const kind = object.get('kind');
  if (kind === 'Service') {
    object.setIn(['metadata', 'name'], service.name);
    object.setIn(['metadata', 'namespace'], service.namespace);
    const selected = ['spec', 'selector', 'serving.knative.dev/service'];
    if (object.hasIn(selected)) object.setIn(selected, name);
    return;
  }
  if (kind === 'NetworkPolicy') {
    object.setIn(['metadata', 'namespace'], namespace);
    fillNetworkPolicy(object, name);
    object.setIn(['metadata', 'name'], service.name);
    return;
  }
  object.setIn(['metadata', 'name'], toHost(service));
  if (kind === 'ClusterDomainClaim') {
    object.setIn(['spec', 'namespace'], namespace);
    return;
  }
  object.setIn(['metadata', 'namespace'], namespace);
  object.setIn(['spec', 'ref', 'name'], name);
  object.setIn(['spec', 'tls', 'secretName'], `${name}-tls`);
}

/** The name by which the API server calls; a DomainMapping and its claim are called that. */
export function toHost({ name, namespace }: InstallSettings['service']): string {
  return `${name}.${namespace}.svc`;
}

function edit(yaml: string, change: (object: Document) => void): string {
  const objects = parseYaml(yaml);
  for (const object of objects) change(object);
  return toYaml(objects);
}

/** One stream of several documents. */
export function toYaml(objects: readonly Document[]): string {
  // Some come with their own marker, some without.
  return objects.map((object) => String(object).replace(/^---\n/, '')).join('---\n');
}
