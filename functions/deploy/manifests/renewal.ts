import type { Document } from 'yaml';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { edit } from './edit.ts';

interface RenewalSettings {
  readonly install: Pick<InstallSettings, 'name' | 'namespace'>;
  /** The image of the webhook. */
  readonly image: string;
  /** Pull secrets of that image: those of the ServiceAccount of the webhook do not count for another one. @default none */
  readonly imagePullSecrets?: readonly string[];
}

const clusterScoped = ['ClusterRole', 'ClusterRoleBinding'];
const instance = 'app.kubernetes.io/instance';
const template = ['spec', 'jobTemplate', 'spec', 'template'];
const container = [...template, 'spec', 'containers', 0];

/** Fills the names and the image of an installation into knative/renewal/renewal.yaml. Pure. */
export function fillRenewal(yaml: string, settings: RenewalSettings): string {
  const { name, namespace } = settings.install;
  const renewal = toRenewalName(name);
  return edit(yaml, (object) => {
    const kind = String(object.get('kind'));
    object.setIn(['metadata', 'name'], renewal);
    if (!clusterScoped.includes(kind)) object.setIn(['metadata', 'namespace'], namespace);
    switch (kind) {
      case 'Role':
        object.setIn(['rules', 0, 'resourceNames', 0], `${name}-tls`);
        break;
      case 'ClusterRole':
        object.setIn(['rules', 0, 'resourceNames', 0], name);
        break;
      case 'RoleBinding':
      case 'ClusterRoleBinding':
        object.setIn(['roleRef', 'name'], renewal);
        object.setIn(['subjects', 0, 'name'], renewal);
        object.setIn(['subjects', 0, 'namespace'], namespace);
        break;
      case 'NetworkPolicy':
        object.setIn(['spec', 'podSelector', 'matchLabels', instance], name);
        break;
      case 'CronJob':
        fillCronJob(object, settings);
    }
  });
}

function fillCronJob(
  object: Document,
  { install, image, imagePullSecrets = [] }: RenewalSettings,
): void {
  object.setIn([...template, 'metadata', 'labels', instance], install.name);
  object.setIn([...template, 'spec', 'serviceAccountName'], toRenewalName(install.name));
  object.setIn([...container, 'image'], image);
  object.setIn([...container, 'env', 0, 'value'], install.name);
  object.setIn([...container, 'env', 1, 'value'], install.namespace);
  if (imagePullSecrets.length === 0) return;
  const names = imagePullSecrets.map((name) => ({ name }));
  object.setIn([...template, 'spec', 'imagePullSecrets'], object.createNode(names));
}

/** The name of the CronJob, its ServiceAccount and their rights. */
export function toRenewalName(name: string): string {
  return `${name}-renewal`;
}
