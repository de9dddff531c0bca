import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';

/**
 * Reads the files of `KUBECONFIG` as kubectl does: of two that say the same thing the first one counts, and those that are not there
 * do not. The SDK takes the context of the last one, which is another cluster. Throws what the SDK throws for what cannot be read.
 */
export function loadKubeconfig(list: string): KubeConfig {
  const files = list.split(delimiter).filter((file) => file !== '' && existsSync(file));
  const all = files.map((file) => {
    const config = new KubeConfig();
    config.loadFromFile(file);
    return config;
  });
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: firstOfEachName(all.flatMap(({ clusters }) => clusters)),
    users: firstOfEachName(all.flatMap(({ users }) => users)),
    contexts: firstOfEachName(all.flatMap(({ contexts }) => contexts)),
    currentContext: all.map(({ currentContext }) => currentContext).find(Boolean) ?? '',
  });
  return merged;
}

function firstOfEachName<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
): Entry[] {
  return [...new Map(entries.toReversed().map((entry) => [entry.name, entry])).values()];
}
