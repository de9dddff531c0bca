import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { find } from '../kubectl.ts';

const named = v.object({
  metadata: v.object({
    labels: v.optional(v.record(v.string(), v.string()), {}),
    ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
  }),
});
/** What is in the cluster already and stands in our way, or would once we are there. */
export async function findObstacles(install: InstallSettings): Promise<readonly string[]> {
  const found = await Promise.all([ownNamespaceOptedIn(install), serviceInTheWay(install)]);
  return found.flat();
}

async function ownNamespaceOptedIn({ namespace }: InstallSettings): Promise<readonly string[]> {
  const found = await find('namespace', namespace);
  const { labels } = v.parse(named, found ?? { metadata: {} }).metadata;
  return labels['image-cloner'] === 'enabled'
    ? [
        `the namespace ${namespace} is labelled image-cloner=enabled, and the webhook would need itself to start: kubectl label namespace ${namespace} image-cloner-`,
      ]
    : [];
}

/** Knative's Route makes a Service of its own by that name, and fails where somebody else has one. */
async function serviceInTheWay({ name, namespace }: InstallSettings): Promise<readonly string[]> {
  const found = await find('service', name, `--namespace=${namespace}`);
  if (found === undefined) return [];
  const { ownerReferences } = v.parse(named, found).metadata;
  return ownerReferences.length > 0
    ? []
    : [
        `there is a Service ${name} in ${namespace}, and Knative makes one of that name itself: set NAME or NAMESPACE, or remove it (kubectl -n ${namespace} delete service ${name}), together with whatever webhook configuration still calls it`,
      ];
}
