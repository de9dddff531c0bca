import * as v from 'valibot';
import { parse } from 'yaml';
import { parseYaml } from '../../../lib/install/yaml.ts';

/** The operations of a `patch.yaml` in knative/ (RFC 6902). */
const patchSchema = v.array(
  v.variant('op', [
    v.object({ op: v.literal('add'), path: v.string(), value: v.unknown() }),
    v.object({ op: v.literal('replace'), path: v.string(), value: v.unknown() }),
  ]),
);

/** Applies the patches of an overlay to its one object, as `kubectl kustomize` does; a test with a real one compares both. */
export function applyPatches(yaml: string, patches: readonly string[]): string {
  const [object] = parseYaml(yaml);
  if (object === undefined) throw new Error('the manifest has no object');
  for (const { op, path, value } of patches.flatMap((each) => v.parse(patchSchema, parse(each)))) {
    const keys = path
      .split('/')
      .slice(1)
      .map((key) => (/^\d+$/.test(key) ? Number(key) : unescapePart(key)));
    const node = object.createNode(value);
    if (op === 'replace' && !object.hasIn(keys)) throw new Error(`nothing to replace at ${path}`);
    if (keys.at(-1) === '-') object.addIn(keys.slice(0, -1), node);
    else object.setIn(keys, node);
  }
  return String(object);
}

/** One part of a JSON pointer (RFC 6901). */
function unescapePart(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
