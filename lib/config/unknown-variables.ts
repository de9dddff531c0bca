import { editDistance, hasSameLetters } from '../util/edit-distance.ts';
import type { Env } from './values.ts';

/** Other programs have variables that are a letter or two away from these, such as `CLUSTER_IP`; only transposed letters count. */
const commonNames: ReadonlySet<string> = new Set([
  'CLUSTER_ID',
  'NAME',
  'IMAGE',
  'OUT_DIR',
  'REGISTRY_AUTH',
]);

/**
 * One problem for each variable that is not one of `names` but looks like one, with the nearest name. Without the check, a
 * misspelt variable would silently keep its default.
 */
export function findUnknownVariables(env: Env, names: readonly string[]): readonly string[] {
  return Object.keys(env)
    .filter((name) => !names.includes(name))
    .filter((name) => !isServiceLink(name, env[name] ?? ''))
    .flatMap((name) => {
      const bare = name.replace(/^IMAGE_CLONER_/, '');
      const nearest = findNearest(bare, names);
      if (nearest !== undefined) return [`${name} is not known; did you mean ${nearest}?`];
      return bare === name ? [] : [`${name} is not known`];
    });
}

function findNearest(misspelt: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, edits: editDistance(misspelt, name) }))
    .filter(({ name }) => !commonNames.has(name) || hasSameLetters(misspelt, name))
    .filter(({ name, edits }) => edits <= (name.length < 12 ? 1 : 2))
    .toSorted((a, b) => a.edits - b.edits);
  return nearest?.name;
}

/** The kubelet sets `IMAGE_CLONER_PORT=tcp://…` and similar variables in each pod beside a Service `image-cloner`. */
function isServiceLink(name: string, value: string): boolean {
  const isAddress = /_PORT(_\d+_(TCP|UDP|SCTP))?$/.test(name) && /^(tcp|udp|sctp):/.test(value);
  const isPart = /_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))$/;
  return isAddress || isPart.test(name);
}
