import { splitRegistry } from '../../config/backup-registry.ts';

type Settings = Readonly<Record<string, string>>;

/**
 * `FORMER_BACKUPS` after a deployment: with the place that is deployed, if the settings move the backup, so that workloads which name
 * copies there keep their originals. `undefined` if there is none.
 */
export function addFormerBackup(deployed: Settings, settings: Settings): string | undefined {
  const former = (settings['FORMER_BACKUPS'] ?? '').split(/[\s,]+/).filter((each) => each !== '');
  const [before, after] = [toPlace(deployed), toPlace(settings)];
  const hasMoved = Object.keys(deployed).length > 0 && before !== after;
  const places = [...new Set([...former, ...(hasMoved ? [before] : [])])];
  // The copies may have moved back.
  const others = places.filter((place) => place !== after);
  return others.length === 0 ? undefined : others.join(',');
}

/** The registry and the namespace of the copies; without `REGISTRY_NAMESPACE` it is the username, which is not recorded. */
function toPlace({ REGISTRY = '', REGISTRY_NAMESPACE: namespace }: Settings): string {
  const { domain, path } = splitRegistry(REGISTRY);
  return [domain, path, namespace ?? ''].filter((part) => part !== '').join('/');
}
