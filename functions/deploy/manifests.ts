import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, parseAllDocuments } from 'yaml';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { mustKubectl } from './kubectl.ts';
import type { DeploySettings } from './settings.ts';

/** What is applied, in this order; YAML. The webhook configuration is `just gen`'s and comes last. */
export interface Manifests {
  /** Namespace and ServiceAccount. */
  readonly namespace: string;
  /** The Knative Service. */
  readonly service: string;
  /** ClusterDomainClaim, DomainMapping and the Service in the gateway's namespace. */
  readonly wiring: string;
}

const folder = join(import.meta.dirname, '../../knative');
const container = ['spec', 'template', 'spec', 'containers', 0];

/** The manifests of knative/, with this installation's names, image and configuration. */
export async function readManifests(settings: DeploySettings): Promise<Manifests> {
  const { variant, gateway } = settings;
  const [namespace, service, wiring] = await Promise.all([
    readFile(join(folder, 'namespace.yaml'), 'utf8'),
    mustKubectl(['kustomize', join(folder, variant)]),
    readFile(join(folder, 'gateway', `${gateway}.yaml`), 'utf8'),
  ]);
  return fillManifests({ namespace, service, wiring }, settings);
}

/** Puts this installation's names, image and configuration into what knative/ holds. Pure. */
export function fillManifests(
  { namespace, service, wiring }: Manifests,
  settings: DeploySettings,
): Manifests {
  return {
    namespace: edit(namespace, (object) => nameNamespace(object, settings)),
    service: edit(service, (object) => fillService(object, settings)),
    wiring: edit(wiring, (object) => nameWiring(object, settings)),
  };
}

function nameNamespace(object: Document, { install }: DeploySettings): void {
  if (object.get('kind') === 'Namespace') object.setIn(['metadata', 'name'], install.namespace);
  else object.setIn(['metadata', 'namespace'], install.namespace);
}

function fillService(object: Document, { install, image, env }: DeploySettings): void {
  object.setIn(['metadata', 'name'], install.name);
  object.setIn(['metadata', 'namespace'], install.namespace);
  object.setIn([...container, 'image'], image);
  for (const [name, value] of env) object.addIn([...container, 'env'], { name, value });
}

function nameWiring(object: Document, { install }: DeploySettings): void {
  const { name, namespace, service } = install;
  if (object.get('kind') === 'Service') {
    object.setIn(['metadata', 'name'], service.name);
    object.setIn(['metadata', 'namespace'], service.namespace);
    return;
  }
  object.setIn(['metadata', 'name'], toMappedHost(install));
  if (object.get('kind') === 'ClusterDomainClaim') {
    object.setIn(['spec', 'namespace'], namespace);
    return;
  }
  object.setIn(['metadata', 'namespace'], namespace);
  object.setIn(['spec', 'ref', 'name'], name);
  object.setIn(['spec', 'tls', 'secretName'], `${name}-tls`);
}

/** The name by which the API server calls; the DomainMapping and its claim are called that. */
export function toMappedHost({ service }: InstallSettings): string {
  return `${service.name}.${service.namespace}.svc`;
}

function edit(yaml: string, change: (object: Document) => void): string {
  const objects = parseAllDocuments(yaml);
  for (const object of objects) change(object);
  return toYaml(objects);
}

/** One stream of several documents. */
export function toYaml(objects: readonly Document[]): string {
  // Some come with their own marker, some without.
  return objects.map((object) => String(object).replace(/^---\n/, '')).join('---\n');
}
